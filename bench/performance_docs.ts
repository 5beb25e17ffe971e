/**
 * Performance document: writes the figures of a document into `docs/performance.md`, between the marks that it has for
 * each table, and the charts beside it.
 *
 * @module
 */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../scripts/run.ts";
import { DENO, ROOT } from "../scripts/runtimes.ts";
import { latencyChart, throughputChart } from "./charts.ts";
import type { BenchDocument } from "./bench_document.ts";
import { TABLES } from "./tables.ts";

const FILE = join(ROOT, "docs", "performance.md");
const FOLDER = join(ROOT, "docs", "performance");
const BLOCK = /(<!-- bench:(\w+) -->\n)[^]*?(<!-- \/bench -->)/g;

/** Updates the document. Marked blocks whose figures were not measured stay as they are. */
export async function writeDocs(document: BenchDocument): Promise<void> {
  const text = readFileSync(FILE, "utf8").replaceAll(BLOCK, (block, begin: string, name: string, end: string) => {
    const table = TABLES[name];
    if (table === undefined) throw new Error(`docs/performance.md has a block ${name}, which no table is for`);
    const rows = table(document);
    return rows === undefined ? block : `${begin}\n${rows}\n\n${end}`;
  });
  writeFileSync(FILE, text);
  mkdirSync(FOLDER, { recursive: true });
  for (const [name, chart] of Object.entries({ latency: latencyChart, throughput: throughputChart })) {
    const drawn = chart(document);
    if (drawn !== undefined) writeFileSync(join(FOLDER, `${name}.svg`), drawn);
  }
  await run(DENO, ["fmt", FILE, FOLDER], { cwd: ROOT, quiet: true });
}
