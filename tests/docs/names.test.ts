// Names in code marks: documents and comments use no name that the code does not have, or no longer has.
import { assert, assertEquals } from "@std/assert";
import { describe, test } from "node:test";
import { filesUnder } from "../../scripts/runtimes.ts";
import {
  DOCUMENTS,
  FOR_USERS,
  matches,
  PAGES,
  read,
  sectionOf,
  spansOf,
  spansOfComments,
  unionOf,
  url,
  withoutComments,
} from "./documents.ts";

/** The members of public types, by the name of the type. */
type PublicTypes = ReadonlyMap<string, ReadonlySet<string>>;

/** A name that is gone from one place and is still right in others. */
interface Kept {
  readonly name: string;
  readonly places: RegExp;
  readonly reason: string;
}

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
/** Words with hyphens that are no code of a finding. */
const HYPHENATED: ReadonlySet<string> = new Set([
  "go-warp", // a value of the option `wire`
  "phase-production-build", // a value of Next's NEXT_PHASE
  "nats-server", // programs that the benchmark starts
  "redis-server",
]);
/** What stands before a dot and belongs to a runtime, a test runner, a system, or is the name of a host. */
const OBJECTS_OF_OTHERS: ReadonlySet<string> = new Set([
  "Date",
  "Deno",
  "JSON",
  "Math",
  "Number",
  "Symbol",
  "cache",
  "console",
  "dns",
  "import",
  "jest",
  "net",
  "performance",
  "tasks",
]);
/** The types of what documents call so; `()` is a call. What has another name may be of any public type. */
const TYPES_OF: ReadonlyMap<string, readonly string[]> = new Map([
  ["MeshBus", ["MeshBus"]],
  ["bus", ["InProcessBus"]],
  ["diagnose()", ["Diagnosis", "Observed"]],
  ["events", ["MeshEvents"]],
  ["guard", ["LoadGuard"]],
  ["guard()", ["LoadGuard"]],
  ["mesh", ["MeshBus"]],
  ["metrics()", ["MeshMetrics"]],
  ["network", ["MemoryNetwork"]],
  ["peers()", ["Array"]],
  ["status()", ["MeshStatus"]],
  ["subscription", ["Subscription"]],
]);
/** Old names that are right elsewhere. */
const KEPT: readonly Kept[] = [
  { name: "repair", places: /^bench\/|^docs\/performance\.md$/, reason: "a group of figures of the benchmark" },
];
const CODE_FOLDERS = ["src", "adapters", "cli", "conformance"] as const;

const codeFiles = ["mod.ts", ...CODE_FOLDERS.flatMap((folder) => filesUnder(folder, ".ts"))];

