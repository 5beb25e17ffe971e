// Documents: what they list is all that the code has, and what they quote is true.
import { assert, assertEquals } from "@std/assert";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { MemoryNetwork } from "../../adapters/memory.ts";
import * as exported from "../../mod.ts";
import { quickStart } from "../../scripts/quick_start.ts";
import { filesUnder } from "../../scripts/runtimes.ts";
import { checkOptions } from "../../src/options.ts";

interface Vectors {
  readonly vectors: ReadonlyArray<{ readonly hex: string }>;
}

/**
 * Names of the code that a document lists in the first cells of its tables, or as headings: each once, and no other.
 */
interface Listing {
  readonly what: string;
  readonly document: string;
  /** The heading of the section with the tables; absent for the whole document. */
  readonly section?: string;
  /** The names in the code. */
  readonly source: string;
  readonly names: readonly string[];
  readonly areHeadings?: boolean;
}

const DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", ...filesUnder("docs", ".md")];
/** The documents that use public names. */
const FOR_USERS = ["README.md", ...filesUnder("docs", ".md").filter((path) => !/architecture|wire/.test(path))];
/** Names of other programs that documents use. */
const OF_OTHERS: ReadonlySet<string> = new Set([
  "clusterIP",
  "exactOptionalPropertyTypes",
  "hostNetwork",
  "moduleResolution",
  "namespaceSelector",
  "podSelector",
  "publishNotReadyAddresses",
  "setSystemTime",
  "ssrLoadModule",
  "useRealTimers",
]);
const README_LINES = 200;

const { members, metrics } = await namesOfMesh();
const values = Object.entries(exported);
const errors = values.filter(([, value]) => value.prototype instanceof Error).map(([name]) => name);

const LISTINGS: readonly Listing[] = [
  optionsOf("a mesh", "MeshOptions", "src/options.ts"),
  optionsOf("sharedMesh", "SharedMeshOptions", "mod.ts"),
  optionsOf("publish", "PublishOptions", "src/pubsub/sync_bus.ts"),
  optionsOf("subscribe", "SubscribeOptions", "src/pubsub/sync_bus.ts"),
  optionsOf("waitForPeers", "WaitForPeersOptions", "src/membership/peer_waiters.ts"),
  optionsOf("diagnose", "DiagnoseOptions", "src/observability/diagnosis/diagnosis.ts"),
  optionsOf("InProcessBus", "InProcessBusOptions", "src/pubsub/in_process_bus.ts"),
  {
    what: "export",
    document: "docs/api.md",
    section: "Exports",
    source: "mod.ts",
    names: values.map(([name]) => name).filter((name) => !errors.includes(name)),
  },
  { what: "error class", document: "docs/errors.md", section: "Classes", source: "mod.ts", names: errors },
  {
    what: "stage of an error",
    document: "docs/errors.md",
    section: "Stages",
    source: "src/events.ts",
    names: unionOf("src/events.ts", "Stage"),
  },
  {
    what: "member of MeshBus",
    document: "docs/api.md",
    section: "Members of a mesh",
    source: "src/mesh_bus.ts",
    names: members,
  },
  {
    what: "cause",
    document: "docs/api.md",
    section: "Events of a subscription",
    source: "src/pubsub/sync_bus.ts",
    names: unionOf("src/pubsub/sync_bus.ts", "Cause"),
  },
  {
    what: "type of event",
    document: "docs/events.md",
    section: "Types",
    source: "src/events.ts",
    names: matches(read("src/events.ts"), /readonly type: "(\w+)"/g),
  },
  {
    what: "reason of a gap",
    document: "docs/events.md",
    section: "Reasons of a gap",
    source: "src/events.ts",
    names: unionOf("src/events.ts", "GapReason"),
  },
  { what: "metric", document: "docs/metrics.md", source: "src/observability/metrics.ts", names: metrics },
  {
    what: "field of a close report",
    document: "docs/deployment.md",
    section: "Jobs and migrations",
    source: "src/close_report.ts",
    names: membersOf("src/close_report.ts", "CloseReport"),
  },
  {
    what: "finding",
    document: "docs/troubleshooting.md",
    source: "src/observability/diagnosis/diagnosis.ts",
    names: unionOf("src/observability/diagnosis/diagnosis.ts", "FindingCode"),
    areHeadings: true,
  },
];

