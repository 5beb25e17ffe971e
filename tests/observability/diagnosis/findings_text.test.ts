// The text of findings: each sentence about one and about several, as `diagnose()` returns and the program prints it.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { scanFindings } from "../../../cli/network_scan_plan.ts";
import { findingInFlags, FLAGS } from "../../../cli/option_flags.ts";
import type { UnknownNode } from "../../../cli/unknown_nodes.ts";
import type { Finding, InterfaceDiagnosis, NodeDiagnosis, PeerDiagnosis, PeerSettings } from "../../../mod.ts";
import type { Flaw } from "../../../src/observability/diagnosis/advertised_address_check.ts";
import { either, inNumber } from "../../../src/observability/diagnosis/finding.ts";
import { findings } from "../../../src/observability/diagnosis/findings.ts";
import { NODE } from "../../support/sound_node.ts";

const SETTINGS: PeerSettings = { port: 7946, group: "239.0.0.1", heartbeat: 5000, multicast: true };
const PEER: PeerDiagnosis = {
  id: "peer",
  address: "10.0.0.2:40000",
  endpoint: "10.0.0.2:40000",
  plain: false,
  probed: true,
  unicast: { in: true, out: true },
  multicast: { in: true, out: true },
  roundTrip: 1,
  probes: 5,
  lost: 0,
  largest: { in: 1400, out: 1400 },
  largestToGroup: 1400,
  isKnownThere: true,
  isAtAddress: true,
  reachesAddress: true,
  settings: SETTINGS,
  state: "current",
  staleness: 100,
};
const ETH0: InterfaceDiagnosis = { name: "eth0", address: "10.0.0.1", multicast: true, returned: true };
const UNKNOWN_NODE: UnknownNode = {
  id: "unknown",
  address: "10.0.0.9:50000",
  interface: "eth0",
  isOnMesh: true,
  port: 7946,
  group: "239.0.0.1",
  heartbeat: 5000,
  multicast: true,
};

/** The findings about peers, for one or several of them. */
const OF_PEERS: readonly Partial<PeerDiagnosis>[] = [
  { unicast: { in: null, out: false }, multicast: { in: null, out: false } },
  { unicast: { in: true, out: false } },
  { address: "10.0.0.2:40001", endpoint: "10.0.0.2:7946", isAtAddress: false },
  { unicast: { in: false, out: true } },
  { unicast: { in: null, out: null }, multicast: { in: null, out: null }, settings: null, roundTrip: null },
  { multicast: { in: false, out: false } },
  { multicast: { in: true, out: false } },
  { multicast: { in: false, out: true } },
  { largest: { in: 548, out: 1172 } },
  { largestToGroup: 1172 },
  { probes: 24, lost: 12 },
  { isAtAddress: false },
  { reachesAddress: false },
  { settings: { ...SETTINGS, group: "239.9.9.9" } },
  { settings: { ...SETTINGS, port: 7950 } },
  { settings: { ...SETTINGS, heartbeat: 900 } },
  { staleness: 90_000 },
  { isKnownThere: false },
  { plain: true },
];
/** The findings about the node, and the number of something: one or several. */
const OF_NODE: readonly ((many: boolean) => Partial<NodeDiagnosis>)[] = [
  () => ({ isHealthy: false }),
  () => ({ sendError: "EPERM" }),
  (many) => ({ interfacesMissing: many ? ["eth1", null] : ["eth1"] }),
  () => ({ interfacesError: "EAFNOSUPPORT" }),
  () => ({ receiveBuffer: 212_992 }),
  (many) => ({ silentSeeds: many ? ["10.0.0.8:7946", "10.0.0.9:7946"] : ["10.0.0.9:7946"] }),
  (many) => ({ unresolvedSeeds: many ? ["a", "b"] : ["a"] }),
  (many) => ({ peersLost: many ? ["10.0.0.8:1", "10.0.0.9:1"] : ["10.0.0.8:1"] }),
  (many) => ({ peersRefused: many ? 2 : 1 }),
  () => ({ requested: { ...NODE.requested, multicast: false } }),
];
const FLAWS: readonly Flaw[] = ["broadcast", "loopback", "name", "taken", "unspecified"];

