// Holds the documents to the code: what they list is all there is, and what they quote is so.
import { assert, assertEquals } from "@std/assert";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { quickStart } from "../../scripts/quick_start.ts";
import { filesUnder } from "../../scripts/runtimes.ts";

interface Vectors {
  readonly vectors: ReadonlyArray<{ readonly hex: string }>;
}

const DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", ...filesUnder("docs", ".md")];

describe("documents", () => {
  test("README.md lists every option", () => {
    const options = matches(interfaceText("src/options.ts", "MeshOptions"), /^ {2}readonly (\w+)\?:/gm);
    assertEquals(firstCells(section("Options")), options);
  });

  test("README.md lists every event of a mesh", () => {
    const types = matches(read("src/events.ts"), /readonly type: "(\w+)"/g);
    assertEquals(firstCells(section("Events")), types);
  });

  test("README.md names every counter", () => {
    const counters = matches(interfaceText("src/observability/metrics.ts", "MeshMetrics"), /^ {2}readonly (\w+):/gm);
    const text = section("Metrics");
    assertEquals(counters.filter((counter) => !text.includes(`\`${counter}\``)), []);
  });

  test("README.md names every error class that is exported", () => {
    const classes = new Set(matches(read("mod.ts"), /\b(?!Type|Range)(\w+Error)\b/g));
    assertEquals(firstCells(section("API")).filter((name) => name.endsWith("Error")).sort(), [...classes].sort());
  });

  test("troubleshooting.md has a section for each finding", () => {
    const [, union = ""] = /export type FindingCode =([^;]*);/.exec(read("src/observability/diagnosis/diagnosis.ts")) ??
      [];
    const codes = matches(union, /"([\w-]+)"/g);
    assert(codes.length > 20);
    assertEquals(matches(read("docs/troubleshooting.md"), /^## ([\w-]+)$/gm).sort(), codes.sort());
  });

  test("wire.md quotes datagrams that are test vectors", () => {
    const files = ["tests/vectors/go-warp.json", "tests/vectors/extension.json"];
    const known = new Set(files.flatMap((file) => (JSON.parse(read(file)) as Vectors).vectors.map(({ hex }) => hex)));
    const quoted = matches(read("docs/wire.md"), /^```text\n(.*?)^```$/gms).map(hexOf);
    assert(quoted.length > 0);
    assertEquals(quoted.filter((hex) => !known.has(hex)), []);
  });

  test("README.md starts with a program, how each runtime runs it, and the same as an example", () => {
    const { file, code, commands, output } = quickStart();
    // A module on every Node, whatever `type` the manifest has, with no step that removes types.
    assert(file.endsWith(".mjs"));
    assertEquals(commands.map(([runtime, ...args]) => [runtime, args.at(-1)]), [
      ["node", file],
      ["deno", file],
      ["bun", file],
    ]);
    assert(output.endsWith("\n"));
    const program = code.slice(code.indexOf("\n") + 1);
    const example = read("examples/quick_start.ts").replace(/"\.\.\/mod\.ts"; \/\/ in your own code: (".*")/, "$1;");
    assert(program.startsWith("import "));
    assertEquals(example.slice(example.indexOf("import {")), program);
  });

  test("link to files that exist", () => {
    for (const document of DOCUMENTS) {
      const links = matches(read(document), /\]\(([^)#:]+)(?:#[^)]*)?\)/g);
      const broken = links.filter((link) => !existsSync(new URL(link, url(document))));
      assertEquals(broken, [], document);
    }
  });

  test("link to files of the repository that exist, where they name it", () => {
    const sources = [...DOCUMENTS, ...filesUnder(".github", ".md"), ...filesUnder(".github", ".yml")];
    const links = sources.flatMap((source) =>
      matches(read(source), /https:\/\/github\.com\/warp-mesh\/bus\/(?:blob|tree)\/main\/([^\s)#"]+)/g)
    );
    assert(links.length > 10);
    assertEquals(links.filter((link) => !existsSync(url(link))), []);
  });

  test("that are published link to what is published with them", () => {
    const { files }: { readonly files: readonly string[] } = JSON.parse(read("package.json"));
    const { publish }: { readonly publish: { readonly include: readonly string[] } } = JSON.parse(read("jsr.json"));
    const npm = [...files, "README.md", "LICENSE", "package.json"];
    const jsr = publish.include.map((path) => path.replace(/\/\*\*.*$/, ""));
    for (const published of [npm, jsr]) {
      const isPublished = (path: string) => published.some((entry) => path === entry || path.startsWith(`${entry}/`));
      for (const document of DOCUMENTS.filter(isPublished)) {
        const links = matches(read(document), /\]\(([^)#:]+)(?:#[^)]*)?\)/g);
        const paths = links.map((link) => new URL(link, url(document)).href.slice(url("").href.length));
        assertEquals(paths.filter((path) => !isPublished(path)), [], document);
      }
    }
  });

  test("link to headings that exist", () => {
    for (const document of DOCUMENTS) {
      const links = Array.from(
        read(document).matchAll(/\]\((?:https:\/\/github\.com\/warp-mesh\/bus\/blob\/main\/)?([^)#:]*)#([^)]*)\)/g),
      );
      const broken = links.filter(([link, path = "", anchor = ""]) => {
        const base = link.includes("://") ? url("") : url(document);
        const target = path === "" ? url(document) : new URL(path, base);
        return !anchors(readFileSync(target, "utf8")).includes(anchor);
      });
      assertEquals(broken.map(([link]) => link), [], document);
    }
  });
});

function url(path: string): URL {
  return new URL(`../../${path}`, import.meta.url);
}

function read(path: string): string {
  return readFileSync(url(path), "utf8");
}

/** What GitHub, npm and JSR make of headings: without punctuation, in small letters, with hyphens for spaces. */
function anchors(text: string): string[] {
  return matches(text, /^#+ (.*)$/gm).map((title) =>
    title.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
  );
}

/** The first group of each match. */
function matches(text: string, pattern: RegExp): string[] {
  return Array.from(text.matchAll(pattern), ([, group = ""]) => group);
}

/** A section of the README, up to the next heading. */
function section(title: string): string {
  const [, text] = new RegExp(`^#+ ${title}\n(.*?)^#`, "ms").exec(read("README.md")) ?? [];
  assert(text !== undefined, `README.md has a section ${title}`);
  return text;
}

/** What stands in backquotes in the first cells of tables. */
function firstCells(text: string): string[] {
  return matches(text, /^\| `(\w+)` +\|/gm);
}

function interfaceText(path: string, name: string): string {
  const [, text] = new RegExp(`^export interface ${name} .*?{\n(.*?)^}`, "ms").exec(read(path)) ?? [];
  assert(text !== undefined, `${path} has an interface ${name}`);
  return text;
}

/** The hexadecimal words that lines begin with; what comes after them explains. */
function hexOf(block: string): string {
  return block.split("\n").flatMap((line) => {
    const words = line.split(/ +/);
    const end = words.findIndex((word) => !/^(?:[0-9a-f]{2})+$/.test(word));
    return end < 0 ? words : words.slice(0, end);
  }).join("");
}
