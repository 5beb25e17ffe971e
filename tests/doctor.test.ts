// The program `doctor`: what it takes, what it prints, what it ends with, and what it makes of answers from elsewhere.
import { describe, test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { readArguments, UsageError } from "../cli/arguments.ts";
import type { DoctorReport } from "../cli/doctor.ts";
import { program } from "../cli/program.ts";
import { coloured, plain, render } from "../cli/render.ts";
import type { Answer, Question } from "../cli/scout.ts";
import { isRefused, scout } from "../cli/scout.ts";
import { questionsOf, scoutFindings, type Stranger, strangersOf } from "../cli/scout_plan.ts";
import type { Diagnosis, NetworkInterface, NodeDiagnosis } from "../mod.ts";
import { assertError, checkUp } from "./support/doctor.ts";
import { happened, openMany, patient, withMeshes } from "./support/meshes.ts";
import { withPrograms } from "./support/programs.ts";

const NODE: NodeDiagnosis = {
  id: "node",
  address: "10.0.0.1:40000",
  isHealthy: true,
  adapter: "node",
  family: 4,
  port: 7946,
  group: "239.0.0.1",
  heartbeat: 5000,
  extended: true,
  asked: { multicast: true, multicastLoopback: true, receiveBuffer: 4_194_304 },
  receiveBuffer: null,
  receiveBufferRequired: false,
  multicastError: null,
  silentSeeds: [],
  unresolvedSeeds: [],
  peersRefused: 0,
};
const ETH0 = { name: "eth0", address: "10.0.0.1", multicast: true, returned: true };
const LO0 = { name: "lo", address: "127.0.0.1", multicast: true, returned: true };
const EMPTY: DoctorReport = {
  version: 1,
  ok: true,
  findings: [],
  node: NODE,
  interfaces: [ETH0],
  peers: [],
  strangers: [],
};

/** Runs the program in this process. */
async function call(...args: readonly string[]): Promise<{ readonly code: number; out: string; err: string }> {
  const said = { out: "", err: "" };
  const code = await patient(
    program(args, { out: (text) => said.out += text, err: (text) => said.err += text, hasColours: false }),
    () => `the end of ${args.join(" ")}`,
  );
  return { code, ...said };
}

describe("arguments", () => {
  test("stand for the options of a mesh", () => {
    assertEquals(readArguments(["doctor"]), {
      do: "doctor",
      options: {},
      isJson: false,
      isScouting: true,
      wait: undefined,
      timeout: 2000,
    });
    const all = "doctor --port 7950 --group 239.1.1.1 --family 4 --interface eth0 --peers a:1,b --peers [::1]:2 " +
      "--advertise :7950 --heartbeat 500 --no-multicast --wait 0 --timeout 100 --no-scout --json";
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
      },
      isJson: true,
      isScouting: false,
      wait: 0,
      timeout: 100,
    });
    const list = readArguments(["doctor", "--interface", "eth0", "--interface", "eth1"]);
    assertEquals(list.do === "doctor" && list.options.interface, ["eth0", "eth1"]);
  });

  const wrong: readonly [string, string][] = [
    ["", 'the command must be "doctor": current value is ""'],
    ["docter", 'current value is "docter"'],
    ["doctor now", 'current value is "doctor now"'],
    ["doctor --port x", '--port must be a number: current value is "x"'],
    ["doctor --heartbeat=", '--heartbeat must be a number: current value is ""'],
    ["doctor --wait -1", "--wait"],
    ["doctor --wait 60001", "--wait must be from 0 to 60000 ms"],
    ["doctor --timeout 99", "--timeout must be from 100 to 60000 ms"],
    ["doctor --family 5", '--family must be 4 or 6: current value is "5"'],
    ["doctor --grup 239.0.0.1", "--grup"],
    ["doctor --json=yes", "--json"],
  ];
  for (const [text, rule] of wrong) {
    test(`are refused: ${text === "" ? "none" : text}`, async () => {
      const args = text.split(" ").filter((word) => word !== "");
      const { message } = assertThrows(() => readArguments(args), UsageError, rule);
      const { code, err, out } = await call(...args);
      assertEquals([code, out], [2, ""]);
      assertStringIncludes(err, message);
      assertStringIncludes(err, "Usage: npx @warp-mesh/bus doctor");
    });
  }

  test("that the mesh refuses are misuse too", async () => {
    const { code, err, out } = await call("doctor", "--port", "70000");
    assertEquals([code, out], [2, ""]);
    assertStringIncludes(
      err,
      "Cannot open the mesh as `port` must be an integer from 0 to 65535: current value is 70000",
    );
  });

  test("may ask how it is called", async () => {
    for (const args of [["--help"], ["doctor", "-h"]]) {
      const { code, err, out } = await call(...args);
      assertEquals([code, err], [0, ""]);
      assertStringIncludes(out, "--interface <name>");
    }
  });
});

