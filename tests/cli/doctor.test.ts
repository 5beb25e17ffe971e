// The program `doctor`: its arguments, output and exit codes, and its results from nodes outside the mesh.
import { createSocket } from "node:dgram";
import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import { describe, test } from "node:test";
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { OPTION_NAMES, readArguments, USAGE, UsageError } from "../../cli/arguments.ts";
import type { DoctorReport } from "../../cli/doctor.ts";
import type { ScanAck, ScanProbe } from "../../cli/network_scan.ts";
import { isRefused, scan } from "../../cli/network_scan.ts";
import { scanFindings, scanProbes } from "../../cli/network_scan_plan.ts";
import { FLAGS, inFlags } from "../../cli/option_flags.ts";
import { program } from "../../cli/program.ts";
import { coloured, plain, render } from "../../cli/render.ts";
import { type UnknownNode, UnknownNodes } from "../../cli/unknown_nodes.ts";
import { VERSION } from "../../cli/version.ts";
import type { Diagnosis, Finding, NetworkInterface, Report } from "../../mod.ts";
import { encodeControl, readExtension } from "../../src/wire/extension.ts";
import { HEADER_LENGTH, TYPE_PROBE_ACK } from "../../src/wire/layout.ts";
import { formatNodeId, stampUuid } from "../../src/wire/node_id.ts";
import { nodeIdOf } from "../../src/wire/packet.ts";
import { assertError, checkUp, ON_FULL_DISK, SAYS_PID, WITHOUT_READER } from "../support/doctor.ts";
import { freePort } from "../support/free_port.ts";
import { happened, next, openMany, patient, peersKnown, withMeshes } from "../support/meshes.ts";
import { PlainPeer } from "../support/plain_peer.ts";
import { STARTED, withPrograms } from "../support/programs.ts";
import { NODE } from "../support/sound_node.ts";

const ETH0 = { name: "eth0", address: "10.0.0.1", multicast: true, returned: true };
const LO0 = { name: "lo", address: "127.0.0.1", multicast: true, returned: true };
const EMPTY: DoctorReport = {
  version: 1,
  packageVersion: "0.1.0",
  time: "2026-11-29T00:00:00.000Z",
  ok: true,
  findings: [],
  node: NODE,
  interfaces: [ETH0],
  peers: [],
  unknownNodes: [],
  moreUnknownNodes: 0,
};

const REPORT: Report = { port: 7946, heartbeat: 5000, requester: 0, multicast: true, group: "239.0.0.1" };

function ackOf(id: string, from: NetworkInterface): ScanAck {
  const probe: ScanProbe = { by: "multicast", from, host: "239.0.0.1", port: 7946 };
  return { id, host: "10.0.0.9", port: 50000, report: REPORT, probe };
}

function unknownNodesOf(
  acks: readonly ScanAck[],
  seen: Pick<Diagnosis, "interfaces">,
  known: ReadonlySet<string> = new Set(),
): readonly UnknownNode[] {
  const unknownNodes = new UnknownNodes({ node: NODE, ...seen }, known);
  for (const ack of acks) unknownNodes.acked(ack);
  return unknownNodes.list;
}

/** Runs the program in this process. */
async function call(...args: readonly string[]): Promise<{ readonly code: number; out: string; err: string }> {
  const said = { out: "", err: "" };
  const code = await patient(
    program(args, { out: (text) => said.out += text, err: (text) => said.err += text, hasColours: false }),
    () => `the end of ${args.join(" ")}`,
  );
  return { code, ...said };
}

/** The program's report on a port that it must not use, run in this process. Nothing else may be wrong. */
async function sharedOf(args: readonly string[]): Promise<readonly Finding[]> {
  const { code, out } = await call(...args, "--strict");
  assertEquals(code, 0, out);
  return (JSON.parse(out) as DoctorReport).findings.filter((finding) => finding.code === "port-shared");
}

