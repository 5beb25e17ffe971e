// The time that the program `doctor` takes, by a virtual clock: no longer than it states; and its progress messages.

import { assert, assertEquals, assertLessOrEqual, assertStringIncludes } from "@std/assert";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { type MemoryHost, MemoryNetwork, VirtualClock } from "../../adapters/memory.ts";
import { readArguments, USAGE } from "../../cli/arguments.ts";
import { type DoctorReport, examine, type Means } from "../../cli/doctor.ts";
import { pause } from "../../cli/pause.ts";
import { longest, type Phase, type Phases, phasesInWords, phasesOf, seconds, usual } from "../../cli/phases.ts";
import { Progress } from "../../cli/progress.ts";
import { MeshBus, type MeshOptions, type NetworkInterface } from "../../mod.ts";
import { checkOptions } from "../../src/options.ts";
import { MemoryPlainPeer } from "../support/memory_plain_peer.ts";

const OWN = "10.0.0.1";
const OTHERS = ["10.0.0.2", "10.0.0.3"];
/** The mesh does not use it: nodes that do not respond may be heard there. */
const ETH1: NetworkInterface = { name: "eth1", address: "10.1.0.1", internal: false, netmask: "255.255.255.0" };
/** Longer than anything here takes, in milliseconds. */
const LIMIT = 1_000_000;

interface Run {
  /** Milliseconds. */
  readonly took: number;
  readonly phases: Phases;
  /** The phases in turn, and when each began, in milliseconds. */
  readonly begun: readonly (readonly [phase: Phase, at: number])[];
  readonly report: DoctorReport;
  /** The progress messages at a terminal. */
  readonly shown: readonly string[];
}

interface World {
  readonly network: MemoryNetwork;
  readonly open: (address: string, options?: MeshOptions) => Promise<MeshBus>;
  /** Runs once the examination has begun, `after` milliseconds later. */
  readonly later: (after: number, change: () => void) => void;
}

/** The search outside the mesh takes the time that it is given, and finds no node. */
function meansOf({ clock }: MemoryNetwork, host: MemoryHost): Means {
  let mesh: MeshBus | undefined;
  return {
    clock,
    openMesh: async (options) => mesh = await MeshBus.open({ ...host, ...options }),
    networkInterfaces: () => [...host.networkInterfaces(), ETH1],
    findHolder: (_, time, signal) => pause(time, signal, clock).then(() => undefined),
    scan: (_, time, __, signal) => pause(time, signal, clock),
    isRefused: (_, __, time) => pause(time, undefined, clock).then(() => false),
    listen: ({ time, signal }) => {
      // Its mesh would merge with that of the other network.
      assertEquals(mesh?.isHealthy(), false);
      return pause(time, signal, clock);
    },
  };
}

/** Runs the program in a world of its own, with these arguments. */
async function run(args: string, prepare: (world: World) => Promise<void> = () => Promise.resolve()): Promise<Run> {
  const network = new MemoryNetwork({ seed: 7 });
  const { clock } = network;
  const call = readArguments(["doctor", ...args.split(" ").filter((word) => word !== "")]);
  assert(call.do === "doctor");
  const nodes: MeshBus[] = [];
  const changes: (readonly [number, () => void])[] = [];
  await prepare({
    network,
    async open(address, options = {}) {
      const node = await MeshBus.open({ ...network.host(address), heartbeat: call.options.heartbeat, ...options });
      nodes.push(node);
      return node;
    },
    later: (after, change) => void changes.push([after, change]),
  });
  await clock.advance(3000);
  const start = clock.now();
  for (const [after, change] of changes) clock.setTimer(change, after);
  const shown: string[] = [];
  const progress = new Progress((text) => shown.push(text), clock);
  const begun: [Phase, number][] = [];
  let phases: Phases | undefined;
  const examination = examine({
    ...call,
    progress: {
      plan(all) {
        phases = all;
        progress.plan(all);
      },
      at(phase) {
        begun.push([phase, clock.now() - start]);
        progress.at(phase);
      },
    },
  }, meansOf(network, network.host(OWN)));
  const report = await clock.run(examination, LIMIT);
  progress.end();
  const took = clock.now() - start;
  await clock.run(Promise.all(nodes.map((node) => node.close())), LIMIT);
  assert(phases !== undefined);
  return { took, phases, begun, report, shown };
}

