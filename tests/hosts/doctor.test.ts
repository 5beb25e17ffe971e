// The program `doctor` on hosts with a broken network: it names the true cause, and no other.

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { describe } from "node:test";
import type { MeshOptions } from "../../mod.ts";
import { assertError, assertWarnings, type Checkup, checkUp } from "../support/doctor.ts";
import type { HostNode } from "../support/host_process.ts";
import { withHostProcesses } from "../support/host_process.ts";
import { type Runtime, RUNTIMES, withPrograms } from "../support/programs.ts";
import { IS_SMALL, some } from "../support/size.ts";
import type { Wire } from "../support/wire.ts";
import { type Host, type HostPlan, hostTest, withHosts } from "./support/netns.ts";

const HEARTBEAT = 1000;
/** The runtimes for scenes that have the same result on each. Other scenes run on one. */
const TRIED = some(RUNTIMES, (runtime) => runtime === "bun");
/** The host that is examined, and two others. */
const LAN: readonly HostPlan[] = [["10.77.1.1"], ["10.77.1.2"], ["10.77.1.3"]];

let count = 0;

interface Scene {
  readonly hosts: readonly Host[];
  /** The host that is examined. */
  readonly own: Host;
  readonly wire: Wire;
  /** Opens a node on another host. */
  readonly open: (host: number, options?: MeshOptions) => Promise<HostNode>;
  /** Runs the program on the first host: by default on Bun, which starts fastest. */
  readonly doctor: (args?: readonly string[], runtime?: Runtime) => Promise<Checkup>;
}

/** At small size every other scene runs: tests in memory cover each of them too. */
function scene(title: string, plans: readonly HostPlan[], body: (scene: Scene) => Promise<void>): void {
  if (count++ % 2 === 1 && IS_SMALL) return;
  hostTest(title, () =>
    withHosts(plans, (hosts, wire) =>
      withHostProcesses((start) =>
        withPrograms(async (run) => {
          const own = hosts[0] as Host;
          await body({
            hosts,
            own,
            wire,
            async open(host, options = {}) {
              const process = start("bun", { within: hosts[host]?.within ?? [] });
              await process.started();
              return await process.open({ heartbeat: HEARTBEAT, ...options });
            },
            doctor: (args = [], runtime = "bun") =>
              checkUp(run, runtime, ["--heartbeat", `${HEARTBEAT}`, "--timeout", "1000", ...args], {
                within: own.within,
              }),
          });
        })
      )));
}

/** Drops the incoming datagrams of a host that match. */
function shut(host: Host, rule: string): void {
  host.run("nft", "add table inet shut");
  host.run("nft", "add chain inet shut input { type filter hook input priority 0; }");
  host.run("nft", `add rule inet shut input meta l4proto udp ${rule} drop`);
}