describe("arguments", () => {
  test("stand for the options of a mesh", () => {
    assertEquals(readArguments(["doctor"]), {
      do: "doctor",
      options: {},
      isJson: false,
      isStrict: false,
      isScanning: true,
      wait: undefined,
      timeout: 2000,
    });
    const all = "doctor --port 7950 --group 239.1.1.1 --family 4 --interface eth0 --peers a:1,b --peers [::1]:2 " +
      "--advertise :7950 --heartbeat 500 --no-multicast --no-loopback --ttl 4 --receive-buffer 65536 --wait 0 --timeout 100 --no-scan --strict --json";
    assertEquals(readArguments(all.split(" ")), {
      do: "doctor",
      options: {
        port: 7950,
        group: "239.1.1.1",
        family: 4,
        interface: "eth0",
        peers: ["a:1", "b", "[::1]:2"],
        advertiseAddr: ":7950",
        heartbeat: 500,
        multicast: false,
        multicastLoopback: false,
        multicastTtl: 4,
        receiveBuffer: 65_536,
      },
      isJson: true,
      isStrict: true,
      isScanning: false,
      wait: 0,
      timeout: 100,
    });
    for (const args of ["--interface eth0 --interface eth1", "--interface=eth0,eth1", "--interface eth0,\teth1"]) {
      const list = readArguments(["doctor", ...args.split(" ")]);
      assertEquals(list.do === "doctor" && list.options.interface, ["eth0", "eth1"]);
    }
  });

  const wrong: readonly [string, string][] = [
    ["", 'the command must be "doctor": current value is ""'],
    ["docter", 'current value is "docter"'],
    ["doctor now", 'current value is "doctor now"'],
    ["doctor --port x", '--port must be a number: current value is "x"'],
    ["doctor --heartbeat=", '--heartbeat must be a number: current value is ""'],
    ["doctor --wait=-1", '--wait must be from 0 to 60000 ms: current value is "-1"'],
    ["doctor --wait 60001", "--wait must be from 0 to 60000 ms"],
    ["doctor --timeout 99", "--timeout must be from 100 to 60000 ms"],
    ["doctor --family 5", '--family must be 4 or 6: current value is "5"'],
    // An unset variable of a shell: the system would choose another network.
    ["doctor --interface=", '--interface must not be empty: current value is ""'],
    ["doctor --interface eth0,", '--interface must not be empty: current value is ""'],
    ["doctor --peers a,,b", '--peers must not be empty: current value is ""'],
    ["doctor --advertise=", '--advertise must not be empty: current value is ""'],
    ["doctor --grup 239.0.0.1", 'options must be those that --help lists: current value is "--grup"'],
    ["doctor --toString", 'options must be those that --help lists: current value is "--toString"'],
    ["doctor -hx", 'options must be those that --help lists: current value is "-x"'],
    ["doctor --json=yes", '--json must have no value: current value is "yes"'],
    ["doctor --port", "--port must have a value: current value is none"],
    [
      "doctor --port --json",
      '--port must have a value, one that begins with "-" as in --port=-1: current value is "--json"',
    ],
  ];
  for (const [text, rule] of wrong) {
    test(`are refused: ${text === "" ? "none" : text}`, async () => {
      const args = text.split(" ").filter((word) => word !== "");
      const { message } = assertThrows(() => readArguments(args), UsageError, rule);
      const { code, err, out } = await call(...args);
      assertEquals([code, out], [2, ""]);
      assertEquals(err, `${message}\n--help lists the options\n`);
    });
  }

  test("that the mesh refuses are a usage error too", async () => {
    const { code, err, out } = await call("doctor", "--port", "70000");
    assertEquals([code, out], [2, ""]);
    assertEquals(err, "Cannot open the mesh as --port must be an integer from 0 to 65535: current value is 70000\n");
  });

  test("are not blamed for other errors", async () => {
    const out = () => {
      throw new TypeError("a bug");
    };
    await assertRejects(() => program(["--help"], { out, err() {}, hasColours: false }), TypeError, "a bug");
  });

  test("may request the help", async () => {
    for (const args of [["--help"], ["doctor", "-h"]]) {
      const { code, err, out } = await call(...args);
      assertEquals([code, err], [0, ""]);
      assertStringIncludes(out, "--interface <name>");
    }
  });

  test("may request the version, which is that of the package", async () => {
    const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
    for (const args of [["--version"], ["-v"], ["doctor", "--version"]]) {
      assertEquals(await call(...args), { code: 0, out: `${version}\n`, err: "" });
    }
  });

  test("exist when the help lists them", () => {
    const listed = [...USAGE.matchAll(/^ {2}(--[\w-]+)(?: <.*?>)?(?:, (-\w))? {2}/gm)];
    assertEquals(listed.map(([, name]) => name).sort(), OPTION_NAMES.map((name) => `--${name}`).sort());
    for (const [, name = "", short] of listed) {
      // Those with a value require one, others refuse one; none is unknown.
      const { message } = assertThrows(() => readArguments(["doctor", `${name}=`, "--family", "5"]), UsageError);
      assertMatch(message, /^Cannot run as --/, name);
      if (short !== undefined) assert(["help", "version"].includes(readArguments([short]).do), short);
    }
  });
});

describe("the flags of the command line", () => {
  test("replace options that have a flag, with their values", () => {
    const texts: readonly [string, string][] = [
      [
        'Give `port`, `advertiseAddr: ":7946"` or `multicast: false`.',
        "Give --port, --advertise :7946 or --no-multicast.",
      ],
      ['set `peers: ["10.0.0.1:1","b"]`', "set --peers 10.0.0.1:1,b"],
      ['`interface: "all"`, `multicastTtl` above 1', "--interface all, --ttl above 1"],
      // Without a flag, no option at all, or for another node.
      ["`batchSize`, `mesh.diagnose()`, `toString`, port", "`batchSize`, `mesh.diagnose()`, `toString`, port"],
      ['give them the option `advertiseAddr: ":7946"`', 'give them the option `advertiseAddr: ":7946"`'],
    ];
    for (const [text, expected] of texts) assertEquals(inFlags(text), expected);
  });

  test("exist in the program, one for each option that it reads", () => {
    const args = "doctor --port 1 --group g --family 4 --interface i --peers p --advertise :1 --heartbeat 1 " +
      "--no-multicast --no-loopback --ttl 1 --receive-buffer 1";
    const call = readArguments(args.split(" "));
    assert(call.do === "doctor");
    assertEquals(Object.keys(FLAGS).sort(), Object.keys(call.options).sort());
    for (const flag of Object.values(FLAGS)) assertStringIncludes(USAGE, `  ${flag} `);
  });
});

