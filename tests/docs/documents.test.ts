// Documents: their numbers, quotations and links. What they name of the code is in listings.test.ts and names.test.ts.
import { assert, assertEquals } from "@std/assert";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { quickStart } from "../../scripts/quick_start.ts";
import { filesUnder } from "../../scripts/runtimes.ts";
import { checkOptions } from "../../src/options.ts";
import { anchors, cells, DOCUMENTS, matches, PAGES, read, sectionOf, url } from "./documents.ts";

interface Vectors {
  readonly vectors: ReadonlyArray<{ readonly hex: string }>;
}

const README_LINES = 200;

describe("options.md", () => {
  test("has the defaults and the ranges of the code", () => {
    assertEquals(valueFaults(read("docs/options.md")), []);
  });

  test("with another default or range is found", () => {
    const text = read("docs/options.md");
    const row = /^\| `queueSize` .*$/m;
    assertEquals(valueFaults(text.replace(row, "| `queueSize` | 1001 | 1–1,000,000 | x |")), [
      "docs/options.md says that the default of `queueSize` is 1001: it is 1000",
    ]);
    assertEquals(valueFaults(text.replace(row, "| `queueSize` | 1000 | 2–999,999 | x |")), [
      "docs/options.md says that `queueSize` may be 2 at least: 1 is taken",
      "docs/options.md says that `queueSize` may be 999999 at most: 1000000 is taken",
    ]);
    assertEquals(valueFaults(text.replace(row, "| `queueSize` | 1000 | 0–1,000,000 | x |")), [
      "docs/options.md says that `queueSize` may be 0: it is refused",
    ]);
  });
});

describe("metrics.md", () => {
  test("has the kind of each metric, its unit, and when to act", () => {
    const rows = matches(read("docs/metrics.md"), /^(\| `\w+` .*)$/gm).map((row) => cells(row));
    assertEquals(rows.filter(([, kind]) => kind !== "counter" && kind !== "gauge"), []);
    assertEquals(rows.filter((row) => row.length !== 5 || row.includes("")), []);
  });

  test("calls the metrics of a present value a gauge", () => {
    const gauges = matches(read("docs/metrics.md"), /^\| `(\w+)` +\| gauge /gm);
    const comments = read("src/observability/metrics.ts").matchAll(
      /\/\*\*((?:(?!\*\/)[^])*)\*\/\s+readonly (\w+): number;/g,
    );
    const ofNow = Array.from(comments).filter(([, comment = ""]) => /\bnow\b/.test(comment)).map(([, , name]) =>
      name ?? ""
    );
    assert(ofNow.length > 3);
    assertEquals(ofNow.filter((name) => !gauges.includes(name)), []);
  });
});

describe("README.md", () => {
  test(`has at most ${README_LINES} lines`, () => {
    assertEquals(lengthFaults(read("README.md")), []);
    assertEquals(lengthFaults("\n".repeat(README_LINES)), []);
    assertEquals(lengthFaults("\n".repeat(README_LINES + 1)), ["README.md has 201 lines: it may have at most 200"]);
  });

  test("has the two commands that set everything up", () => {
    for (const command of ["npm install && npm start", "npm install && npm test"]) {
      assert(new RegExp(`^${command}\\b`, "m").test(read("README.md")), command);
    }
  });

  test("has four rules, as other documents state", () => {
    const rules = sectionOf(read("README.md"), "Four rules", "README.md");
    assertEquals(matches(rules, /^(\d)\. /gm), ["1", "2", "3", "4"]);
    for (const document of DOCUMENTS) {
      assertEquals(matches(read(document), /\b(\w+) rules\]\(/g).filter((word) => word !== "four"), []);
    }
  });
});

