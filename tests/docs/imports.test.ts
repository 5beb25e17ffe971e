// Imports: their direction. `docs/architecture.md` describes the order of the folders.
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater } from "@std/assert";

interface Import {
  readonly file: string;
  /** A path from the project's folder, or the specifier itself when it is not relative. */
  readonly target: string;
  /** `import type` and `export type` leave nothing in the program. `await import` loads when it is reached. */
  readonly kind: "static" | "type" | "dynamic";
}

interface Rule {
  readonly name: string;
  readonly allows: (file: string, target: string, kind: Import["kind"]) => boolean;
}

const ROOT = new URL("../../", import.meta.url);

/** The folders and files of `src`, the lowest first: each imports from itself and from those before it. */
const ORDER = [
  ["src/errors.ts", "src/close_report.ts", "src/events.ts"],
  ["src/platform/"],
  ["src/wire/"],
  ["src/security/"],
  ["src/net/"],
  ["src/pubsub/"],
  ["src/discovery/"],
  ["src/membership/"],
  ["src/reliability/"],
  ["src/observability/"],
  ["src/observability/diagnosis/"],
  ["src/options.ts", "src/shared_meshes.ts"],
  ["src/lazy_diagnoser.ts"],
  ["src/node_parts.ts"],
  ["src/mesh_bus.ts"],
] as const;

const DIAGNOSIS = "src/observability/diagnosis";

/** The ports, which adapters implement: they import nothing else. */
const PORTS = ["signal_shape", "clock", "contexts", "datagram_socket", "host", "ports"].map((name) =>
  `src/platform/${name}.ts`
);
/** What adapters import beside the ports: what reads addresses and errors, and checks what callers pass. */
const SHARED = ["endpoint", "error_message", "known_options", "abort_signal"].map((name) => `src/platform/${name}.ts`);

/** `import … from`, `export … from`, `import "…"`, `import("…")` and `typeof import("…")`. */
const IMPORTS = /(?:\b(?:import|export)(\s+type\b)?[^"';()]*?\bfrom\s*|(\btypeof\s+)?\bimport\s*(\(\s*)?)"([^"]+)"/g;

const RULES: readonly Rule[] = [
  {
    name: "src imports neither a runtime, nor a package, nor an adapter",
    allows: (file, target) => !isIn("src", file) || isIn("src", target),
  },
  {
    name: "the folders of src import down only, in the order of docs/architecture.md",
    allows: (file, target) => !isIn("src", file) || !isIn("src", target) || level(target) <= level(file),
  },
  {
    name: "src imports diagnosis only by await import, so that programs that never diagnose do not load it",
    allows: (file, target, kind) =>
      kind !== "static" || !isIn("src", file) || isIn(DIAGNOSIS, file) || !isIn(DIAGNOSIS, target),
  },
  {
    name: "ports import ports only",
    allows: (file, target) => !PORTS.includes(file) || PORTS.includes(target),
  },
  {
    name: "what adapters share with src imports ports and errors only",
    allows: (file, target) => !SHARED.includes(file) || [...PORTS, "src/errors.ts"].includes(target),
  },
  {
    name: "adapters import ports, adapters, what they share with src, and node: modules",
    allows: (file, target) =>
      !isIn("adapters", file) || isIn("adapters", target) || target.startsWith("node:") ||
      [...PORTS, ...SHARED].includes(target),
  },
  {
    name: "mod.ts imports src and adapters only",
    allows: (file, target) => file !== "mod.ts" || isIn("src", target) || isIn("adapters", target),
  },
  {
    name: "the command line imports these and node: modules",
    allows: (file, target) => !isIn("cli", file) || files.includes(target) || target.startsWith("node:"),
  },
  {
    name: "nothing but the command line imports the command line",
    allows: (file, target) => isIn("cli", file) || !isIn("cli", target),
  },
];

const files = ["mod.ts", ...filesIn("src"), ...filesIn("adapters"), ...filesIn("cli")];
const imports = files.flatMap((file) => importsOf(file, readFileSync(new URL(file, ROOT), "utf8")));

describe("imports", () => {
  test("are found", () => {
    assertGreater(files.length, 100);
    assertGreater(imports.length, 400);
    assertEquals(files.filter((file) => isIn("src", file) && level(file) < 0), [], "a file in no folder of the order");
  });

  for (const rule of RULES) {
    test(`keep the rule: ${rule.name}`, () => {
      assertEquals(breaches(rule, imports), []);
    });
  }

  test("make no cycle", () => {
    assertEquals(files.filter((file) => reached(file).has(file)), []);
  });

  test("that break a rule are found, each by its rule", () => {
    const wrong: ReadonlyArray<readonly [file: string, code: string, rule: string]> = [
      ["src/wire/packet.ts", 'import { Pacer } from "../net/pacer.ts";', "down only"],
      ["src/net/pacer.ts", 'import type { Settings } from "../options.ts";', "down only"],
      ["src/membership/peer.ts", 'export type { Finding } from "../observability/diagnosis/finding.ts";', "down only"],
      ["src/observability/metrics.ts", 'const x = await import("./diagnosis/diagnose.ts");', "down only"],
      ["src/mesh_bus.ts", 'import { findings } from "./observability/diagnosis/findings.ts";', "only by await import"],
      ["src/mesh_bus.ts", 'export * from "./observability/diagnosis/findings.ts";', "only by await import"],
      ["src/mesh_bus.ts", 'import "./observability/diagnosis/findings.ts";', "only by await import"],
      ["src/net/pacer.ts", 'import { setTimeout } from "node:timers";', "neither a runtime"],
      ["src/platform/clock.ts", 'import { misuse } from "../errors.ts";', "ports import ports only"],
      ["adapters/deno.ts", 'import { Pacer } from "../src/net/pacer.ts";', "adapters import ports"],
      ["mod.ts", 'import { main } from "./cli/program.ts";', "nothing but the command line"],
    ];
    for (const [file, code, name] of wrong) {
      const found = RULES.filter((rule) => breaches(rule, importsOf(file, code)).length > 0).map((rule) => rule.name);
      assert(found.some((rule) => rule.includes(name)), `${code} in ${file}: ${found.join("; ")}`);
    }
  });
});

/** The position of a file of `src` in the order; -1 for none. */
function level(file: string): number {
  return ORDER.findLastIndex((places) =>
    places.some((place) => place === file || (place.endsWith("/") && file.startsWith(place)))
  );
}

function isIn(folder: string, path: string): boolean {
  return path.startsWith(`${folder}/`);
}

function breaches({ allows }: Rule, among: readonly Import[]): string[] {
  return among.filter(({ file, target, kind }) => !allows(file, target, kind)).map(({ file, target }) =>
    `${file} → ${target}`
  );
}

function filesIn(folder: string): string[] {
  return readdirSync(new URL(folder, ROOT), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `${folder}/${name.replaceAll("\\", "/")}`);
}

function importsOf(file: string, text: string): Import[] {
  const code = text.replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");
  return [...code.matchAll(IMPORTS)].map(([, type, ofType, call, specifier = ""]) => {
    const target = specifier.startsWith(".") ? pathFrom(file, specifier) : specifier;
    const isType = type !== undefined || ofType !== undefined;
    return { file, target, kind: isType ? "type" : call === undefined ? "static" : "dynamic" };
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
