/**
 * Size benchmark: the size of `mod.ts` with all that it imports, bundled and minified for Node.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { run } from "../scripts/run.ts";
import { BUN, CACHE, ROOT } from "../scripts/runtimes.ts";
import { figure, print } from "./figures.ts";

const folder = join(CACHE, "bench");
const { ok, output } = await run(BUN, ["build", "mod.ts", "--minify", "--target=node", `--outdir=${folder}`], {
  cwd: ROOT,
  quiet: true,
});
if (!ok) throw new Error(`mod.ts could not be bundled: ${output}`);
const bytes = readFileSync(join(folder, "mod.js"));
print([
  figure({ name: "size.gzipped", unit: "bytes", values: [gzipSync(bytes).byteLength] }),
  figure({ name: "size.minified", unit: "bytes", values: [bytes.byteLength] }),
]);
