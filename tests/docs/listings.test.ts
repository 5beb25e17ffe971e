// Listings: the names of the code that documents list, each once and no other.
import { assert, assertEquals } from "@std/assert";
import { describe, test } from "node:test";
import { MemoryNetwork } from "../../adapters/memory.ts";
import { OPTION_NAMES } from "../../cli/arguments.ts";
import * as exported from "../../mod.ts";
import { DOCUMENTS, matches, membersOf, read, sectionOf, unionOf, withoutComments } from "./documents.ts";

/** Names of the code that a document lists: each once, and no other. */
interface Listing {
  readonly what: string;
  readonly document: string;
  /** The heading of the section with the list; absent for the whole document. */
  readonly section?: string;
  /** Where the names come from. */
  readonly source: string;
  readonly names: readonly string[];
  /** What begins with a name: rows of tables and items of lists, unless said otherwise. */
  readonly place?: keyof typeof PLACES;
}

/** Lines that begin with a name of a listing. */
const PLACES = {
  row: /^(?:\| |- )`([\w.-]+)`/gm,
  nested: /^ {2}- `([\w.-]+)`/gm,
  heading: /^## ([\w-]+)$/gm,
  /** Rows of a document that has other rows: those with a word like `EACCES`. */
  errorCode: /^(?:\| |- )`(E[A-Z]+)`/gm,
} as const;

const EVENTS = "src/events.ts";
const EVENTS_DOCUMENT = "docs/events.md";
/** Flags of other programs that documents name: of Deno, Node, npm and programs of the repository. */
const FLAGS_OF_OTHERS: ReadonlySet<string> = new Set(["--allow-sys", "--unstable-net"]);

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
    place: "heading",
  },
  {
    what: "code of a BindError",
    document: "docs/errors.md",
    source: "src/platform/datagram_socket.ts",
    names: unionOf("src/platform/datagram_socket.ts", "BindErrorCode"),
    place: "errorCode",
  },
  {
    what: "field of a status",
    document: "docs/guarantees.md",
    section: "What you can ask",
    source: "src/observability/status.ts",
    names: membersOf("src/observability/status.ts", "MeshStatus"),
  },
  {
    what: "state of a mesh",
    document: "docs/guarantees.md",
    section: "What you can ask",
    source: "src/observability/status.ts",
    names: unionOf("src/observability/status.ts", "MeshState"),
    place: "nested",
  },
  {
    what: "field of a peer's status",
    document: "docs/api.md",
    section: "Status of a peer",
    source: "src/observability/status.ts",
    names: membersOf("src/observability/status.ts", "PeerStatus"),
  },
  {
    what: "field of a lost peer",
    document: "docs/api.md",
    section: "Lost peers",
    source: "src/membership/departed_peers.ts",
    names: [
      ...membersOf(EVENTS, "Peer"),
      ...membersOf("src/membership/departed_peers.ts", "LostPeer"),
    ],
  },
  {
    what: "field of the report",
    document: "docs/troubleshooting.md",
    section: "The report",
    source: "cli/doctor.ts",
    names: membersOf("cli/doctor.ts", "DoctorReport"),
  },
  {
    what: "flag",
    document: "docs/troubleshooting.md",
    section: "The flags",
    source: "cli/arguments.ts",
    names: OPTION_NAMES.map((name) => `--${name}`),
  },
];

describe("names of the code", () => {
  for (const listing of LISTINGS) {
    const { document, names, place = "row", section = "", what } = listing;
    const where = section === "" ? document : `${document}, "${section}",`;

    test(`${where} has each ${what} once, and no other`, () => {
      assert(names.length > 0);
      assertEquals(faultsOf(listing, read(document)), []);
    });

    test(`a ${what} that is renamed or repeated in ${where} is found`, () => {
      const [name = ""] = names;
      const madeUp = place === "errorCode" ? "EMADEUP" : "madeUp";
      const text = read(document);
      const lines = sectionOf(text, listing.section, document).split("\n");
      const line = lines.find((line) => matches(line, PLACES[place]).includes(name));
      assert(line !== undefined, `${document} has no line for ${name}`);
      assertEquals(faultsOf(listing, text.replaceAll(line, () => line.replace(name, madeUp))), [
        `${document} lists the ${what} \`${madeUp}\`, which ${listing.source} does not have`,
        `${listing.source} has the ${what} \`${name}\`, which ${document} does not list`,
      ]);
      assertEquals(faultsOf(listing, text.replaceAll(line, () => `${line}\n${line}`)), [
        `${document} lists the ${what} \`${name}\` 2 times`,
      ]);
    });
  }
});