// They mostly wait, and each has a port of its own.
describe("a run on this host", { concurrency: 4 }, () => {
  test("prints JSON, and ends with 0 beside nodes that are well", () =>
    withMeshes(async (open) => {
      const [first, second] = await openMany(open, 2, { heartbeat: 300 });
      const port = `${first?.port}`;
      const { code, err, out } = await call(
        "doctor",
        ..."--json --interface 127.0.0.1 --heartbeat 300 --port".split(" "),
        port,
      );
      const report = JSON.parse(out) as DoctorReport;
      assertEquals([code, err, report.version, report.ok], [0, "", 1, true], out);
      assertEquals(Object.keys(report).sort(), Object.keys(EMPTY).sort());
      assertEquals(report.packageVersion, VERSION);
      assertEquals(new Date(report.time).toISOString(), report.time);
      assertEquals(Object.keys(report.node ?? {}).sort(), Object.keys(NODE).sort());
      assertEquals(report.peers.map(({ id }) => id).sort(), [first?.nodeId, second?.nodeId].sort());
      for (const finding of report.findings) {
        assertEquals(Object.keys(finding), ["code", "severity", "subject", "message", "advice"]);
        assertEquals(finding.severity, "info");
      }
    }));

  test("ends with 1 for a warning only when it is strict", () =>
    withMeshes(async (open) => {
      const { port } = await open({ heartbeat: 900 });
      const args = ["--json", "--no-scan", "--interface", "127.0.0.1", "--heartbeat", "300", "--port", `${port}`];
      for (const [strict, expected] of [[[], 0], [["--strict"], 1]] as const) {
        const { code, out } = await call("doctor", ...args, ...strict);
        const { ok, findings } = JSON.parse(out) as DoctorReport;
        const warnings = findings.filter(({ severity }) => severity === "warning").map((finding) => finding.code);
        assertEquals([code, ok, warnings], [expected, true, ["heartbeat-mismatch"]], out);
      }
      const { code, out } = await call("doctor", ...args, "--heartbeat", "900", "--strict");
      assertEquals([code, (JSON.parse(out) as DoctorReport).ok], [0, true], out);
    }));

  test("waits for nodes that do not respond, as Go's, until each has sent a heartbeat", () =>
    withMeshes(async (open) => {
      const heartbeat = 2000;
      const { nodeId, port } = await open({ heartbeat });
      // Its first heartbeat comes in 2 s, long after another node was found.
      const peer = await PlainPeer.open({ port, heartbeat });
      try {
        const args = ["--no-scan", "--interface", "127.0.0.1", "--heartbeat", `${heartbeat}`, "--port", `${port}`];
        const { code, out } = await call("doctor", "--json", ...args);
        const { findings, peers } = JSON.parse(out) as DoctorReport;
        assertEquals(peers.map(({ id, plain }) => [plain, id === nodeId]).sort(), [[false, true], [true, false]], out);
        assertEquals(peers.find(({ plain }) => plain)?.staleness, Number.MAX_SAFE_INTEGER, out);
        assertEquals([code, findings.some((finding) => finding.code === "plain-peers")], [0, true], out);
      } finally {
        await peer.close();
      }
    }));

  test("leaves the mesh when it has finished, and reports it", () =>
    withMeshes(async (open) => {
      const mesh = await open({ heartbeat: 300 });
      const left = happened(mesh, ({ type }) => type === "peerLeft");
      await call(
        "doctor",
        ..."--no-scan --wait 0 --interface 127.0.0.1 --heartbeat 300 --port".split(" "),
        `${mesh.port}`,
      );
      const event = await left;
      assertEquals(event.type === "peerLeft" && event.reason, "left");
    }));

  test("prints what it waits for at a terminal", () =>
    withMeshes(async (open) => {
      const { port } = await open({ heartbeat: 300 });
      let said = "";
      const err = (text: string) => said += text;
      const args = `doctor --no-scan --interface 127.0.0.1 --heartbeat 300 --port ${port}`.split(" ");
      await program([...args, "--json"], { out() {}, err, hasColours: false, isWatched: true });
      assertEquals(said, "");
      await program(args, { out() {}, err, hasColours: false, isWatched: false });
      assertEquals(said, "");
      await program(args, { out() {}, err, hasColours: false, isWatched: true });
      assert(said.startsWith("Takes about 0.7 s when all is well, 4.9 s at most: listens for 0.5 s,"), said);
      assertStringIncludes(said, "\rListening …");
      assert(said.endsWith(" \r"), said);
    }));

  test("reports that it could not join beside a node with one port; beside one with two it joins", () =>
    withMeshes(async (open) => {
      const port = await freePort();
      const advertiseAddr = `127.0.0.1:${port}`;
      const args = `doctor --json --interface 127.0.0.1 --heartbeat 300 --port ${port}`.split(" ");
      const two = await open({ port, heartbeat: 300 });
      assertEquals(await sharedOf(args), []);
      await two.close();
      await open({ port, advertiseAddr, heartbeat: 300 });
      for (const [more, left] of [[[], " Not examined: multicast."], [["--no-multicast"], ""]] as const) {
        const [{ message, subject } = { message: "", subject: "" }] = await sharedOf([...args, ...more]);
        assertEquals(subject, advertiseAddr);
        assert(message.endsWith(`with that node as a seed.${left}`), message);
      }
    }));

  test("does not merge its mesh with another one whose node on this host has the port", () =>
    withMeshes(async (open) => {
      const port = await freePort();
      await open({ port, advertiseAddr: `127.0.0.1:${port}`, heartbeat: 300, group: "239.9.9.9" });
      const args = `--json --interface 127.0.0.1 --heartbeat 300 --port ${port}`.split(" ");
      const { code, out } = await call("doctor", ...args);
      const { findings, peers } = JSON.parse(out) as DoctorReport;
      // Others may run at the default port.
      const codes = findings.map((finding) => finding.code).filter((code) => code !== "port-mismatch");
      assertEquals([code, codes, peers], [1, ["group-mismatch", "port-shared"], []], out);
    }));

  test("names the option that cannot be opened, and ends with 1", async () => {
    const { code, out } = await call("doctor", "--json", "--interface", "no-such-interface");
    const report = JSON.parse(out) as DoctorReport;
    assertEquals([code, report.ok, report.node], [1, false, null]);
    const [{ advice, code: found, subject, message } = {} as Partial<Finding>] = report.findings;
    assertEquals([found, subject], ["open-failed", '--interface: "no-such-interface"']);
    assertStringIncludes(message ?? "", "--interface must name one that is up");
    assertStringIncludes(advice ?? "", "the option `waitForInterface: true`");
  });

  test("does not wait for interfaces when none of them exists", async () => {
    const { code, out } = await call("doctor", "--json", "--interface", "no-such-interface,nor-this");
    const { findings, node } = JSON.parse(out) as DoctorReport;
    assertEquals([code, node, findings.map((finding) => finding.code)], [1, null, ["open-failed"]], out);
  });

  test("examines the interfaces that exist when another is missing, which is an error", () =>
    withMeshes(async (open) => {
      const { nodeId, port } = await open({ heartbeat: 300 });
      const args = `--json --no-scan --heartbeat 300 --port ${port} --interface 127.0.0.1,no-such-interface`;
      const { code, out } = await call("doctor", ...args.split(" "));
      const { findings, peers } = JSON.parse(out) as DoctorReport;
      const errors = findings.filter(({ severity }) => severity === "error");
      assertEquals(
        errors.map(({ code, subject }) => [code, subject]),
        [["interface-missing", "no-such-interface"]],
        out,
      );
      assertStringIncludes(errors[0]?.advice ?? "", "correct --interface.");
      assertEquals([code, peers.map(({ id }) => id)], [1, [nodeId]], out);
    }));

  test("reports why it cannot be opened", async () => {
    const socket = createSocket("udp4");
    await new Promise<void>((resolve) => socket.bind({ port: 0, address: "0.0.0.0", exclusive: true }, resolve));
    try {
      const port = `${socket.address().port}`;
      const { out } = await call("doctor", "--json", "--no-multicast", "--advertise", `:${port}`, "--port", port);
      const [{ code: found, message } = { code: "", message: "" }] = (JSON.parse(out) as DoctorReport).findings;
      assertEquals(found, "open-failed");
      assertMatch(message, /: current value of --\w+ is .* \(.*(EADDRINUSE|in use).*\)$/i);
    } finally {
      await new Promise<void>((resolve) => socket.close(resolve));
    }
  });

  test("as a program, alone on the loopback interface, finds no node", () =>
    withPrograms(async (start) => {
      // Others may run at the default port, which it would find.
      const args = "--no-scan --interface 127.0.0.1 --port 0 --heartbeat 100 --wait 200".split(" ");
      const { advice } = assertError(await checkUp(start, "node", args), "no-peers");
      // Its advice does not name the host that it runs on.
      assertEquals(/npx|doctor/.test(advice), false, advice);
      assertStringIncludes(advice, "--peers host:");
      const wrong = start("node", "cli/main.ts", { args: ["doctor", "--port", "x"] });
      assertEquals(await wrong.ended(), 2, wrong.describe());
    }));

  for (const runtime of STARTED) {
    for (const more of ["", "--no-multicast --advertise"]) {
      test(`on ${runtime} ${more} takes no datagrams from a node whose only port is that of the mesh`, () =>
        withMeshes((open) =>
          withPrograms(async (start) => {
            const heartbeat = 1500;
            const port = await freePort();
            const advertiseAddr = `127.0.0.1:${port}`;
            const one = await open({ port, advertiseAddr, heartbeat });
            const publisher = await open({ multicast: false, peers: [advertiseAddr], heartbeat, batchInterval: 0 });
            await Promise.all([peersKnown(one, 1), peersKnown(publisher, 1)]);
            const joined = happened(publisher, ({ type }) => type === "peerJoined");
            const args = `doctor --json --strict --interface lo --heartbeat ${heartbeat} --port ${port}`.split(" ");
            const asOne = more === "" ? [] : [...more.split(" "), advertiseAddr, "--peers", publisher.address];
            const run = start(runtime, "cli/main.ts", { args: [...args, ...asOne] });
            let hasEnded = false;
            void run.exit.then(() => hasEnded = true);
            await joined;
            const heard = one.subscribe({ prefix: "" });
            for (let i = 0; i < 50; i++) {
              await publisher.publish(`key ${i}`);
              assertEquals((await next(heard)).key, `key ${i}`);
            }
            assertEquals([hasEnded, one.metrics().gaps], [false, 0], run.describe());
            const exit = await run.ended();
            const report = JSON.parse(run.lines.join("\n")) as DoctorReport;
            assertEquals([exit, report.ok, report.node?.port, run.errors], [0, true, port, ""], run.describe());
            assertEquals(report.findings.filter((finding) => finding.severity !== "info"), []);
            assert(report.findings.some(({ code }) => code === "port-shared"), run.describe());
            const ids = report.peers.map(({ id }) => id).sort();
            // Others may run at the default port.
            const unknownNodes = report.unknownNodes.filter((unknownNode) => unknownNode.port === port);
            assertEquals([ids, unknownNodes], [[one.nodeId, publisher.nodeId].sort(), []], run.describe());
          })
        ));
    }
  }

  for (const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
    for (const runtime of STARTED) {
      test(`on ${runtime} that gets ${signal} leaves the mesh first`, () =>
        withMeshes((open) =>
          withPrograms(async (start) => {
            const mesh = await open({ heartbeat: 300 });
            const joined = happened(mesh, ({ type }) => type === "peerJoined");
            const args = `--interface 127.0.0.1 --port ${mesh.port} --wait 60000 --heartbeat 60000`.split(" ");
            const run = start(runtime, "cli/main.ts", { args: ["doctor", ...args], within: SAYS_PID });
            const pid = await run.line(Number, "the id");
            await joined;
            const left = happened(mesh, ({ type }) => type === "peerLeft");
            process.kill(pid, signal);
            const event = await left;
            assertEquals(event.type === "peerLeft" && event.reason, "left");
            assertEquals([await run.ended(), run.errors, run.lines.length], [expected, "", 1], run.describe());
          })
        ));
    }
  }
});