/** All that can be found where there is one of each, or where there are several. */
function all(many: boolean): readonly Finding[] {
  const times = <T>(one: T, other: T = one): readonly T[] => many ? [one, other] : [one];
  const peers = times(PEER);
  const interfaces = [ETH0];
  const ofPeers = OF_PEERS.flatMap((wrong) =>
    findings({ node: NODE, interfaces, peers: times({ ...PEER, ...wrong }, { ...PEER, id: "other", ...wrong }) })
  );
  const ofNode = OF_NODE.flatMap((wrongOf) =>
    [peers, []].flatMap((peers) => findings({ node: { ...NODE, ...wrongOf(many) }, interfaces, peers }))
  );
  const ofFlaws = FLAWS.flatMap((flaw) =>
    findings({ node: NODE, interfaces, peers: [{ ...PEER, plain: true }] }, flaw)
  );
  const ofInterfaces = [{ multicast: false, returned: null }, { returned: false }].flatMap((wrong) =>
    findings({ node: NODE, interfaces: times({ ...ETH0, ...wrong }), peers: [] })
  );
  const manyPeers = Array.from({ length: many ? 34 : 33 }, (_, i) => ({ ...PEER, probed: i < 32 }));
  const ofUnknownNodes = [
    { port: 7950 },
    { group: "239.9.9.9" },
    { isOnMesh: false, interface: "eth1" },
    { multicast: false },
    {},
  ].flatMap((difference) =>
    [peers, []].flatMap((peers) => {
      const other = { ...UNKNOWN_NODE, ...difference, ...(difference.port === undefined ? {} : { port: 7951 }) };
      return scanFindings({ node: NODE, interfaces, peers }, times({ ...UNKNOWN_NODE, ...difference }, other));
    })
  );
  return [
    ofPeers,
    ofNode,
    ofFlaws,
    ofInterfaces,
    findings({ node: NODE, interfaces, peers: manyPeers }),
    ofUnknownNodes,
  ]
    .flat();
}

describe("the text of a finding", () => {
  test("exists for each that is documented, but for those of the program's own", () => {
    const document = readFileSync(new URL("../../../docs/troubleshooting.md", import.meta.url), "utf8");
    const sections = document.split(/^## /m).filter((section) => /^[a-z-]+\n/.test(section));
    const isOwn = (section: string) => /^[a-z-]+\n\nOnly `doctor`/.test(section);
    const documented = sections.filter((section) => !isOwn(section)).map((section) => section.split("\n")[0]);
    const codes = new Set(all(true).map(({ code }) => code as string));
    assertEquals(documented.filter((code) => !codes.has(code ?? "")), []);
  });

  for (const many of [false, true]) {
    for (const [words, put] of [["of the API", (finding: Finding) => finding], ["of flags", findingInFlags]] as const) {
      test(`about ${many ? "several" : "one"}, in words ${words}, consists of whole sentences`, () => {
        for (const finding of all(many).map(put)) {
          const { advice, message, subject } = finding;
          const text = JSON.stringify(finding, null, 1);
          for (const said of [message, advice]) {
            assertMatch(said, /^(?:\d|[A-Z]).*\.$/, text);
            assertEquals(/ {2}|\.\.|,\.|can not|\bundefined\b|\{|\|/.test(said), false, text);
          }
          assert(subject.length > 0, text);
          if (many) continue;
          assertEquals(/\b1 (?:peers|nodes|times)\b|\b1 of 1 peers/.test(message), false, text);
          // These are several in any case.
          const areSeveral = finding.code === "peers-refused" || message.includes("each other's");
          assertEquals(/\b(?:They|they|their|them)\b/.test(message), areSeveral, text);
        }
      });
    }
  }

  test("in words of flags names no option that has one, but for those of other nodes", () => {
    for (const { advice, message, subject } of [...all(true), ...all(false)].map(findingInFlags)) {
      const text = `${subject} ${message} ${advice}`.replaceAll(/the option `[^`]*`/g, "");
      for (const [, name = ""] of text.matchAll(/`(\w+)(?::[^`]*)?`/g)) {
        assertEquals(Object.hasOwn(FLAGS, name), false, text);
      }
    }
  });

  test("has the right grammatical number", () => {
    const text = "{It is|They are} lost{|, each}; {|}so.";
    assertEquals([inNumber(text, 1), inNumber(text, 2)], ["It is lost; so.", "They are lost, each; so."]);
  });

  test("lists alternatives", () => {
    assertEquals([[], ["a"], ["a", "b"], ["a", "b", "c"]].map(either), ["", "a", "a or b", "a, b or c"]);
  });
});