const both = ({ open }: World) => Promise.all(OTHERS.map((address) => open(address))).then(() => {});

const WORLDS: Readonly<Record<string, (world: World) => Promise<void>>> = {
  "there are no other nodes": () => Promise.resolve(),
  "all is well": both,
  "no datagram reaches the others": async (world) => {
    await both(world);
    for (const to of OTHERS) world.network.set({ loss: 1 }, { from: OWN, to });
  },
  "a third of all is lost": async (world) => {
    await both(world);
    world.network.set({ loss: 0.3 });
  },
  "the others do not respond from the fourth second on": async (world) => {
    await both(world);
    world.later(4000, () => world.network.set({ loss: 1 }));
  },
  "a node joins at the last moment": async (world) => {
    world.later(9900, () => void world.open("10.0.0.9"));
  },
  "nodes join all the time": async (world) => {
    for (let i = 0; i < 14; i++) world.later(5000 + 400 * i, () => void world.open(`10.0.1.${i + 1}`));
  },
  "there is a node that does not respond": async ({ network }) => {
    await MemoryPlainPeer.open("10.0.0.4", network.host("10.0.0.4"), { heartbeat: 5000 });
  },
};

const ARGUMENTS = [
  "",
  "--heartbeat 100",
  "--heartbeat 40000",
  "--wait 0",
  "--wait 3000 --timeout 100",
  "--timeout 5000",
  "--no-scan",
  "--no-scan --peers 10.0.0.77,10.0.0.2",
  "--no-multicast --peers 10.0.0.77,10.0.0.2",
];

describe("the doctor takes no longer than it states", () => {
  for (const [title, world] of Object.entries(WORLDS)) {
    for (const args of ARGUMENTS) {
      test(`when ${title}${args === "" ? "" : `, with ${args}`}`, async () => {
        const { took, phases, begun, report } = await run(args, world);
        const text = `${took} ms, ${JSON.stringify({ phases, begun, findings: report.findings })}`;
        assertLessOrEqual(took, longest(phases), text);
        for (const [i, [phase, at]] of begun.entries()) {
          const next = begun[i + 1]?.[1] ?? took;
          // The work in between takes no time by this clock.
          assertLessOrEqual(next - at, phases[phase] + 1e-6, `${phase}: ${text}`);
        }
      });
    }
  }

  test("and without other nodes all of that, except for the leave", async () => {
    for (const args of ARGUMENTS) {
      const { took, phases } = await run(args);
      const isProbed = args.includes("10.0.0.77") ? 0 : phases.scan === 0 ? phases.seeds : 0;
      const least = longest(phases) - phases.leave - isProbed;
      assertLessOrEqual(least, took + 1e-6, `${args}: ${took} ms of ${JSON.stringify(phases)}`);
    }
  });

  test("and when all is well, the time that it states for that", async () => {
    for (const args of ["", "--heartbeat 1000", "--heartbeat 40000", "--wait 3000", "--no-scan"]) {
      const { took, phases, report } = await run(args, both);
      assertEquals(report.findings, []);
      assertLessOrEqual(Math.abs(took - usual(phases)), phases.leave, `${args}: ${took} ms of ${usual(phases)}`);
    }
  });
});