describe("output", { concurrency: 4 }, () => {
  for (const runtime of STARTED) {
    test(`on ${runtime} that is not read ends it quietly`, () =>
      withPrograms(async (start) => {
        const run = start(runtime, "cli/main.ts", { args: ["--help"], within: WITHOUT_READER });
        assertEquals([await run.ended(), run.errors], [0, ""], run.describe());
      }));

    test(
      `on ${runtime} that cannot be written is no finding`,
      { skip: existsSync("/dev/full") ? false : "This system has no /dev/full" },
      () =>
        withPrograms(async (start) => {
          const run = start(runtime, "cli/main.ts", { args: ["--help"], within: ON_FULL_DISK });
          assertEquals(await run.ended(), 74, run.describe());
          assertMatch(run.errors, /^Cannot write to standard output: .*no space left on device.*\n$/i);
        }),
    );
  }

  test("that is not read leaves the exit code of the report", () =>
    withMeshes((open) =>
      withPrograms(async (start) => {
        const { port } = await open({ heartbeat: 300 });
        const args = `doctor --no-scan --interface 127.0.0.1 --heartbeat 300 --port ${port}`.split(" ");
        for (const [strict, heartbeat, expected] of [["--json", "300", 0], ["--strict", "200", 1]] as const) {
          const run = start("node", "cli/main.ts", {
            args: [...args, strict, "--heartbeat", heartbeat],
            within: WITHOUT_READER,
          });
          assertEquals([await run.ended(), run.errors], [expected, ""], run.describe());
        }
      })
    ));

  test("of an error of the program itself has an exit code of its own", () =>
    withPrograms(async (start) => {
      const bug = "Object.defineProperty(process.stdout,'isTTY',{get(){throw(new(TypeError)('a-bug'))}})";
      const within = ["env", `NODE_OPTIONS=--import=data:text/javascript,${bug}`];
      const run = start("node", "cli/main.ts", { args: ["--help"], within });
      assertEquals([await run.ended(), run.lines], [70, []], run.describe());
      assertStringIncludes(run.errors, "TypeError: a-bug\n");
    }));
});

