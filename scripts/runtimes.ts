/**
 * Runtimes: where Node, Deno, Bun, npm and the TypeScript compiler are, and the folders that scripts use.
 *
 * @module
 */

import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "./run.ts";

/** The project's folder. */
export const ROOT: string = fileURLToPath(new URL("..", import.meta.url));

/** A folder for intermediate files of scripts; git ignores it. */
export const CACHE: string = join(ROOT, ".cache");

/** The versions of Node that the matrix runs on, one of each supported line. */
export const NODE_VERSIONS = ["20.20.2", "22.23.3", "24.21.0", "26.10.0"] as const;

const EXE = process.platform === "win32" ? ".exe" : "";

/** The installed Deno. */
export const DENO: string = join(ROOT, "node_modules", "deno", `deno${EXE}`);

/** The installed Bun. */
export const BUN: string = join(ROOT, "node_modules", "bun", "bin", "bun.exe");

/** The TypeScript compiler, to be run by Node. */
export const TSC: string = join(ROOT, "node_modules", "typescript", "bin", "tsc");

/** Whether this version of Node runs TypeScript without a loader: 22.18 and later. */
function stripsTypes(version: string): boolean {
  const [major = 0, minor = 0] = version.replace("v", "").split(".").map(Number);
  return major > 22 || (major === 22 && minor >= 18);
}

/** The arguments of this version of Node before a TypeScript file, in any folder. */
export function typeFlags(version: string): readonly string[] {
  if (stripsTypes(version)) return ["--disable-warning=ExperimentalWarning"];
  return ["--import", new URL("node_20.js", import.meta.url).href];
}

/**
 * The path of a Node of this version. The running one serves for its whole major version; another is installed from npm
 * the first time, as only the matrix needs it.
 */
export async function nodeBinary(version: string): Promise<string> {
  if (process.versions.node.split(".")[0] === version.split(".")[0]) return process.execPath;
  const folder = join(CACHE, "node", version);
  const binary = join(folder, "node_modules", "node", "bin", `node${EXE}`);
  if (existsSync(binary)) return binary;
  mkdirSync(folder, { recursive: true });
  // The `node` package fetches the platform's binary in an install script, which npm runs only when it is allowed.
  const manifest = { private: true, dependencies: { node: version }, allowScripts: { node: true } };
  writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
  const installed = await npm(["install", "--no-package-lock"], folder);
  if (installed && existsSync(binary)) return binary;
  throw new Error(
    `Cannot install Node ${version} as \`npm install\` has not left a binary at ${relative(ROOT, binary)}`,
  );
}

/** Runs npm in a folder, quietly. Resolves to whether it succeeded. */
export async function npm(args: readonly string[], cwd: string): Promise<boolean> {
  // npm itself sets it; on Windows it is a script that cannot be spawned.
  const cli = process.env["npm_execpath"];
  const [command, first] = cli ? [process.execPath, [cli]] : ["npm", []];
  return (await run(command, [...first, ...args], { cwd, quiet: true })).ok;
}

/** The files under a folder whose names have this end, as paths from the project's folder with `/` between, sorted. */
export function filesUnder(folder: string, ending: string): string[] {
  if (!existsSync(join(ROOT, folder))) return [];
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending) && !name.includes("node_modules"))
    .map((name) => `${folder}/${name.split(sep).join("/")}`)
    .sort();
}
