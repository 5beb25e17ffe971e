/**
 * Checks the declarations of the packed package: those that programs use accept `undefined` for each option, and they
 * compile with the oldest and the newest TypeScript, each module resolution, and no other types. `package_check.ts` has
 * packed it.
 *
 * @module
 */

import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./run.ts";
import { CACHE, npm, ROOT } from "./runtimes.ts";

const PACK = join(CACHE, "pack");
const FOLDER = join(CACHE, "package_types");
const PACKAGE = join(FOLDER, "node_modules", "@warp-mesh", "bus");
const TYPES_NODE = join(ROOT, "node_modules", "@types");

/** By the folder that each is installed as. */
const COMPILERS = { typescript54: "5.4.5", typescript59: "5.9.3", typescript7: "7.0.2" } as const;

const RESOLUTIONS = [
  { module: "node16", moduleResolution: "node16" },
  { module: "nodenext", moduleResolution: "nodenext" },
  { module: "esnext", moduleResolution: "bundler" },
] as const;

/** A program with options that may be undefined, which closes a mesh at the end of a block. */
const PROGRAM = `
import { InProcessBus, type MeshBus, type MeshOptions, openMesh, sharedMesh } from "@warp-mesh/bus";
import "@warp-mesh/bus/node";
import "@warp-mesh/bus/bun";
import "@warp-mesh/bus/deno";
import "@warp-mesh/bus/auto";
import "@warp-mesh/bus/cli";
import { type BusUnderTest, rulesFor } from "@warp-mesh/bus/conformance";
import { MemoryNetwork } from "@warp-mesh/bus/memory";

type Signal = MeshOptions["signal"];
export async function start(env: Record<string, string | undefined>, signal: Signal, some?: number): Promise<MeshBus> {
  const options: MeshOptions = { interface: env["MESH_INTERFACE"], port: some, advertiseAddr: env["ADDRESS"], signal };
  const mesh = await openMesh(options);
  mesh.subscribe("k", () => {}, { signal, capacity: some });
  await mesh.publish("k", { signal, region: env["REGION"], vectorClock: undefined, scope: undefined });
  await mesh.diagnose({ signal, timeout: some });
  await mesh.waitForPeers(1, { signal, timeout: some });
  await using shared = await sharedMesh("m", { port: some, offline: undefined, discover: undefined });
  await using bus = new InProcessBus({ onError: undefined });
  const network = new MemoryNetwork({ seed: some, loss: some, clock: undefined });
  network.set({ duplicate: some, delay: undefined });
  const underTest: BusUnderTest = { open: async () => ({ buses: [bus], settle: undefined }), lacks: undefined };
  for (const { run } of rulesFor(underTest)) await run();
  return shared.isHealthy() && bus.isHealthy() ? mesh : await openMesh();
}
`;

/** The same with the program's own types of `AbortSignal`, for the signal of its controller. */
const WITH_SIGNALS = `${PROGRAM}
const controller = new AbortController();
const discover = async function* (signal: AbortSignal) { while (!signal.aborted) yield ["10.0.0.1"]; };
await openMesh({ discover, signal: AbortSignal.timeout(1000) });
await start({}, controller.signal);
`;

/** The `compilerOptions` of such a program, besides the compiler's strictness. */
interface Surroundings {
  readonly file: string;
  readonly lib: readonly string[];
  readonly types: readonly string[];
  /** Whether the declarations of others are not checked: those of Node may not support an old compiler. */
  readonly skipLibCheck: boolean;
}

const BARE = { file: "bare.ts", lib: ["es2022"], types: [], skipLibCheck: false };
const DOM = { file: "signals.ts", lib: ["es2022", "dom"], types: [], skipLibCheck: false };
const NODE = { file: "signals.ts", lib: ["es2022"], types: ["node"], skipLibCheck: true };