describe("network scan", () => {
  const lo: NetworkInterface = { name: "lo", address: "127.0.0.1", internal: true, netmask: "255.0.0.0" };
  const eth0: NetworkInterface = { name: "eth0", address: "10.0.0.1", internal: false, netmask: "255.255.255.0" };
  const eth1: NetworkInterface = { name: "eth1", address: "10.0.5.1", internal: false, netmask: "255.255.252.0" };
  const eth6: NetworkInterface = {
    name: "eth0",
    address: "fe80::1",
    internal: false,
    netmask: "ffff:ffff:ffff:ffff::",
  };
  const texts = (probes: readonly ScanProbe[]) =>
    probes.map(({ by, from, host, port }) => `${by} ${from.name} ${host}:${port}`);

  test("probes each network, and other interfaces by the group", () => {
    assertEquals(texts(scanProbes({ node: NODE, interfaces: [ETH0] }, [lo, eth0, eth1, eth6])), [
      "broadcast eth0 10.0.0.255:7946",
      "multicast eth1 239.0.0.1:7946",
      "broadcast eth1 10.0.7.255:7946",
    ]);
  });

  test("probes the other end of a network of two addresses, which has no broadcast address, and nothing of a lone one", () => {
    const probesOf = (address: string, netmask: string) =>
      texts(scanProbes({ node: NODE, interfaces: [ETH0] }, [lo, { ...eth0, address, netmask }]));
    assertEquals(probesOf("10.0.0.1", "255.255.255.252"), ["broadcast eth0 10.0.0.3:7946"]);
    assertEquals(probesOf("10.0.0.6", "255.255.255.252"), ["broadcast eth0 10.0.0.7:7946"]);
    assertEquals(probesOf("10.0.0.2", "255.255.255.254"), ["unicast eth0 10.0.0.3:7946"]);
    assertEquals(probesOf("10.0.0.3", "255.255.255.254"), ["unicast eth0 10.0.0.2:7946"]);
    assertEquals(probesOf("10.0.0.255", "255.255.255.254"), ["unicast eth0 10.0.0.254:7946"]);
    assertEquals(probesOf("10.0.0.1", "255.255.255.255"), []);
    const other = { ...eth1, address: "10.0.5.1", netmask: "255.255.255.254" };
    assertEquals(texts(scanProbes({ node: NODE, interfaces: [ETH0] }, [lo, eth0, other])), [
      "broadcast eth0 10.0.0.255:7946",
      "multicast eth1 239.0.0.1:7946",
      "unicast eth1 10.0.5.0:7946",
    ]);
  });

  test("probes the default group and port when the mesh has others", () => {
    const node = { ...NODE, group: "239.9.9.9", port: 7950 };
    assertEquals(texts(scanProbes({ node, interfaces: [ETH0] }, [lo, eth0])), [
      "broadcast eth0 10.0.0.255:7950",
      "multicast eth0 239.0.0.1:7950",
      "broadcast eth0 10.0.0.255:7946",
      "multicast eth0 239.9.9.9:7946",
    ]);
  });

  test("stays on this host when the mesh does", () => {
    assertEquals(texts(scanProbes({ node: NODE, interfaces: [LO0] }, [lo, eth0, eth1])), [
      "broadcast lo 127.255.255.255:7946",
    ]);
  });

  test("probes all nodes of an IPv6 network", () => {
    const node = { ...NODE, family: 6 as const, group: "ff12::5752:1" };
    const interfaces = [{ ...ETH0, address: "fe80::1%eth0" }];
    assertEquals(texts(scanProbes({ node, interfaces }, [lo, eth0, eth6])), ["multicast eth0 ff02::1:7946"]);
  });

  test("probes at most eight other interfaces", () => {
    const many = Array.from({ length: 20 }, (_, i) => ({ ...eth1, name: `veth${i}`, address: `10.1.${i}.1` }));
    const from = scanProbes({ node: NODE, interfaces: [ETH0] }, [eth0, ...many]).map(({ from: { name } }) => name);
    assertEquals(new Set(from).size, 9);
  });

  test("hears nodes on this host whatever their group, once each, and becomes no peer of theirs", () =>
    withMeshes(async (open) => {
      const mesh = await open({ group: "239.9.9.9", heartbeat: 500 });
      const probe: ScanProbe = { by: "broadcast", from: lo, host: "127.255.255.255", port: mesh.port };
      const acks: ScanAck[] = [];
      await scan([probe, { ...probe, host: "256.1.1.1" }], 300, (ack) => acks.push(ack));
      assertEquals(unknownNodesOf(acks, { interfaces: [LO0] }), [{
        id: mesh.nodeId,
        address: mesh.address,
        interface: "lo",
        isOnMesh: true,
        port: mesh.port,
        group: "239.9.9.9",
        heartbeat: 500,
        multicast: true,
      }]);
      assertEquals(unknownNodesOf(acks, { interfaces: [LO0] }, new Set([mesh.nodeId])), []);
      assertEquals(mesh.peers(), []);
    }));

  test("accepts responses to its own probe only", async () => {
    const socket = createSocket("udp4");
    const id = stampUuid(crypto.getRandomValues(new Uint8Array(16)));
    const received: { readonly nonce: number; readonly stream: string }[] = [];
    socket.on("message", async (data, { address, port }) => {
      const extension = readExtension(data, HEADER_LENGTH);
      const nonce = typeof extension === "object" ? extension.nonce ?? 0 : 0;
      const stream = nodeIdOf(data).slice();
      received.push({ nonce, stream: formatNodeId(stream) });
      const send = (control: Parameters<typeof encodeControl>[2]) =>
        new Promise((resolve) => socket.send(encodeControl(TYPE_PROBE_ACK, id, control), port, address, resolve));
      await send({ stream, nonce: (nonce + 1) % 2 ** 32, report: { ...REPORT, port: 1 } });
      await send({ stream: id, nonce, report: { ...REPORT, port: 2 } });
      await send({ nonce, report: { ...REPORT, port: 3 } });
      await send({ stream, nonce });
      await send({ stream, nonce, report: { ...REPORT, port: 4 } });
    });
    await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
    try {
      const probe: ScanProbe = { by: "multicast", from: lo, host: "127.0.0.1", port: socket.address().port };
      const acks: ScanAck[] = [];
      for (let i = 0; i < 2; i++) await scan([probe], 300, (ack) => acks.push(ack));
      // Each probe is sent twice.
      assertEquals(acks.map((ack) => [ack.id, ack.report.port]), Array(4).fill([formatNodeId(id), 4]));
      // Neither can be known beforehand.
      assertEquals(
        [new Set(received.map(({ nonce }) => nonce)).size, new Set(received.map((one) => one.stream)).size],
        [
          2,
          2,
        ],
      );
    } finally {
      await new Promise<void>((resolve) => socket.close(resolve));
    }
  });

  test("keeps 64 unknown nodes, however many are invented, and counts the others once each", () => {
    const unknownNodes = new UnknownNodes({ node: NODE, interfaces: [ETH0] }, new Set());
    for (let i = 0; i < 10_000; i++) {
      unknownNodes.acked({ ...ackOf(`${i % 5000}`, eth0), report: { ...REPORT, port: 1 + i % 5000 } });
    }
    for (let i = 0; i < 100; i++) unknownNodes.heard({ id: `heard ${i}`, host: "10.0.5.9", port: 7946, from: eth1 });
    assertEquals([unknownNodes.list.length, unknownNodes.more], [64, 5036]);
    const [finding, ...others] = scanFindings({ node: NODE, interfaces: [ETH0], peers: [] }, unknownNodes.list);
    assertEquals(others, []);
    assertStringIncludes(
      finding?.message ?? "",
      "64 nodes were found that use the ports 1, 2, 3 and 61 more; this node uses 7946",
    );
    assertEquals(finding?.subject, "10.0.0.9:50000, 10.0.0.9:50000, 10.0.0.9:50000 and 61 more");
  });

  test("ignores nodes with impossible options, and those that have become peers meanwhile", () => {
    const known = new Set(["self"]);
    const unknownNodes = new UnknownNodes({ node: NODE, interfaces: [ETH0] }, known);
    const nonsense: readonly Partial<Report>[] = [
      { port: 0 },
      { heartbeat: 9 },
      { heartbeat: 3_600_001 },
      { group: "10.0.0.1" },
      { group: "::1" },
    ];
    for (const [i, part] of nonsense.entries()) {
      unknownNodes.acked({ ...ackOf(`${i}`, eth0), report: { ...REPORT, ...part } });
    }
    for (const id of ["self", "peer", "other"]) unknownNodes.acked(ackOf(id, eth0));
    unknownNodes.acked({ ...ackOf("six", eth0), report: { ...REPORT, group: "ff12::5752:1" } });
    known.add("peer");
    assertEquals([unknownNodes.list.map(({ id }) => id), unknownNodes.more], [["other", "six"], 0]);
  });

  test("distinguishes an open port from a closed one", () =>
    withMeshes(async (open) => {
      const mesh = await open();
      const [, port = ""] = mesh.address.split(":");
      assertEquals(await isRefused("127.0.0.1", Number(port), 200), false);
      await mesh.close();
      // Deno does not report it.
      assertEquals(await isRefused("127.0.0.1", Number(port), 2000), !("Deno" in globalThis));
    }));

  const unknownNode: UnknownNode = {
    id: "other",
    address: "10.0.0.9:50000",
    interface: "eth0",
    isOnMesh: true,
    port: 7946,
    group: "239.0.0.1",
    heartbeat: 5000,
    multicast: true,
  };
  const causes: readonly [string, Partial<UnknownNode>, string, string][] = [
    ["port-mismatch", { port: 7950 }, "A node was found that uses the port 7950; this node uses 7946.", "`port`"],
    [
      "group-mismatch",
      { group: "239.9.9.9" },
      "uses the group 239.9.9.9 on port 7946; this node uses 239.0.0.1",
      "`group`",
    ],
    [
      "wrong-interface",
      { isOnMesh: false, interface: "eth1" },
      "1 node of the mesh was found on eth1 of this host; this node uses eth0",
      '"eth1"',
    ],
    ["multicast-off", { multicast: false }, "it does not use multicast", 'peers: ["10.0.0.9:7946"]'],
    ["multicast-blocked", {}, "multicast to 239.0.0.1:7946 does not pass", 'peers: ["10.0.0.9:7946"]'],
  ];
  for (const [code, difference, message, advice] of causes) {
    test(`explains ${code}`, () => {
      const found = scanFindings({ node: NODE, interfaces: [ETH0], peers: [] }, [{ ...unknownNode, ...difference }]);
      assertEquals(found.map((finding) => [finding.code, finding.severity, finding.subject]), [
        [code, "error", "10.0.0.9:50000"],
      ]);
      assertStringIncludes(found[0]?.message ?? "", message);
      assertStringIncludes(found[0]?.advice ?? "", advice);
    });
  }

  test("finds one cause for each unknown node; beside peers each is information only, and first suggests another mesh", () => {
    const unknownNodes = causes.map(([id, difference]) => ({ ...unknownNode, id, ...difference }));
    const peers = [{}] as unknown as Diagnosis["peers"];
    const found = scanFindings({ node: NODE, interfaces: [ETH0], peers }, unknownNodes);
    assertEquals(found.map(({ code, severity }) => [code, severity]), causes.map(([code]) => [code, "info"]));
    for (const [i, { advice, code }] of found.entries()) {
      const [isOther = "", isThis = ""] = advice.split(". If it is this one, ");
      const apart = code === "port-mismatch" ? "that is as it should be" : "set a different `port` for each";
      assertEquals(isOther, `If it is another mesh, ${apart}`);
      assertStringIncludes(isThis, causes[i]?.[3] ?? "");
    }
    assertEquals(scanFindings({ node: NODE, interfaces: [ETH0], peers: [] }, []), []);
  });

  test("finds an unknown node on the network of the mesh, if it responds there too", () => {
    const acks = [["a", eth1], ["a", eth0], ["a", eth1], ["b", eth1], ["c", eth0]] as const;
    const found = unknownNodesOf(acks.map(([id, from]) => ackOf(id, from)), { interfaces: [ETH0] }, new Set(["c"]));
    assertEquals(found.map(({ id, interface: name, isOnMesh }) => [id, name, isOnMesh]), [
      ["a", "eth0", true],
      ["b", "eth1", false],
    ]);
  });
});