describe("fields of events", () => {
  const fields = fieldsOfEvents();

  test(`${EVENTS_DOCUMENT} lists those of each event, once`, () => {
    assert(fields.size > 15);
    assertEquals(fieldFaults(read(EVENTS_DOCUMENT), fields), []);
  });

  test("that are renamed, left out or repeated are found", () => {
    const text = read(EVENTS_DOCUMENT);
    const [row = ""] = /^\| `slowCallback` +\| `topic`.*$/m.exec(sectionOf(text, "Fields", EVENTS_DOCUMENT)) ?? [];
    assert(row !== "");
    const faults = (other: string) => fieldFaults(text.replace(row, () => other), fields);
    const says = `${EVENTS_DOCUMENT} lists for \`slowCallback\` `;
    assertEquals(faults(row.replace("`topic`, ", "")), [
      `${says}duration suppressed: it has topic duration suppressed`,
    ]);
    assertEquals(faults(row.replace("`topic`", "`key`")), [
      `${says}key duration suppressed: it has topic duration suppressed`,
    ]);
    assertEquals(faults(`${row}\n${row}`), [`${EVENTS_DOCUMENT} lists the fields of \`slowCallback\` 2 times`]);
    assertEquals(faults(""), [`${EVENTS_DOCUMENT} lists the fields of \`slowCallback\` 0 times`]);
    assertEquals(faults(row.replace("slowCallback", "madeUp")), [
      `${EVENTS_DOCUMENT} lists the fields of \`slowCallback\` 0 times`,
      `${EVENTS_DOCUMENT} lists the fields of \`madeUp\`, which is no event`,
    ]);
  });
});

describe("flags", () => {
  test("that documents give to `doctor` are flags of it", () => {
    assert(DOCUMENTS.flatMap((document) => flagsIn(read(document))).length > 5);
    assertEquals(DOCUMENTS.flatMap((document) => flagFaults(document, read(document))), []);
  });

  test("that are made up are found", () => {
    const text =
      "`--made-up`, `doctor --port 1 --invented`\n\n```sh\nnpx @warp-mesh/bus doctor --json --no-such\n```\n";
    assertEquals(flagFaults("docs/troubleshooting.md", text), [
      "docs/troubleshooting.md gives `--invented` to `doctor`, which has no such flag",
      "docs/troubleshooting.md gives `--no-such` to `doctor`, which has no such flag",
      "docs/troubleshooting.md gives `--made-up` to `doctor`, which has no such flag",
    ]);
  });
});

/** Describes what is wrong with the names that a document lists. */
function faultsOf({ document, names, place = "row", section, source, what }: Listing, text: string): string[] {
  const listed = matches(sectionOf(text, section, document), PLACES[place]);
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

/** The fields of each type of event, without `type`. */
function fieldsOfEvents(): ReadonlyMap<string, readonly string[]> {
  const [, union = ""] = /^export type MeshEvent =(.*)/ms.exec(withoutComments(read(EVENTS))) ?? [];
  const types = union.matchAll(/\{\s*readonly type: "(\w+)";?([^{}]*)\}/g);
  return new Map(Array.from(types, ([, type = "", rest = ""]) => [type, matches(rest, /readonly (\w+)\??:/g)]));
}

function fieldFaults(text: string, fields: ReadonlyMap<string, readonly string[]>): string[] {
  const rows = sectionOf(text, "Fields", EVENTS_DOCUMENT).matchAll(/^\| `(\w+)` +\|([^|]*)\|/gm);
  const listed = Array.from(rows, ([, type = "", cell = ""]) => ({ type, names: matches(cell, /`(\w+)`/g) }));
  const faults = [...fields].flatMap(([type, names]) => {
    const own = listed.filter((row) => row.type === type);
    if (own.length !== 1) return [`${EVENTS_DOCUMENT} lists the fields of \`${type}\` ${own.length} times`];
    const given = own.flatMap((row) => row.names).join(" ");
    if (given === names.join(" ")) return [];
    return [`${EVENTS_DOCUMENT} lists for \`${type}\` ${given}: it has ${names.join(" ")}`];
  });
  const madeUp = listed.filter(({ type }) => !fields.has(type));
  return [
    ...faults,
    ...madeUp.map(({ type }) => `${EVENTS_DOCUMENT} lists the fields of \`${type}\`, which is no event`),
  ];
}

/** The flags in commands that call `doctor`. */
function flagsIn(text: string): string[] {
  return matches(text, /\bdoctor((?: [^\s`|]+)+)/g).flatMap((rest) => matches(rest, /(?<![\w-])(--[a-z][\w-]*)/g));
}

function flagFaults(document: string, text: string): string[] {
  // This document is about `doctor`, so that a flag alone is one of it.
  const alone = document === "docs/troubleshooting.md" ? matches(text, /`(--[a-z][\w-]*)[^`]*`/g) : [];
  const unknown = [...flagsIn(text), ...alone].filter((flag) =>
    !OPTION_NAMES.includes(flag.slice(2)) && !FLAGS_OF_OTHERS.has(flag)
  );
  return [...new Set(unknown)].map((flag) => `${document} gives \`${flag}\` to \`doctor\`, which has no such flag`);
}

function optionsOf(what: string, type: string, source: string): Listing {
  const names = membersOf(source, type);
  return { what: `option of ${what}`, document: "docs/options.md", section: `Options of ${what}`, source, names };
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
