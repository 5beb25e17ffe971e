/**
 * Bundles and minifies `openMesh` for Node, and fails when it exceeds its limit or contains a dependency or diagnosis.
 *
 * @module
 */

import { join } from "node:path";
import { bundle } from "./bundle.ts";
import { CACHE } from "./runtimes.ts";

/**
 * Bytes after gzip: 15,047 for what go-warp does, 12,300 for NAKs and retransmission, 11,700 for discovery (peer
 * exchange, path validation, seeds by name, interfaces, IPv6), 9,700 for `diagnose()`, 1,500 for callbacks in turns,
 * 10,100 for what is lost, late, old or forged (departed peers, their replacements, paths with long delays or a small
 * MTU, amplification limits), 3,000 for the ends of services and jobs, and meshes that a process shares, 9,200 for what
 * hosts and programs do to it (routes and interfaces that come late, names one at a time, contexts, duplicate ids,
 * suspended machines, unknown options), 5,000 for speed (keys by their bytes, a send budget, sends in bursts), 1,000 for
 * peers' records of parts, interfaces between parts, and longer names, and 12,100 for acknowledged publishes, prefixes,
 * metadata and tokens of what was accepted. Of these 90,650, 2,700 are for the
 * adapters of Deno and Bun and for exports besides `openMesh`, and 6,600 are loaded with the first `diagnose()`: 9,100
 * when they are compressed by themselves. The part that answers the probes of others stays.
 */
const LIMIT = 81_400;

const { loaded, diagnosis } = await bundle(join(CACHE, "bundle"));
console.log(
  `openMesh, bundled and minified for Node: ${loaded.gzipped} of at most ${LIMIT} bytes gzipped, ` +
    `and ${diagnosis.gzipped} for the first diagnosis`,
);
process.exitCode = loaded.gzipped <= LIMIT ? 0 : 1;