rmSync(FOLDER, { recursive: true, force: true });
mkdirSync(FOLDER, { recursive: true });
writeFileSync(join(FOLDER, "package.json"), JSON.stringify({ private: true, type: "module" }));
const [tarball] = readdirSync(PACK);
if (tarball === undefined) throw new Error("Cannot check the types before the package is packed");
copyFileSync(join(PACK, tarball), join(FOLDER, "package.tgz"));
const compilers = Object.entries(COMPILERS).map(([folder, version]) => `${folder}@npm:typescript@${version}`);
if (!await npm(["install", "--no-package-lock", "--no-audit", "--no-fund", "./package.tgz", ...compilers], FOLDER)) {
  throw new Error("Cannot install the compilers");
}
writeFileSync(join(FOLDER, "bare.ts"), PROGRAM);
writeFileSync(join(FOLDER, "signals.ts"), WITH_SIGNALS);

const refusing = optionsWithoutUndefined(declarations());
for (const place of refusing) console.log(`${place} does not take undefined`);
let failures = refusing.length;
for (const compiler of Object.keys(COMPILERS)) {
  for (const resolution of RESOLUTIONS) if (!await compiles(compiler, resolution, BARE)) failures++;
  for (const surroundings of [DOM, NODE]) if (!await compiles(compiler, RESOLUTIONS[1], surroundings)) failures++;
}
console.log(failures === 0 ? "The declarations compile everywhere" : "The declarations FAILED");
process.exitCode = failures === 0 ? 0 : 1;

/** The text of each public interface, type and class, by name: those that an entry exports, from any file. */
function declarations(): ReadonlyMap<string, string> {
  const { exports } = JSON.parse(readFileSync(join(PACKAGE, "package.json"), "utf8"));
  const entries = Object.values(exports).filter(hasTypes).map(({ types }) =>
    readFileSync(join(PACKAGE, types), "utf8")
  );
  const names = new Set(entries.flatMap((text) =>
    [...text.matchAll(/^export (?:type )?\{([^}]*)\}/gm)]
      .flatMap(([, list = ""]) => list.split(",").map((name) => name.trim().replace(/^type /, "")))
  ));
  const found = new Map<string, string>();
  const files = readdirSync(join(PACKAGE, "dist"), { recursive: true, encoding: "utf8" });
  const texts = files.filter((name) => name.endsWith(".d.ts"))
    .map((name) => readFileSync(join(PACKAGE, "dist", name), "utf8"));
  for (const text of texts) {
    const isEntry = entries.includes(text);
    for (
      const [whole, name = ""] of text.matchAll(/^export (?:declare class|interface|type) (\w+)(?:.*;$|[^]*?^\})/gm)
    ) {
      if (isEntry || names.has(name)) found.set(name, whole);
    }
  }
  for (const name of ["MeshOptions", "PublishOptions", "SharedMeshOptions", "MemoryNetworkOptions"]) {
    if (!found.has(name)) throw new Error(`Cannot check the options as ${name} was not found`);
  }
  return found;
}

function hasTypes(entry: unknown): entry is { readonly types: string } {
  return typeof entry === "object" && entry !== null && "types" in entry;
}

/** Members with a question mark, which `exactOptionalPropertyTypes` interprets strictly. */
function optionsWithoutUndefined(texts: ReadonlyMap<string, string>): string[] {
  return [...texts].flatMap(([name, text]) =>
    [...text.matchAll(/^ +(?:readonly )?(\w+)\?: ([^;]*);$/gm)]
      .filter(([, , type = ""]) => !/\| undefined$|^unknown$/.test(type))
      .map(([, member = ""]) => `${name}.${member}`)
  );
}

async function compiles(
  compiler: string,
  resolution: typeof RESOLUTIONS[number],
  { file, ...surroundings }: Surroundings,
): Promise<boolean> {
  const compilerOptions = {
    ...surroundings,
    ...resolution,
    target: "es2022",
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    typeRoots: [TYPES_NODE],
  };
  writeFileSync(join(FOLDER, "tsconfig.json"), JSON.stringify({ compilerOptions, files: [file] }));
  const program = join(FOLDER, "node_modules", compiler, "bin", "tsc");
  const { ok } = await run(process.execPath, [program, "-p", FOLDER], { cwd: FOLDER, quiet: true });
  const { lib, types } = surroundings;
  const name = `${compiler} ${resolution.moduleResolution} ${[...lib, ...types].join(" ")}`;
  console.log(`${name} ${ok ? "compiles" : "FAILED"}`);
  return ok;
}
