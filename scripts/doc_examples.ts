/**
 * Type-checks and runs the examples: the code blocks of README.md, docs/*.md and the doc comments, each as a module of
 * its own against the built package.
 *
 * A block marked `ts` is run, one marked `ts no-run` is type-checked only. An example that is run stays on this
 * machine: if it opens a mesh, it names 127.0.0.1. Where "It prints:" and a `text` block follow in a document, its
 * output must be that.
 *
 * @module
 */

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "./run.ts";
import { CACHE, filesUnder, ROOT, TSC } from "./runtimes.ts";

interface Example {
  readonly source: string;
  /** The line in `source` on which the code starts, from 1. */
  readonly line: number;
  readonly code: string;
  readonly runs: boolean;
  /** The output that the document states, if it does. */
  readonly output: string | undefined;
}

const FENCE = /^( \* |)```ts( no-run)?\n([^]*?)^\1```$/gm;
const OUTPUT = /^\n\nIt prints:\n\n```text\n((?:.*\n)*?)```\n/;
const EXAMPLE_TIMEOUT_MS = 30_000;
// Inside the project, so that the package's own name resolves to the built package.
const FOLDER = join(CACHE, "doc_examples");

if (!existsSync(join(ROOT, "dist", "mod.js"))) throw new Error("Cannot check examples before `npm run build`");
const sources = [
  "README.md",
  ...filesUnder("docs", ".md"),
  "mod.ts",
  ...filesUnder("src", ".ts"),
  ...filesUnder("adapters", ".ts"),
];
const examples = sources.filter((source) => existsSync(join(ROOT, source))).flatMap(examplesOf);
if (examples.length === 0) throw new Error("Cannot check examples as there are none");

rmSync(FOLDER, { recursive: true, force: true });
mkdirSync(FOLDER, { recursive: true });
for (const example of examples) {
  // Empty lines before the code make the line numbers in error messages equal to those in the source.
  writeFileSync(fileOf(example), "\n".repeat(example.line - 1) + example.code);
}
writeFileSync(
  join(FOLDER, "tsconfig.json"),
  JSON.stringify({
    extends: "../../tsconfig.all.json",
    compilerOptions: { rootDir: "../..", moduleDetection: "force", noUnusedLocals: false, noUnusedParameters: false },
    files: [],
    include: ["*.ts"],
    exclude: [],
  }),
);

const checked = await run(process.execPath, [TSC, "-p", FOLDER], { cwd: ROOT });
let failures = checked.ok ? 0 : 1;
for (const example of examples.filter(({ runs }) => runs)) {
  if (!await passes(example)) failures++;
}
console.log(
  `${examples.length} examples type-checked, ${examples.filter(({ runs }) => runs).length} run, ${failures} failed`,
);
process.exitCode = failures === 0 ? 0 : 1;

function examplesOf(source: string): Example[] {
  const text = readFileSync(join(ROOT, source), "utf8");
  return [...text.matchAll(FENCE)].map(({ index, 0: block, 1: margin = "", 2: mark, 3: code = "" }) => ({
    source,
    line: text.slice(0, index).split("\n").length + 1,
    code: code.split("\n").map((line) =>
      line.startsWith(margin) ? line.slice(margin.length) : line.replace(/^ \*$/, "")
    ).join("\n"),
    runs: mark === undefined,
    output: OUTPUT.exec(text.slice(index + block.length))?.[1],
  }));
}

function fileOf({ source, line }: Example): string {
  return join(FOLDER, `${source.replaceAll("/", "_")}_${line}.ts`);
}

async function passes(example: Example): Promise<boolean> {
  const place = `${example.source}:${example.line}`;
  if (/\bopenMesh\(/.test(example.code) && !example.code.includes("127.0.0.1")) {
    console.log(`${place} opens a mesh without \`interface: "127.0.0.1"\`: mark it \`ts no-run\``);
    return false;
  }
  const options = { cwd: ROOT, quiet: true, timeout: EXAMPLE_TIMEOUT_MS };
  const { ok, output } = await run(process.execPath, ["--import", "tsx", fileOf(example)], options);
  const printsAsSaid = example.output === undefined || example.output === output;
  console.log(`${place} ${ok ? "ran" : "FAILED"}${printsAsSaid ? "" : ` and printed something else:\n${output}`}`);
  return ok && printsAsSaid;
}
