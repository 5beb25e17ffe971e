// Files that documents and comments name: each exists.
import { assert, assertEquals } from "@std/assert";
import { describe, test } from "node:test";
import { filesUnder } from "../../scripts/runtimes.ts";
import { DOCUMENTS, matches, PAGES, read, spansOfComments } from "./documents.ts";

const FOLDERS = [
  "adapters",
  "bench",
  "cli",
  "conformance",
  "docs",
  "examples",
  "findings",
  "scripts",
  "src",
  "tests",
] as const;
/** Documents that name files of the package, or of this repository; others name the reader's own. */
const OF_THE_CODE = [
  "CONTRIBUTING.md",
  ...DOCUMENTS.filter((document) => /architecture|wire|performance/.test(document)),
  ...PAGES,
];
/** Where a document that stands elsewhere has the files that it names without their folder. */
const HOME: Readonly<Record<string, string>> = { "docs/architecture.md": "src", "docs/performance.md": "bench" };

const files = ["mod.ts", ...FOLDERS.flatMap((folder) => filesUnder(folder, ".ts"))];

describe("files that comments name", () => {
  test("exist, in whatever folder", () => {
    const faulty = files.flatMap((file) => commentFaults(file, read(file)));
    assertEquals(faulty, []);
  });

  test("and do not exist are found", () => {
    const code =
      `/** As in \`pacer.ts\` and \`net/gone.ts\`. */\n// See \`wire/pacer.ts\`.\nconst text = \`net/text.ts\`;\n`;
    assertEquals(commentFaults("src/a.ts", code), [
      "src/a.ts names net/gone.ts, which does not exist",
      "src/a.ts names wire/pacer.ts, which does not exist",
    ]);
  });
});

describe("files that documents name", () => {
  test("exist", () => {
    assert(namesIn(read("docs/architecture.md")).length > 60);
    assertEquals(OF_THE_CODE.flatMap((document) => faults(document, read(document))), []);
  });

  test("and do not exist are found", () => {
    const text = [
      "`net/pacer.ts`, `pacer.ts` of `net`, `src/net/pacer.ts`, `tests/docs/named_files.test.ts`, `*.deno.ts`",
      "| of x | `net/made_up.ts` |",
      "`made_up.ts` and `membership/pacer.ts`, [`here.ts`](x.ts)",
      '```mermaid\nbatcher["pubsub/made_up.ts"]\n```',
    ].join("\n");
    assertEquals(faults("docs/architecture.md", text), [
      "docs/architecture.md names net/made_up.ts, which does not exist",
      "docs/architecture.md names made_up.ts, which does not exist",
      "docs/architecture.md names membership/pacer.ts, which does not exist",
      "docs/architecture.md names here.ts, which does not exist",
      "docs/architecture.md names pubsub/made_up.ts, which does not exist",
    ]);
    const page = "`pacer.ts`, `pubsub/batcher.ts`, `mesh_bus.ts`, `batcher.ts`";
    assertEquals(faults("src/net/README.md", page), ["src/net/README.md names batcher.ts, which does not exist"]);
    assertEquals(faults("src/net/README.md", `${page} of \`pubsub/\``), []);
  });
});

/** The files in code marks, and in the boxes of pictures. `NAME` stands for any. */
function namesIn(text: string): string[] {
  return matches(text, /[`"]((?:[\w-]+\/)*[\w.-]+\.ts)(?=[`"])/g).filter((name) => !/\bNAME\b/.test(name));
}

/**
 * The files that are neither in the document's folder or one under it, nor in the folder that it is about, nor
 * directly in a folder that it names, in `src` or in the project's folder.
 */
function faults(document: string, text: string): string[] {
  const home = HOME[document] ?? document.replace(/\/?[^/]*$/, "");
  const named = matches(text, /`((?:[\w-]+\/)*[\w-]+)\/?`/g);
  const folders = ["", "src/", ...named.flatMap((folder) => [`${folder}/`, `src/${folder}/`])];
  const isThere = (name: string) =>
    folders.some((folder) => files.includes(`${folder}${name}`)) ||
    (home !== "" && files.some((file) => file.startsWith(`${home}/`) && file.endsWith(`/${name}`)));
  return namesIn(text).filter((name) => !isThere(name)).map((name) =>
    `${document} names ${name}, which does not exist`
  );
}

/** The files in the comments that no path ends with. */
function commentFaults(file: string, code: string): string[] {
  const names = spansOfComments(code).flatMap((span) => namesIn(`\`${span}\``));
  return names.filter((name) => !files.some((other) => other === name || other.endsWith(`/${name}`)))
    .map((name) => `${file} names ${name}, which does not exist`);
}
