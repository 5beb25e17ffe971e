/**
 * Size benchmark: what `openMesh` loads on Node, and what the first `diagnose` loads besides, bundled and minified.
 *
 * @module
 */

import { join } from "node:path";
import { bundle } from "../scripts/bundle.ts";
import { CACHE } from "../scripts/runtimes.ts";
import { figure, print } from "./figures.ts";

const { loaded, diagnosis } = await bundle(join(CACHE, "bench"));
print([
  figure({ name: "size.gzipped", unit: "bytes", values: [loaded.gzipped] }),
  figure({ name: "size.minified", unit: "bytes", values: [loaded.minified] }),
  figure({ name: "size.diagnosis.gzipped", unit: "bytes", values: [diagnosis.gzipped] }),
]);