describe("words with a capital letter inside", () => {
  test("in documents for users are words of the code", () => {
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

describe("words with hyphens", () => {
  const codes = new Set(unionOf("src/observability/diagnosis/diagnosis.ts", "FindingCode"));

  test("in documents and comments are codes of findings", () => {
    assert(codes.size > 20);
    assertEquals(everywhere((place, spans) => unknownCodes(place, spans, codes)), []);
  });

  test("that are made up are found", () => {
    const spans = spansOf('`cannot-send`, `"cannot-open"`, `no-peers`, `--made-up`, `made-up.ts`, `wire: "go-warp"`');
    assertEquals(unknownCodes("docs/x.md", spans, codes), [
      "docs/x.md names `cannot-send`, which is no code of a finding",
      "docs/x.md names `cannot-open`, which is no code of a finding",
    ]);
  });
});

describe("names after a dot", () => {
  const types = publicTypes();

  test("in documents for users are members of public types", () => {
    for (const names of TYPES_OF.values()) for (const name of names) assert(types.has(name), name);
    assertEquals(FOR_USERS.flatMap((document) => unknownMembers(document, spansOf(read(document)), types)), []);
  });

  test("that are made up, or members of another type, are found", () => {
    const spans = spansOf([
      "`mesh.metrics().repaired`, `peers[0].asked`, `status().questions`, `await mesh.diagnose(options).strangers`",
      "`mesh.staleness`, `report.asker`, `mesh.metrics().gaps`, `mesh.status().peers[0].stateFor`, `Math.fround(1.5)`",
      "`net.core.rmem_max`, `cache.default.svc:7946`, `openMesh({ peers: ['made.up'] })`, `mesh.events.madeUp()`",
    ].join("\n"));
    assertEquals(unknownMembers("docs/x.md", spans, types), [
      "docs/x.md names `repaired` of `metrics()`, which has no such member",
      "docs/x.md names `asked` of `peers[]`, which has no such member",
      "docs/x.md names `questions` of `status()`, which has no such member",
      "docs/x.md names `strangers` of `diagnose()`, which has no such member",
      "docs/x.md names `staleness` of `mesh`, which has no such member",
      "docs/x.md names `asker` of `report`, which has no such member",
      "docs/x.md names `madeUp` of `events`, which has no such member",
    ]);
  });
});

describe("names that were changed", () => {
  const renamed = renamedIn(read("CHANGELOG.md"));

  test("are in no document and no comment", () => {
    assert(renamed.length > 20);
    assertEquals(everywhere((place, spans) => oldNames(place, spans, renamed)), []);
  });

  test("are found", () => {
    for (const { before } of renamed) {
      assertEquals(oldNames("docs/x.md", [`x.${before}`, `${before}()`], renamed).length, 2, before);
      assertEquals(
        oldNames("src/x.ts", spansOfComments(`/** {@linkcode Type.${before}} */`), renamed).length,
        1,
        before,
      );
      assertEquals(oldNames("src/x.ts", spansOfComments(`  // As \`${before}\` says.\n`), renamed).length, 1, before);
    }
    assertEquals(oldNames("docs/performance.md", ["repair", "Ways", "other-ports", "cannot-send.ts"], renamed), [
      "docs/performance.md names `Ways`, which is `Paths` now",
    ]);
    assertEquals(spansOfComments("const text = `asked`;"), []);
    assertEquals(renamedIn("### Renamed\n\n| flag | `--no-a` | `--no-b` |\n\n### Other\n\n| x | `y` | `z` |\n"), [
      { before: "--no-a", now: "`--no-b`" },
    ]);
  });

  test("and are kept elsewhere are old names", () => {
    const names = new Set(renamed.map(({ before }) => before));
    assertEquals(KEPT.filter(({ name }) => !names.has(name)), []);
  });
});

/** The faults of what stands in code marks in each document but the changelog, and in the comments of each file. */
function everywhere(faults: (place: string, spans: readonly string[]) => string[]): string[] {
  const documents = [...DOCUMENTS.filter((document) => document !== "CHANGELOG.md"), ...PAGES];
  return [
    ...documents.flatMap((document) => faults(document, spansOf(read(document)))),
    ...codeFiles.flatMap((file) => faults(file, spansOfComments(read(file)))),
  ];
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
  return new Set(codeFiles.flatMap((file) => withoutComments(read(file)).match(/\w+/g) ?? []));
}

/** Words with hyphens, in quotes or not, that are no code of a finding. */
function unknownCodes(document: string, spans: readonly string[], codes: ReadonlySet<string>): string[] {
  const words = spans.flatMap((span) => matches(span, /^"?([a-z]+(?:-[a-z]+)+)"?$/g));
  return words.filter((word) => !codes.has(word) && !HYPHENATED.has(word))
    .map((word) => `${document} names \`${word}\`, which is no code of a finding`);
}

/** Names after a dot that no public type has; after what has a type of its own, those that this type does not have. */
function unknownMembers(document: string, spans: readonly string[], types: PublicTypes): string[] {
  const ofAny = new Set([...types.values()].flatMap((members) => [...members]));
  return spans.filter((span) => !/\/|--|\.(?:json|js|md|mjs|sh|svg|ts|yaml)\b/.test(span)).flatMap((span) => {
    const code = span.replaceAll(/"[^"]*"|'[^']*'/g, '""').replaceAll(/\([^()]*\)/g, "()").replaceAll(
      /\[[^\]]*\]/g,
      "[]",
    );
    const chains = matches(code, /(?<![\w.$-])([A-Za-z_]\w*(?:\(\)|\[\])?(?:\.[A-Za-z_]\w*(?:\(\)|\[\])?)+)/g);
    return chains.map((chain) => chain.split(".")).filter(([root = ""]) => !OBJECTS_OF_OTHERS.has(root)).flatMap((
      parts,
    ) =>
      parts.slice(1).flatMap((part, i) => {
        const owner = parts[i] ?? "";
        const member = part.replace(/\W+$/, "");
        const own = TYPES_OF.get(owner)?.flatMap((type) => [...types.get(type) ?? []]);
        const isThere = own?.includes(member) ?? ofAny.has(member);
        return isThere ? [] : [`${document} names \`${member}\` of \`${owner}\`, which has no such member`];
      })
    );
  });
}

/** The types that the package exports, the simulated network, and arrays. */
function publicTypes(): PublicTypes {
  const types = new Map<string, ReadonlySet<string>>([["Array", new Set(["length"])]]);
  const sources = ["mod.ts", "adapters/memory.ts", "conformance/mod.ts"].flatMap((file) => {
    const exports = Array.from(read(file).matchAll(/^export (?:type )?\{([^}]*)\} from "([^"]+)";/gm));
    const own = matches(read(file), /^export (?:interface|class|type) (\w+)/gm).map((name) => ({ name, path: file }));
    const inRoot = (path: string) => new URL(path, url(file)).href.slice(url("").href.length);
    const others = exports.flatMap(([, names = "", path = ""]) =>
      matches(names, /(\w+)(?=\s*(?:,|$))/g).map((name) => ({ name, path: inRoot(path) }))
    );
    return [...own, ...others];
  });
  for (const { name, path } of sources) types.set(name, new Set(membersIn(withoutComments(read(path)), name)));
  return types;
}

/** The members of an interface or class, or the fields of the objects in a union. */
function membersIn(code: string, name: string): string[] {
  const [, body] = new RegExp(`^export (?:interface|class) ${name}\\b.*?\\{\n(.*?)^\\}`, "ms").exec(code) ?? [];
  const [, alias = ""] = new RegExp(`^export type ${name}\\b(.*?);\n(?:\n|$)`, "ms").exec(code) ?? [];
  if (body === undefined) return matches(alias, /\breadonly (\w+)\??:/g);
  const own = matches(body, /^ {2}(?:(?:readonly|static|override|async|get) )*(\w+)\??[:(<;]/gm);
  // Fields of objects inside of it.
  return [...own, ...matches(body, /^ {4,}readonly (\w+)\??:/gm)];
}

/** The names before and now in the table of what was renamed. */
function renamedIn(changelog: string): Array<{ readonly before: string; readonly now: string }> {
  const rows = sectionOf(changelog, "Renamed", "CHANGELOG.md").matchAll(/^\| [^|]+ \| `([^`]+)` +\| `([^`]+)` +\|/gm);
  const names = Array.from(rows, ([, before = "", now = ""]) => ({ before, now }));
  // A name may have become two, each at its place.
  return [...new Set(names.map(({ before }) => before))].map((before) => ({
    before,
    now: names.filter((name) => name.before === before).map(({ now }) => `\`${now}\``).join(" or "),
  }));
}

/** The old names that stand in code marks, but for those that are right there. */
function oldNames(place: string, spans: readonly string[], renamed: ReturnType<typeof renamedIn>): string[] {
  return renamed.flatMap(({ before, now }) => {
    if (KEPT.some(({ name, places }) => name === before && places.test(place))) return [];
    const word = new RegExp(`(?<![\\w-])${before}(?![\\w-]|\\.(?:ts|md)\\b)`);
    return spans.filter((span) => word.test(span)).map(() => `${place} names \`${before}\`, which is ${now} now`);
  });
}