describe("names of the code", () => {
  for (const listing of LISTINGS) {
    const { document, names, section = "", what } = listing;
    const place = section === "" ? document : `${document}, "${section}",`;

    test(`${place} has each ${what} once, and no other`, () => {
      assert(names.length > 0);
      assertEquals(faultsOf(listing, read(document)), []);
    });

    test(`a ${what} that is renamed or repeated in ${place} is found`, () => {
      const [name = ""] = names;
      const text = read(document);
      const row = new RegExp(listing.areHeadings === true ? `^## ${name}$` : `^\\| \`${name}\` .*$`, "m");
      const [line] = row.exec(sectionOf(text, listing.section, document)) ?? [];
      assert(line !== undefined, `${document} has no line for ${name}`);
      assertEquals(faultsOf(listing, text.replaceAll(line, line.replace(name, "madeUp"))), [
        `${document} lists the ${what} \`madeUp\`, which ${listing.source} does not have`,
        `${listing.source} has the ${what} \`${name}\`, which ${document} does not list`,
      ]);
      assertEquals(faultsOf(listing, text.replace(line, `${line}\n${line}`)), [
        `${document} lists the ${what} \`${name}\` 2 times`,
      ]);
    });
  }

  test("in code marks of documents for users are words of the code", () => {
    const words = wordsOfCode();
    assertEquals(FOR_USERS.flatMap((document) => unknownWords(document, read(document), words)), []);
  });

  test("that are made up are found", () => {
    const text = "`openMesh({ madeUp: 1 })`, `mesh.inventedToo`, `MadeUpError`\n\n```js\nnotLooked.atHere();\n```\n";
    assertEquals(unknownWords("docs/x.md", text, wordsOfCode()), [
      "docs/x.md names `madeUp`, which the code does not have",
      "docs/x.md names `inventedToo`, which the code does not have",
      "docs/x.md names `MadeUpError`, which the code does not have",
    ]);
  });
});

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
    for (const document of DOCUMENTS) {
      const links = matches(read(document), /\]\(([^)#:]+)(?:#[^)]*)?\)/g);
      const broken = links.filter((link) => !existsSync(new URL(link, url(document))));
      assertEquals(broken, [], document);
    }
  });

  test("link to files of the repository that exist", () => {
    const sources = [...DOCUMENTS, ...filesUnder(".github", ".md"), ...filesUnder(".github", ".yml")];
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

/**
 * The anchors that GitHub, npm and JSR make of headings: without punctuation, in small letters, with hyphens for
 * spaces.
 */
function anchors(text: string): string[] {
  return matches(text, /^#+ (.*)$/gm).map((title) =>
    title.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
  );
}

/** The first group of each match. */
function matches(text: string, pattern: RegExp): string[] {
  return Array.from(text.matchAll(pattern), ([, group = ""]) => group);
}

/** The text of a section, with the sections under it. Without a title, the whole text. */
function sectionOf(text: string, title: string | undefined, document: string): string {
  if (title === undefined) return text;
  const [, marks = "", after] = new RegExp(`^(#+) ${title}\n([^]*)`, "m").exec(text) ?? [];
  assert(after !== undefined, `${document} has no section "${title}"`);
  return after.split(new RegExp(`^#{1,${marks.length}} `, "m"))[0] ?? "";
}

/** Describes what is wrong with the names that a document lists. */
function faultsOf({ areHeadings, document, names, section, source, what }: Listing, text: string): string[] {
  const part = sectionOf(text, section, document);
  const listed = matches(part, areHeadings === true ? /^## ([\w-]+)$/gm : /^\| `([\w.]+)` +\|/gm);
  const twice = [...new Set(listed)].filter((name) => listed.indexOf(name) !== listed.lastIndexOf(name));
  return [
    ...listed.filter((name) => !names.includes(name))
      .map((name) => `${document} lists the ${what} \`${name}\`, which ${source} does not have`),
    ...names.filter((name) => !listed.includes(name))
      .map((name) => `${source} has the ${what} \`${name}\`, which ${document} does not list`),
    ...twice.map((name) =>
      `${document} lists the ${what} \`${name}\` ${listed.filter((other) => other === name).length} times`
    ),
  ];
}

function optionsOf(what: string, type: string, source: string): Listing {
  const names = membersOf(source, type);
  return { what: `option of ${what}`, document: "docs/options.md", section: `Options of ${what}`, source, names };
}

/** The names of an interface's fields. */
function membersOf(path: string, name: string): string[] {
  const [, text] = new RegExp(`^export interface ${name} .*?{\n(.*?)^}`, "ms").exec(read(path)) ?? [];
  assert(text !== undefined, `${path} has no interface ${name}`);
  return matches(text, /^ {2}readonly (\w+)\??:/gm);
}

/** The texts of a union. */
function unionOf(path: string, name: string): string[] {
  const code = withoutComments(read(path));
  const [, text] = new RegExp(`^export type ${name} =([^;]*);`, "m").exec(code) ?? [];
  assert(text !== undefined, `${path} has no type ${name}`);
  return matches(text, /"([\w-]+)"/g);
}

/** The public members of a mesh, and its metrics. */
async function namesOfMesh(): Promise<{ readonly members: readonly string[]; readonly metrics: readonly string[] }> {
  const network = new MemoryNetwork();
  const mesh = await exported.MeshBus.open({ ...network.host("10.0.0.1") });
  const metrics = Object.keys(mesh.metrics());
  await network.clock.run(mesh.close(), 2000);
  const ofClass = Object.getOwnPropertyNames(exported.MeshBus).filter((name) =>
    !["length", "name", "prototype"].includes(name)
  );
  const ofAll = Reflect.ownKeys(exported.MeshBus.prototype).filter((name) => name !== "constructor");
  const names = ofAll.map((name) => name === Symbol.asyncDispose ? "Symbol.asyncDispose" : String(name));
  return { members: [...ofClass, ...names, ...Object.keys(mesh)], metrics };
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

/** The cells of a row. A vertical bar in code does not separate them. */
function cells(row: string): string[] {
  return row.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim().replace(/^`(.*)`$/, "$1"));
}

function lengthFaults(text: string): string[] {
  const lines = text.split("\n").length - 1;
  return lines > README_LINES ? [`README.md has ${lines} lines: it may have at most ${README_LINES}`] : [];
}

/** Names in code marks outside of blocks that are no word of the code: those with a capital letter inside. */
function unknownWords(document: string, text: string, words: ReadonlySet<string>): string[] {
  const spans = matches(text.replaceAll(/^```.*?^```$/gms, ""), /`([^`]+)`/g);
  const names = spans.filter((span) => !/:\/\/|--|\.(?:sh|svg|md)\b|[\w-]\/[\w-]/.test(span))
    .flatMap((span) => matches(span, /(?<![\w-])((?=\w*[a-z])[A-Za-z][a-z0-9]*[A-Z]\w*)(?![\w-])/g));
  const unknown = [...new Set(names)].filter((name) => !words.has(name) && !OF_OTHERS.has(name));
  return unknown.map((name) => `${document} names \`${name}\`, which the code does not have`);
}

function wordsOfCode(): ReadonlySet<string> {
  const files = ["mod.ts", ...["src", "adapters", "cli"].flatMap((folder) => filesUnder(folder, ".ts"))];
  return new Set(files.flatMap((file) => withoutComments(read(file)).match(/\w+/g) ?? []));
}

function withoutComments(code: string): string {
  return code.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");
}

/** The hexadecimal words at the beginnings of lines; the text after them explains. */
function hexOf(block: string): string {
  return block.split("\n").flatMap((line) => {
    const words = line.split(/ +/);
    const end = words.findIndex((word) => !/^(?:[0-9a-f]{2})+$/.test(word));
    return end < 0 ? words : words.slice(0, end);
  }).join("");
}