describe("a run on this host", () => {
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
      assertEquals(Object.keys(report.node ?? {}).sort(), Object.keys(NODE).sort());
      assertEquals(report.peers.map(({ id }) => id).sort(), [first?.nodeId, second?.nodeId].sort());
      for (const finding of report.findings) {
        assertEquals(Object.keys(finding), ["code", "severity", "subject", "message", "advice"]);
        assertEquals(finding.severity, "info");
      }
    }));

  test("leaves the mesh when it has done, and says so", () =>
    withMeshes(async (open) => {
      const mesh = await open({ heartbeat: 300 });
      const left = happened(mesh, ({ type }) => type === "peerLeft");
      await call(
        "doctor",
        ..."--no-scout --wait 0 --interface 127.0.0.1 --heartbeat 300 --port".split(" "),
        `${mesh.port}`,
      );
      const event = await left;
      assertEquals(event.type === "peerLeft" && event.reason, "left");
    }));

  test("names what cannot be opened, and ends with 1", async () => {
    const { code, out } = await call("doctor", "--json", "--interface", "no-such-interface");
    const report = JSON.parse(out) as DoctorReport;
    assertEquals([code, report.ok, report.node], [1, false, null]);
    const [{ code: found, subject, message } = { code: "", subject: "", message: "" }] = report.findings;
    assertEquals([found, subject], ["cannot-open", 'interface: "no-such-interface"']);
    assertStringIncludes(message, "`interface` must name one that is up");
  });

  test("as a program: one alone on the loopback interface finds nobody", () =>
    withPrograms(async (start) => {
      const args = ["--interface", "127.0.0.1", "--port", "0", "--heartbeat", "100", "--wait", "200"];
      assertError(await checkUp(start, "node", args), "nobody-there");
      const wrong = start("node", "../../cli/main.ts", { args: ["doctor", "--port", "x"] });
      assertEquals(await wrong.ended(), 2, wrong.describe());
    }));

  test("that is interrupted leaves the mesh first", () =>
    withMeshes((open) =>
      withPrograms(async (start) => {
        const mesh = await open({ heartbeat: 300 });
        const joined = happened(mesh, ({ type }) => type === "peerJoined");
        const args = [
          "doctor",
          "--interface",
          "127.0.0.1",
          "--port",
          `${mesh.port}`,
          "--wait",
          "60000",
          "--heartbeat",
          "60000",
        ];
        const run = start("node", "../../cli/main.ts", { args });
        await joined;
        const left = happened(mesh, ({ type }) => type === "peerLeft");
        run.interrupt();
        const event = await left;
        assertEquals(event.type === "peerLeft" && event.reason, "left");
        assertEquals(await run.ended(), 130, run.describe());
      })
    ));
});

