/**
 * Bundles and minifies `mod.ts` for Node, and fails when it outgrows its limit or takes in a dependency.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { run } from "./run.ts";
import { BUN, CACHE, ROOT } from "./runtimes.ts";

/**
 * Bytes after gzip: 15,047 for what the original does, 12,300 for repair, 11,700 for discovery (peers that tell of peers,
 * proof of addresses, seeds by name, interfaces, IPv6), 9,700 for `diagnose()`, 1,500 for callbacks in turns, 10,100 for
 * what is lost, late, old or forged (lost peers, their stand-ins, long and narrow paths, budgets for strangers), 3,000 for
 * the ends of services and jobs, and meshes that a process shares, 9,200 for what hosts and programs do to it (routes and
 * interfaces that come late, names one at a time, contexts, ids that are there twice, machines that sleep, unknown options), and
 * 5,000 for speed: keys by their bytes, a budget, sends in groups.
 */
const LIMIT = 78_500;

const folder = join(CACHE, "bundle");
const { ok } = await run(BUN, ["build", "mod.ts", "--minify", "--target=node", `--outdir=${folder}`], {
  cwd: ROOT,
  quiet: true,
});
const size = ok ? gzipSync(readFileSync(join(folder, "mod.js"))).byteLength : Infinity;
console.log(`mod.ts, bundled and minified for Node: ${size} of at most ${LIMIT} bytes gzipped`);
process.exitCode = size <= LIMIT ? 0 : 1;
