/**
 * Bundle of a service that opens a mesh: which files it loads on Node, and which only for a diagnosis.
 *
 * @module
 */

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { run } from "./run.ts";
import { BUN, ROOT } from "./runtimes.ts";

/** Files of a bundle that are loaded together. */
export interface BundlePart {
  /** Bytes of all of them. */
  readonly minified: number;
  /** The same after gzip, as one text: how a bundler divides code that two parts share must not count. */
  readonly gzipped: number;
}

/** The parts of a bundle. */
export interface Bundle {
  /** The files that `openMesh` loads on Node: the entry point and the adapter. */
  readonly loaded: BundlePart;
  /** The files that the first call of `diagnose` loads in addition. */
  readonly diagnosis: BundlePart;
}

/**
 * The two parts that a service on Node loads, by a bundler's file names. The second is loaded only when it calls
 * `diagnose`.
 */
const ADAPTER = /^node-\w+\.js$/;
const DIAGNOSIS = /^diagnose-\w+\.js$/;

/** Bundles and minifies `openMesh` for Node, split where it imports on demand. `folder` is emptied first. */
export async function bundle(folder: string): Promise<Bundle> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const entry = join(folder, "service.ts");
  const mod = relative(folder, join(ROOT, "mod.ts")).replaceAll("\\", "/");
  writeFileSync(entry, `export { openMesh } from "${mod}";\n`);
  const out = join(folder, "out");
  const args = ["build", entry, "--minify", "--target=node", "--splitting", `--outdir=${out}`];
  const { ok, output } = await run(BUN, args, { cwd: ROOT, quiet: true });
  if (!ok) throw new Error(`mod.ts could not be bundled: ${output}`);
  const names = readdirSync(out);
  const chunk = (pattern: RegExp): string => {
    const [name, ...more] = names.filter((each) => pattern.test(each));
    if (name === undefined || more.length > 0) throw new Error(`Not one file like ${pattern} in the bundle: ${names}`);
    return name;
  };
  const loaded = withImports(out, ["service.js", chunk(ADAPTER)]);
  const diagnosis = withImports(out, [chunk(DIAGNOSIS)]);
  if (loaded.has(chunk(DIAGNOSIS))) throw new Error("openMesh must not load diagnosis");
  return { loaded: sizes(out, loaded), diagnosis: sizes(out, [...diagnosis].filter((name) => !loaded.has(name))) };
}

/** Some files, and all that they import statically. */
function withImports(folder: string, names: readonly string[]): ReadonlySet<string> {
  const found = new Set(names);
  for (const name of found) {
    const text = readFileSync(join(folder, name), "utf8");
    for (const [, other = ""] of text.matchAll(/(?:\bfrom|\bimport)\s*"\.\/([^"]+)"/g)) found.add(other);
  }
  return found;
}

function sizes(folder: string, names: Iterable<string>): BundlePart {
  const bytes = Buffer.concat(Array.from(names, (name) => readFileSync(join(folder, name))));
  return { minified: bytes.byteLength, gzipped: gzipSync(bytes).byteLength };
}