describe("scouting", () => {
  const lo: NetworkInterface = { name: "lo", address: "127.0.0.1", internal: true, netmask: "255.0.0.0" };
  const eth0: NetworkInterface = { name: "eth0", address: "10.0.0.1", internal: false, netmask: "255.255.255.0" };
  const eth1: NetworkInterface = { name: "eth1", address: "10.0.5.1", internal: false, netmask: "255.255.252.0" };
  const eth6: NetworkInterface = {
    name: "eth0",
    address: "fe80::1",
    internal: false,
    netmask: "ffff:ffff:ffff:ffff::",
  };
  const texts = (questions: readonly Question[]) =>
    questions.map(({ by, from, host, port }) => `${by} ${from.name} ${host}:${port}`);

  test("asks each network, and other interfaces by the group", () => {
    assertEquals(texts(questionsOf({ node: NODE, interfaces: [ETH0] }, [lo, eth0, eth1, eth6])), [
      "broadcast eth0 10.0.0.255:7946",
      "multicast eth1 239.0.0.1:7946",
      "broadcast eth1 10.0.7.255:7946",
    ]);
  });

  test("asks the default group and port when the mesh has others", () => {
    const node = { ...NODE, group: "239.9.9.9", port: 7950 };
    assertEquals(texts(questionsOf({ node, interfaces: [ETH0] }, [lo, eth0])), [
      "broadcast eth0 10.0.0.255:7950",
      "multicast eth0 239.0.0.1:7950",
      "broadcast eth0 10.0.0.255:7946",
      "multicast eth0 239.9.9.9:7946",
    ]);
  });

  test("stays on this host when the mesh does", () => {
    assertEquals(texts(questionsOf({ node: NODE, interfaces: [LO0] }, [lo, eth0, eth1])), [
      "broadcast lo 127.255.255.255:7946",
    ]);
  });

  test("asks all nodes of a network of IPv6", () => {
    const node = { ...NODE, family: 6 as const, group: "ff12::5752:1" };
    const interfaces = [{ ...ETH0, address: "fe80::1%eth0" }];
    assertEquals(texts(questionsOf({ node, interfaces }, [lo, eth0, eth6])), ["multicast eth0 ff02::1:7946"]);
  });

  test("asks eight other interfaces at most", () => {
    const many = Array.from({ length: 20 }, (_, i) => ({ ...eth1, name: `veth${i}`, address: `10.1.${i}.1` }));
    const from = questionsOf({ node: NODE, interfaces: [ETH0] }, [eth0, ...many]).map(({ from: { name } }) => name);
    assertEquals(new Set(from).size, 9);
  });

  test("hears nodes on this host whatever their group, once each, and is noted by none", () =>
    withMeshes(async (open) => {
      const mesh = await open({ group: "239.9.9.9", heartbeat: 500 });
      const question: Question = { by: "broadcast", from: lo, host: "127.255.255.255", port: mesh.port };
      const answers = await scout([question, { ...question, host: "256.1.1.1" }], 300);
      const strangers = strangersOf(answers, { interfaces: [LO0] }, new Set());
      assertEquals(strangers, [{
        id: mesh.nodeId,
        address: mesh.address,
        interface: "lo",
        isOnMesh: true,
        port: mesh.port,
        group: "239.9.9.9",
        heartbeat: 500,
        multicast: true,
      }]);
      assertEquals(strangersOf(answers, { interfaces: [LO0] }, new Set([mesh.nodeId])), []);
      assertEquals(mesh.peers(), []);
    }));

  test("tells a port where somebody listens from one where nobody does", () =>
    withMeshes(async (open) => {
      const mesh = await open();
      const [, port = ""] = mesh.address.split(":");
      assertEquals(await isRefused("127.0.0.1", Number(port), 200), false);
      await mesh.close();
      // Deno is not told.
      assertEquals(await isRefused("127.0.0.1", Number(port), 2000), !("Deno" in globalThis));
    }));

  const stranger: Stranger = {
    id: "other",
    address: "10.0.0.9:50000",
    interface: "eth0",
    isOnMesh: true,
    port: 7946,
    group: "239.0.0.1",
    heartbeat: 5000,
    multicast: true,
  };
  const causes: readonly [string, Partial<Stranger>, string, string][] = [
    ["other-port", { port: 7950 }, "A node is there that uses the port 7950; this node uses 7946.", "`port`"],
    [
      "other-group",
      { group: "239.9.9.9" },
      "uses the group 239.9.9.9 on port 7946; this node uses 239.0.0.1",
      "`group`",
    ],
    [
      "wrong-interface",
      { isOnMesh: false, interface: "eth1" },
      "answers on eth1 of this host; this node uses eth0",
      '"eth1"',
    ],
    ["multicast-off", { multicast: false }, "they do not use multicast", 'peers: ["10.0.0.9:7946"]'],
    ["multicast-blocked", {}, "multicast to 239.0.0.1:7946 does not pass", 'peers: ["10.0.0.9:7946"]'],
  ];
  for (const [code, difference, message, advice] of causes) {
    test(`explains ${code}`, () => {
      const found = scoutFindings({ node: NODE, interfaces: [ETH0], peers: [] }, [{ ...stranger, ...difference }]);
      assertEquals(found.map((finding) => [finding.code, finding.severity, finding.subject]), [
        [code, "error", "10.0.0.9:50000"],
      ]);
      assertStringIncludes(found[0]?.message ?? "", message);
      assertStringIncludes(found[0]?.advice ?? "", advice);
    });
  }

  test("finds one cause for each stranger, milder beside peers", () => {
    const strangers = causes.map(([id, difference]) => ({ ...stranger, id, ...difference }));
    const peers = [{}] as unknown as Diagnosis["peers"];
    const found = scoutFindings({ node: NODE, interfaces: [ETH0], peers }, strangers);
    assertEquals(found.map(({ code, severity }) => [code, severity]), [
      ["other-port", "info"],
      ...causes.slice(1).map(([code]) => [code, "warning"]),
    ]);
    assertEquals(scoutFindings({ node: NODE, interfaces: [ETH0], peers: [] }, []), []);
  });

  test("takes a stranger to be where the mesh is, if it answers there too", () => {
    const report = { port: 7946, heartbeat: 5000, asker: 0, multicast: true, group: "239.0.0.1" };
    const answer = (id: string, from: NetworkInterface): Answer => ({
      id,
      host: "10.0.0.9",
      port: 50000,
      report,
      question: { by: "multicast", from, host: "239.0.0.1", port: 7946 },
    });
    const answers = [answer("a", eth1), answer("a", eth0), answer("a", eth1), answer("b", eth1), answer("c", eth0)];
    const found = strangersOf(answers, { interfaces: [ETH0] }, new Set(["c"]));
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
    asked: true,
    unicast: { in: true, out: true },
    multicast: { in: true, out: false },
    roundTrip: 0.256,
    questions: 5,
    lost: 1,
    largest: { in: 1400, out: 1172 },
    isAtAddress: true,
    reachesAddress: true,
    settings: null,
    state: "current",
    staleness: 149.6,
  };

  test("says when all is well", () => {
    const lines = render(EMPTY, plain).split("\n");
    assertEquals(lines[0], "This node  10.0.0.1:40000  node, adapter node");
    assertEquals(lines.slice(-2), ["✔ All is well", ""]);
    assert(lines.includes("Peers (0)") && lines.includes("  none"));
  });

  test("shows peers in columns, what is not known as a question mark", () => {
    const deaf = { ...peer, unicast: { in: null, out: false }, roundTrip: null, questions: 0, staleness: null };
    const silent = { ...deaf, largest: { in: null, out: null }, multicast: { in: null, out: false } };
    const lines = render({ ...EMPTY, peers: [peer, silent, { ...peer, plain: true }] }, plain).split("\n");
    const start = lines.indexOf("Peers (3)");
    assertEquals(lines.slice(start + 1, start + 5).map((line) => line.trim().split(/ {2,}/)), [
      ["address", "heard by", "hears us by", "round trip", "lost", "largest in/out", "stale by"],
      ["10.0.0.2:40001", "unicast, multicast", "unicast", "0.26 ms", "1/5", "1400/1172", "150 ms"],
      ["10.0.0.2:40001", "?", "nothing", "?", "?", "?/?", "?"],
      ["10.0.0.2:40001", "go-warp's wire", "?", "0.26 ms", "1/5", "1400/1172", "150 ms"],
    ]);
  });

  test("shows findings with what to do, and where to read on", () => {
    const finding = { code: "mtu", severity: "error", subject: "10.0.0.2", message: "It is.", advice: "Do." } as const;
    const report: DoctorReport = { ...EMPTY, ok: false, findings: [finding, { ...finding, severity: "warning" }] };
    const text = render(report, plain);
    assertStringIncludes(text, "✖ error mtu  10.0.0.2\n  It is.\n  → Do.\n  docs/troubleshooting.md#mtu\n");
    assertMatch(text, /\n1 error, 1 warning\n$/);
    assertEquals(text.includes("\u001b"), false);
    assertStringIncludes(render(report, coloured), "\u001b[31m✖ error mtu\u001b[39m");
  });

  test("shows strangers, and at most 32 peers; a node that could not be opened has none", () => {
    const strangers: Stranger[] = [{
      id: "x",
      address: "10.0.5.9:7",
      interface: "eth1",
      isOnMesh: false,
      port: 7946,
      group: "239.0.0.1",
      heartbeat: 500,
      multicast: true,
    }];
    const text = render({ ...EMPTY, strangers, peers: Array.from({ length: 40 }, () => peer) }, plain);
    assertMatch(text, /\n {2}10\.0\.5\.9:7 +eth1 +7946 +239\.0\.0\.1 +500 ms +yes\n/);
    assertStringIncludes(text, "  and 8 more\n");
    assertEquals(render({ ...EMPTY, node: null }, plain), "✔ All is well\n");
  });
});