describe("the statement about the time", () => {
  const phases = phasesOf(checkOptions({}), { isScanning: true, wait: undefined, timeout: 2000 });

  test("is the sum of the phases", () => {
    assertEquals(
      phasesInWords(phases),
      "Takes about 7 s when all is well, 20 s at most: listens for 6 s, up to 10 s when something is wrong; probes for " +
        "up to 2 s; probes outside the mesh for 0.7 s; when no node was found listens there for 6 s.",
    );
    const others = phasesOf(checkOptions({ family: 6, heartbeat: 20_000, port: 0 }), {
      isScanning: false,
      wait: 5000,
      timeout: 100,
    });
    assertEquals(
      phasesInWords(others),
      "Takes about 5 s when all is well, 9.3 s at most: waits for its address for up to 3.1 s; listens for 5 s; probes for " +
        "up to 0.1 s.",
    );
  });

  test("is the same in the help and in the documents", () => {
    const expected = `about ${seconds(usual(phases))} when all is well, and ${seconds(longest(phases))} at most`;
    assertStringIncludes(USAGE.replaceAll(/\s+/g, " "), expected);
    const document = readFileSync(new URL("../../docs/troubleshooting.md", import.meta.url), "utf8");
    assertStringIncludes(document.replaceAll(/\s+/g, " "), expected);
  });

  test("rounds up", () => {
    const times = [0, 40, 700, 6000, 6001, 9999, 10_000, 19_900, 60_200, 1.2 * 15_000];
    const texts = ["0 s", "0.1 s", "0.7 s", "6 s", "6.1 s", "10 s", "10 s", "20 s", "61 s", "18 s"];
    assertEquals(times.map(seconds), texts);
  });

  test("has by default 1.2 heartbeats for other nodes, and two when something is wrong", () => {
    const waits: readonly (readonly [heartbeat: number, wait: number | undefined, least: number, most: number])[] = [
      [5000, undefined, 6000, 10_000],
      [100, undefined, 500, 1000],
      [20_000, undefined, 24_000, 30_000],
      [40_000, undefined, 48_000, 48_000],
      [3_600_000, undefined, 60_000, 60_000],
      [5000, 0, 0, 0],
      [5000, 3000, 3000, 3000],
      [500, 20_000, 600, 20_000],
    ];
    for (const [heartbeat, wait, least, most] of waits) {
      const { listen, listenOn } = phasesOf(checkOptions({ heartbeat }), { isScanning: true, timeout: 2000, wait });
      assertEquals([listen, listenOn], [least, most]);
    }
  });
});

describe("the progress at a terminal", () => {
  test("shows each second what is done, and for how much longer", async () => {
    const { shown, phases, took } = await run("");
    assertEquals(shown[0], `${phasesInWords(phases)}\n`);
    const texts = shown.slice(1).map((text) => text.replaceAll("\r", "").trimEnd());
    const listening = [0, 1, 2, 3, 4, 5, 6].map((time) => `Listening, ${time} of 6 s …`);
    const longer = [6, 7, 8, 9, 10].map((time) =>
      `Listening longer, as no node was heard or something is wrong, ${time} of 10 s …`
    );
    const probing = [0, 1].map((time) => `Probing the peers, ${time} of 2 s …`);
    const elsewhere = [0, 1, 2, 3, 4, 5].map((time) =>
      `Listening outside the mesh, as no node was found, ${time} of 6 s …`
    );
    const expected = [...listening, ...longer, ...probing, "Probing outside the mesh …", "Leaving the mesh …"];
    const seen = texts.filter((text, i) => text !== texts[i - 1]);
    assertEquals(seen.slice(2), [...expected, ...elsewhere, "Leaving the mesh …", ""], `${took}`);
  });

  test("is one line, which is cleared in the end", async () => {
    const { shown } = await run("", both);
    let line = "";
    for (const text of shown.slice(1)) {
      assertEquals(text[0], "\r");
      assertEquals(text.includes("\n"), false);
      const written = text.replaceAll("\r", "");
      line = written + line.slice(written.length);
      assertEquals(line.trimEnd(), written.trimEnd());
      assertLessOrEqual(line.length, 79);
    }
    assertEquals(line.trim(), "");
    assertEquals(shown.at(-1)?.endsWith("\r"), true);
  });

  test("ends with the examination", async () => {
    const clock = new VirtualClock();
    const shown: string[] = [];
    const progress = new Progress((text) => shown.push(text), clock);
    progress.at("listen");
    await clock.advance(1_500);
    progress.end();
    const { length } = shown;
    await clock.advance(10_000);
    assertEquals([shown.length, clock.pending], [length, 0]);
  });
});
