// Holds the direction of imports: mod → mesh_bus → parts → wire → layout, and adapters → ports.
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { assertEquals, assertGreater } from "@std/assert";

interface Import {
  readonly file: string;
  /** A path from the project's folder, or the specifier itself when it is not relative. */
  readonly target: string;
}

const ROOT = new URL("../", import.meta.url);
const PORTS = [
  "src/abort_signal.ts",
  "src/clock.ts",
  "src/contexts.ts",
  "src/datagram_socket.ts",
  "src/host.ts",
  "src/ports.ts",
];
/** What every side does with addresses, and with what callers pass. These reach ports and `errors.ts` only. */
const SHARED = ["src/address.ts", "src/known_options.ts", "src/signal.ts"];

const files = ["mod.ts", ...filesIn("src"), ...filesIn("adapters"), ...filesIn("cli")];
const imports = files.flatMap(importsOf);

describe("imports", () => {
  test("are found at all", () => {
    assertGreater(files.length, 10);
    assertGreater(imports.length, files.length);
  });

  test("of src reach neither a runtime, nor a package, nor an adapter", () => {
    assertEquals(breaches((file, target) => inSrc(file) && !inSrc(target)), []);
  });

  test("of src point down only", () => {
    assertEquals(breaches((file, target) => inSrc(target) && layer(target) > layer(file)), []);
  });

  test("of ports reach ports only", () => {
    assertEquals(breaches((file, target) => PORTS.includes(file) && !PORTS.includes(target)), []);
  });

  test("of adapters reach ports, adapters, what reads addresses and checks arguments, and what the runtimes bring", () => {
    const allowed = (target: string) =>
      inAdapters(target) || [...PORTS, ...SHARED].includes(target) || target.startsWith("node:");
    const below = [...PORTS, "src/errors.ts"];
    assertEquals(breaches((file, target) => SHARED.includes(file) && !below.includes(target)), []);
    assertEquals(breaches((file, target) => inAdapters(file) && !allowed(target)), []);
  });

  test("of mod.ts reach src and adapters only", () => {
    assertEquals(breaches((file, target) => file === "mod.ts" && !inSrc(target) && !inAdapters(target)), []);
  });

  test("of the program reach all of these, and what the runtimes bring; nothing reaches it", () => {
    const allowed = (target: string) => files.includes(target) || target.startsWith("node:");
    assertEquals(imports.filter(({ file, target }) => inCli(file) && !allowed(target)), []);
    assertEquals(breaches((file, target) => inCli(target) && !inCli(file)), []);
  });

  test("make no cycle", () => {
    assertEquals(files.filter((file) => reached(file).has(file)), []);
  });
});

/** 0 depends on nothing, and each layer on those below it and on itself. */
function layer(file: string): number {
  if (["src/wire/layout.ts", "src/errors.ts", "src/address.ts"].includes(file)) return 0;
  if (file.startsWith("src/wire/")) return 1;
  if (file === "mod.ts") return 4;
  return file === "src/mesh_bus.ts" ? 3 : 2;
}

function inSrc(path: string): boolean {
  return path.startsWith("src/");
}

function inAdapters(path: string): boolean {
  return path.startsWith("adapters/");
}

function inCli(path: string): boolean {
  return path.startsWith("cli/");
}

function breaches(isBreach: (file: string, target: string) => boolean): string[] {
  return imports.filter(({ file, target }) => isBreach(file, target)).map(({ file, target }) => `${file} → ${target}`);
}

function filesIn(folder: string): string[] {
  return readdirSync(new URL(folder, ROOT), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `${folder}/${name.replaceAll("\\", "/")}`);
}

function importsOf(file: string): Import[] {
  const code = readFileSync(new URL(file, ROOT), "utf8").replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");
  return [...code.matchAll(/\b(?:from|import)\s*\(?\s*"([^"]+)"/g)].map(([, specifier = ""]) => {
    const target = specifier.startsWith(".") ? pathFrom(file, specifier) : specifier;
    return { file, target };
  });
}

function pathFrom(file: string, specifier: string): string {
  return new URL(specifier, new URL(file, ROOT)).href.slice(ROOT.href.length);
}

function reached(start: string): ReadonlySet<string> {
  const found = new Set<string>();
  const open = [start];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    for (const { target } of imports.filter((item) => item.file === file)) {
      if (!found.has(target)) open.push(target);
      found.add(target);
    }
  }
  return found;
}