// They mostly wait. Each has hosts of its own.
describe("on hosts", { concurrency: 6 }, () => {
  for (const runtime of TRIED) {
    scene(`doctor on ${runtime}: finds nothing wrong with a mesh that is well`, LAN, async ({ open, doctor }) => {
      const nodes = await Promise.all([open(1), open(2)]);
      const checkup = await doctor([], runtime);
      assertWarnings(checkup);
      const { peers, interfaces, unknownNodes } = checkup.report;
      assertEquals(peers.map(({ id }) => id).sort(), nodes.map(({ nodeId }) => nodeId).sort());
      for (const { largest, multicast, unicast } of peers) {
        assertEquals({ largest, multicast, unicast }, {
          largest: { in: 1400, out: 1400 },
          multicast: { in: true, out: true },
          unicast: { in: true, out: true },
        });
      }
      assertEquals(interfaces, [{ name: "eth0", address: "10.77.1.1", multicast: true, returned: true }]);
      assertEquals(unknownNodes, []);
    });
  }

  scene("doctor: multicast blocked on the bridge", LAN, async ({ wire, open, doctor }) => {
    wire.block("multicast");
    await Promise.all([open(1), open(2)]);
    const { advice } = assertError(await doctor([], "node"), "multicast-blocked");
    assertMatch(advice, /--peers 10\.77\.1\.[23]:7946/);
    // As the advice says.
    assertWarnings(await doctor(["--peers", "10.77.1.2,10.77.1.3"]), "multicast-blocked");
    assertWarnings(await doctor(["--no-multicast", "--peers", "10.77.1.2,10.77.1.3"]));
  });

  scene("doctor: multicast that passes in one direction only", LAN, async ({ hosts, own, wire, open, doctor }) => {
    await Promise.all([open(1), open(2)]);
    const pass = wire.block("multicast", { from: [own] });
    assertWarnings(await doctor(["--peers", "10.77.1.2"]), "multicast-outbound-blocked");
    pass();
    wire.block("multicast", { from: hosts.slice(1) });
    assertWarnings(await doctor(), "multicast-inbound-blocked");
  });

  scene("doctor: the mesh is on another interface", [
    ["10.77.1.1", "10.77.2.1"],
    ["10.77.2.2"],
  ], async ({ open, doctor }) => {
    await open(1);
    const { advice, message } = assertError(await doctor([], "deno"), "wrong-interface");
    assertStringIncludes(message, "on eth1 of this host; this node uses eth0");
    assertStringIncludes(advice, "--interface eth1,");
    assertWarnings(await doctor(["--interface", "eth1"]));
    // A node advertises only one address.
    assertWarnings(await doctor(["--interface", "all"]), "advertised-unreachable");
  });

  scene("doctor: a mesh of nodes that do not respond, as Go's, is on another interface", [
    ["10.77.1.1", "10.77.2.1"],
    ["10.77.2.2"],
  ], async ({ open, doctor }) => {
    const node = await open(1, { wire: "go-warp" });
    const checkup = await doctor();
    assertStringIncludes(assertError(checkup, "wrong-interface").advice, "--interface eth1,");
    assertEquals(checkup.report.unknownNodes.map(({ id, heartbeat }) => [id, heartbeat]), [[node.nodeId, null]]);
  });

  scene("doctor: another group on the same port", LAN, async ({ open, doctor }) => {
    await Promise.all([open(1, { group: "239.9.9.9" }), open(2, { group: "239.9.9.9" })]);
    const { message } = assertError(await doctor(), "group-mismatch");
    assertStringIncludes(message, "239.9.9.9");
    assertWarnings(await doctor(["--group", "239.9.9.9"]));
  });

  scene("doctor: a mesh of IPv6, on another interface and in another group", [
    ["fd77::1", "fd78::1"],
    ["fd78::2"],
  ], async ({ open, doctor }) => {
    await open(1, { family: 6 });
    assertStringIncludes(assertError(await doctor(["--family", "6"], "deno"), "wrong-interface").advice, "eth1");
    assertWarnings(await doctor(["--family", "6", "--interface", "eth1"], "bun"));
    assertError(await doctor(["--interface", "eth1", "--group", "ff12::9"]), "group-mismatch");
  });

  scene("doctor: another port", LAN, async ({ open, doctor }) => {
    await open(1);
    assertStringIncludes(assertError(await doctor(["--port", "7950"]), "port-mismatch").message, "7946");
  });

  scene("doctor: a firewall that drops everything from this host", LAN, async ({ hosts, open, doctor }) => {
    await Promise.all([open(1), open(2)]);
    for (const host of hosts.slice(1)) shut(host, "ip saddr 10.77.1.1");
    const { subject, message } = assertError(await doctor(), "peer-receives-nothing");
    assertMatch(subject, /10\.77\.1\.2:\d+/);
    assertStringIncludes(message, "2 of 2 peers");
  });

  scene("doctor: a port that is closed in one direction", LAN, async ({ hosts, own, open, doctor }) => {
    const [node] = await Promise.all([open(1), open(2)]);
    // At the other hosts: the port of the mesh is open, the one that the node sends from is not.
    shut(hosts[1] as Host, `ip saddr 10.77.1.1 udp dport != 7946`);
    const out = assertError(await doctor([], "node"), "unicast-outbound-blocked");
    assertEquals(out.subject, node.address);
    assertStringIncludes(out.advice, `receive UDP from 10.77.1.1 to the port that it advertises (${node.address})`);
    // At this host.
    hosts[1]?.run("nft", "delete table inet shut");
    shut(own, `ip saddr != 10.77.1.1 udp dport != 7946`);
    const checkup = await doctor();
    const into = assertError(checkup, "unicast-inbound-blocked");
    assertStringIncludes(into.advice, `port ${checkup.report.node?.address.split(":")[1]}`);
    // As the advice says.
    assertWarnings(await doctor(["--advertise", ":7946"]));
  });

  scene("doctor: a firewall that opens the port of the mesh alone, at a peer", LAN, async ({ hosts, open, doctor }) => {
    shut(hosts[1] as Host, "udp dport != 7946");
    const [node] = await Promise.all([open(1), open(2)]);
    const checkup = await doctor();
    const { advice } = assertError(checkup, "unicast-outbound-blocked");
    assertStringIncludes(advice, node.address);
    assertStringIncludes(advice, 'the option `advertiseAddr: ":7946"`');
    assertEquals(checkup.report.unknownNodes, []);
    // As the advice says.
    await node.close();
    await open(1, { advertiseAddr: ":7946" });
    assertWarnings(await doctor());
  });

  scene("doctor: the same with seeds", LAN, async ({ hosts, open, doctor }) => {
    shut(hosts[1] as Host, "udp dport != 7946");
    const options: MeshOptions = { multicast: false, peers: ["10.77.1.2", "10.77.1.3"] };
    const args = ["--no-multicast", "--peers", "10.77.1.2,10.77.1.3"];
    const [node] = await Promise.all([open(1, options), open(2, options)]);
    const { advice, message } = assertError(await doctor(args), "unicast-outbound-blocked");
    assertStringIncludes(message, node.address);
    assertStringIncludes(advice, 'the option `advertiseAddr: ":7946"`');
    await node.close();
    await open(1, { ...options, advertiseAddr: ":7946" });
    assertWarnings(await doctor(args));
  });

  scene("doctor: this host keeps its own multicast out", LAN, async ({ own, doctor }) => {
    shut(own, "udp dport 7946");
    assertError(await doctor(), "multicast-loopback");
  });

  scene("doctor: a wrong address is advertised", LAN, async ({ open, doctor }) => {
    const nodes = await Promise.all([open(1), open(2)]);
    const { subject } = assertError(await doctor(["--advertise", "10.77.1.99:7950"]), "advertised-unreachable");
    assertEquals(subject, "10.77.1.99:7950");
    await nodes[0]?.close();
    await open(1, { advertiseAddr: "10.77.1.98:7951" });
    assertWarnings(await doctor(), "peer-advertised-unreachable");
  });

  scene("doctor: a link with an MTU of 1,200", LAN, async ({ hosts, own, wire, open, doctor }) => {
    await Promise.all([open(1), open(2)]);
    wire.shrink(own, 1200);
    const { message } = assertError(await doctor(), "mtu");
    assertStringIncludes(message, "2 of 2 peers: Datagrams of at most 1172 bytes arrive there");
    wire.shrink(own, 1500);
    wire.shrink(hosts[1] as Host, 1200);
    assertStringIncludes(assertError(await doctor(), "mtu").message, "1 of 2 peers");
  });

  scene("doctor: a second mesh with other options", LAN, async ({ open, doctor }) => {
    await Promise.all([open(1, { heartbeat: 900 }), open(2, { wire: "go-warp" })]);
    const checkup = await doctor();
    assertWarnings(checkup, "heartbeat-mismatch");
    const { findings } = checkup.report;
    assertStringIncludes(findings.find(({ code }) => code === "heartbeat-mismatch")?.message ?? "", "900 ms");
    assert(findings.some(({ code, severity }) => code === "plain-peers" && severity === "info"));
  });

  scene("doctor: there are no other nodes", LAN, async ({ doctor }) => {
    assertError(await doctor([], "deno"), "no-peers");
    assertError(await doctor(["--no-multicast"]), "no-peers");
    // The host exists, but no node runs on it.
    assertError(await doctor(["--peers", "10.77.1.2"], "node"), "seed-refused");
    const silent = await doctor(["--peers", "10.77.1.9"]);
    assertError(silent, "no-peers");
    assert(silent.report.findings.some(({ code }) => code === "seed-unresponsive"));
    assertError(await doctor(["--peers", "no.such.name.invalid"]), "seed-unresolved");
  });

  scene("doctor: beside a node with one port, as in a pod or with multicast", LAN, async ({ open, doctor }) => {
    const assertShared = (checkup: Checkup, nodes: readonly HostNode[]) => {
      assertWarnings(checkup);
      const { findings, node, peers, unknownNodes } = checkup.report;
      const shared = findings.filter(({ code }) => code === "port-shared");
      assertEquals(shared.map(({ subject }) => subject), ["10.77.1.1:7946"]);
      assertEquals([node?.port, unknownNodes], [7946, []], JSON.stringify(checkup.report, null, 1));
      assertEquals(peers.map(({ id }) => id).sort(), nodes.map(({ nodeId }) => nodeId).sort());
    };
    const seeds = ["10.77.1.1", "10.77.1.2"];
    const pod: MeshOptions = { advertiseAddr: ":7946", multicast: false, peers: seeds };
    const pods = await Promise.all([open(0, pod), open(1, pod)]);
    const asPod = ["--no-multicast", "--advertise", ":7946", "--peers", seeds.join(",")];
    assertShared(await doctor(asPod, "node"), pods);
    assertShared(await doctor(["--peers", seeds.join(",")], "deno"), pods);
    await Promise.all(pods.map((node) => node.close()));
    // A node beside it that uses multicast shows it.
    const nodes = await Promise.all([open(0, { advertiseAddr: ":7946" }), open(1), open(2)]);
    for (const runtime of TRIED) assertShared(await doctor([], runtime), nodes);
  });

  scene("doctor: neither uses multicast, and no node is a seed", LAN, async ({ open, doctor }) => {
    await open(1, { multicast: false });
    assertStringIncludes(assertError(await doctor(), "multicast-off").advice, "10.77.1.2:7946");
    assertError(await doctor(["--no-multicast"]), "multicast-off");
  });

  scene("doctor: two meshes with seeds only in one network are two", LAN, async ({ open, doctor }) => {
    const [ours, others] = await Promise.all([open(1, { multicast: false }), open(2, { multicast: false })]);
    const checkup = await doctor(["--no-multicast", "--peers", "10.77.1.2", "--strict"]);
    assertWarnings(checkup);
    const { findings, peers, unknownNodes } = checkup.report;
    assertEquals([peers.map(({ id }) => id), unknownNodes.map(({ id }) => id)], [[ours.nodeId], [others.nodeId]]);
    const { advice, severity } = findings.find(({ code }) => code === "multicast-off") ?? {};
    assertEquals(severity, "info");
    assertMatch(advice ?? "", /^If it is another mesh, set a different --port for each\. If it is this one, name /);
  });

  scene("doctor: this host's own firewall lets nothing out", LAN, async ({ open, own, doctor }) => {
    await Promise.all([open(1), open(2)]);
    own.run("nft", "add table inet mute");
    own.run("nft", "add chain inet mute output { type filter hook output priority 0; }");
    own.run("nft", 'add rule inet mute output oifname "eth0" meta l4proto udp drop');
    for (const runtime of TRIED) {
      const { advice } = assertError(await doctor([], runtime), "send-failed");
      assertStringIncludes(advice, "nft list ruleset");
    }
  });
});