describe("the table", () => {
  const peer: Diagnosis["peers"][number] = {
    id: "peer",
    address: "10.0.0.2:40001",
    endpoint: "10.0.0.2:40001",
    plain: false,
    probed: true,
    unicast: { in: true, out: true },
    multicast: { in: true, out: false },
    roundTrip: 0.256,
    probes: 5,
    lost: 1,
    largest: { in: 1400, out: 1172 },
    largestToGroup: 1400,
    isKnownThere: true,
    isAtAddress: true,
    reachesAddress: true,
    settings: null,
    state: "current",
    staleness: 149.6,
  };

  test("shows that all is well", () => {
    const lines = render(EMPTY, plain).split("\n");
    assertEquals(lines[0], "This node  10.0.0.1:40000  node, adapter node");
    assertEquals(lines.slice(-2), ["✔ All is well", ""]);
    assert(lines.includes("Peers (0)") && lines.includes("  none"));
  });

  test("shows peers in columns, and unknown values as a question mark", () => {
    const deaf = { ...peer, unicast: { in: null, out: false }, roundTrip: null, probes: 0, staleness: null };
    const silent = { ...deaf, largest: { in: null, out: null }, multicast: { in: null, out: false } };
    const lines = render({ ...EMPTY, peers: [peer, silent, { ...peer, plain: true }] }, plain).split("\n");
    const start = lines.indexOf("Peers (3)");
    assertEquals(lines.slice(start + 1, start + 5).map((line) => line.trim().split(/ {2,}/)), [
      ["address", "inbound", "outbound", "round trip", "lost", "largest in/out", "staleness"],
      ["10.0.0.2:40001", "unicast, multicast", "unicast", "0.26 ms", "1/5", "1400/1172", "150 ms"],
      ["10.0.0.2:40001", "?", "nothing", "?", "?", "?/?", "?"],
      ["10.0.0.2:40001", "go-warp's wire", "?", "0.26 ms", "1/5", "1400/1172", "150 ms"],
    ]);
  });

  test("shows findings with the advice and a link", () => {
    const finding = { code: "mtu", severity: "error", subject: "10.0.0.2", message: "It is.", advice: "Do." } as const;
    const report: DoctorReport = { ...EMPTY, ok: false, findings: [finding, { ...finding, severity: "warning" }] };
    const text = render(report, plain);
    assertStringIncludes(text, "✖ error mtu  10.0.0.2\n  It is.\n  → Do.\n  docs/troubleshooting.md#mtu\n");
    assertMatch(text, /\n1 error, 1 warning\n$/);
    assertEquals(text.includes("\u001b"), false);
    assertStringIncludes(render(report, coloured), "\u001b[31m✖ error mtu\u001b[39m");
  });

  test("shows unknown nodes, and at most 32 peers; a node that could not be opened has none", () => {
    const unknownNodes: UnknownNode[] = [{
      id: "x",
      address: "10.0.5.9:7",
      interface: "eth1",
      isOnMesh: false,
      port: 7946,
      group: "239.0.0.1",
      heartbeat: 500,
      multicast: true,
    }];
    const text = render({ ...EMPTY, unknownNodes, peers: Array.from({ length: 40 }, () => peer) }, plain);
    assertMatch(text, /\n {2}10\.0\.5\.9:7 +eth1 +7946 +239\.0\.0\.1 +500 ms +yes\n/);
    assertStringIncludes(text, "  and 8 more\n");
    assertEquals(render({ ...EMPTY, node: null }, plain), "✔ All is well\n");
    const [one] = unknownNodes as [UnknownNode];
    const many = render({ ...EMPTY, unknownNodes: Array(64).fill(one), moreUnknownNodes: 4936 }, plain);
    assertStringIncludes(many, "Nodes of other meshes (5000)\n");
    assertEquals([many.split("10.0.5.9:7 ").length - 1, many.includes("  and 4968 more\n")], [32, true]);
  });
});