describe("documents", () => {
  test("wire.md quotes datagrams that are test vectors", () => {
    const files = ["tests/vectors/go-warp.json", "tests/vectors/extension.json"];
    const known = new Set(files.flatMap((file) => (JSON.parse(read(file)) as Vectors).vectors.map(({ hex }) => hex)));
    const quoted = matches(read("docs/wire.md"), /^```text\n(.*?)^```$/gms).map(hexOf);
    assert(quoted.length > 0);
    assertEquals(quoted.filter((hex) => !known.has(hex)), []);
  });

  test("README.md starts with a program and its command on each runtime, which an example repeats", () => {
    const { file, code, commands, output } = quickStart();
    // A module on every Node, whatever the manifest's `type`, without a step that removes types.
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
    assertEquals([...DOCUMENTS, ...PAGES].flatMap((document) => brokenLinks(document, read(document))), []);
  });

  test("of each folder are among those whose links are followed", () => {
    for (const page of ["src/wire/README.md", "src/pubsub/README.md", "adapters/README.md", "bench/README.md"]) {
      assert(PAGES.includes(page), page);
    }
  });

  test("link to files of the repository that exist", () => {
    const sources = [...DOCUMENTS, ...PAGES, ...filesUnder(".github", ".md"), ...filesUnder(".github", ".yml")];
    const links = sources.flatMap((source) =>
      matches(read(source), /https:\/\/github\.com\/warp-mesh\/bus\/(?:blob|tree)\/main\/([^\s)#"]+)/g)
    );
    assert(links.length > 10);
    assertEquals(links.filter((link) => !existsSync(url(link))), []);
  });

  test("that are published link to files that are published with them", () => {
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
    assertEquals([...DOCUMENTS, ...PAGES].flatMap((document) => brokenAnchors(document, read(document))), []);
  });

  test("with a link to a file or a heading that does not exist are found", () => {
    const text = "# A b\n\n```sh\n# c\n```\n[a](#a-b), [b](../../docs/wire.md#madeUp), [c](#c), [d](made_up.ts)\n";
    assertEquals(brokenLinks("src/wire/README.md", text), ["src/wire/README.md: ](made_up.ts)"]);
    assertEquals(brokenAnchors("src/wire/README.md", text), [
      "src/wire/README.md: ](../../docs/wire.md#madeUp)",
      "src/wire/README.md: ](#c)",
    ]);
  });
});

/** The links to files that do not exist. */
function brokenLinks(document: string, text: string): string[] {
  const links = matches(text, /\]\(([^)#:]+)(?:#[^)]*)?\)/g);
  return links.filter((link) => !existsSync(new URL(link, url(document)))).map((link) => `${document}: ](${link})`);
}

/** The links to headings that do not exist, in the document itself or in another. */
function brokenAnchors(document: string, text: string): string[] {
  const links = text.matchAll(/\]\((?:https:\/\/github\.com\/warp-mesh\/bus\/blob\/main\/)?([^)#:]*)#([^)]*)\)/g);
  const broken = [...links].filter(([link, path = "", anchor = ""]) => {
    const base = link.includes("://") ? url("") : url(document);
    const target = path === "" ? text : readFileSync(new URL(path, base), "utf8");
    return !anchors(target).includes(anchor);
  });
  return broken.map(([link]) => `${document}: ${link}`);
}

/** Describes what is wrong with the defaults and ranges that are numbers. */
function valueFaults(text: string): string[] {
  const rows = matches(sectionOf(text, "Options of a mesh", "docs/options.md"), /^(\| `\w+` .*)$/gm).map((row) =>
    cells(row)
  );
  const defaults = new Map<string, unknown>(Object.entries(checkOptions({})));
  return rows.flatMap(([name = "", given = "", range = ""]) => {
    const faults: string[] = [];
    const says = `docs/options.md says that`;
    const value = numberIn(given);
    if (value !== undefined && value !== defaults.get(name)) {
      faults.push(`${says} the default of \`${name}\` is ${value}: it is ${defaults.get(name)}`);
    }
    const [least, most] = range.split("–").map(numberIn);
    if (least === undefined || most === undefined) return faults;
    const takes = (value: number) => {
      // The least `peerTimeout` is that of the least heartbeat.
      const options = { ...name === "peerTimeout" && { heartbeat: 10 }, [name]: value };
      try {
        checkOptions(options);
        return true;
      } catch (error) {
        assert(error instanceof RangeError);
        return false;
      }
    };
    for (const end of [least, most]) {
      if (!takes(end)) faults.push(`${says} \`${name}\` may be ${end}: it is refused`);
    }
    if (faults.length > 0) return faults;
    if (takes(least - 1)) faults.push(`${says} \`${name}\` may be ${least} at least: ${least - 1} is taken`);
    if (takes(most + 1)) faults.push(`${says} \`${name}\` may be ${most} at most: ${most + 1} is taken`);
    return faults;
  });
}

function numberIn(cell: string | undefined): number | undefined {
  return /^[\d,]+$/.test(cell ?? "") ? Number(cell?.replaceAll(",", "")) : undefined;
}

function lengthFaults(text: string): string[] {
  const lines = text.split("\n").length - 1;
  return lines > README_LINES ? [`README.md has ${lines} lines: it may have at most ${README_LINES}`] : [];
}

/** The hexadecimal words at the beginnings of lines; the text after them explains. */
function hexOf(block: string): string {
  return block.split("\n").flatMap((line) => {
    const words = line.split(/ +/);
    const end = words.findIndex((word) => !/^(?:[0-9a-f]{2})+$/.test(word));
    return end < 0 ? words : words.slice(0, end);
  }).join("");
}
