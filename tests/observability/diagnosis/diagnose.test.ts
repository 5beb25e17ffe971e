// What `diagnose` finds on simulated networks: each cause by its code and no other, and nothing on a sound network.
import { describe, test } from "node:test";
import { assert, assertEquals, assertLessOrEqual, assertRejects, assertStringIncludes } from "@std/assert";
import { type Diagnosis, MeshBus, type MeshEvent } from "../../../mod.ts";
import {
  A,
  addressesOf,
  assertCodes,
  B,
  binding,
  C,
  codesOf,
  HEARTBEAT,
  type Lan,
  lose,
  subjectOf,
  withLan,
} from "../../support/diagnosed_lan.ts";
import { MemoryPlainPeer } from "../../support/memory_plain_peer.ts";

describe("a sound mesh", () => {
  test(
    "by multicast: nothing is found, and all is known",
    withLan(async (lan) => {
      const mesh = await lan.three();
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis);
      assertEquals(diagnosis.interfaces, [{ name: "eth0", address: A, multicast: true, returned: true }]);
      assertEquals(
        diagnosis.peers.map(({ address }) => address).sort(),
        lan.nodes.slice(1).map((b) => b.address).sort(),
      );
      for (const peer of diagnosis.peers) {
        const { id: _, address, endpoint, roundTrip, staleness, ...rest } = peer;
        assertEquals(endpoint, address);
        assert(roundTrip !== null && roundTrip > 0.199 && roundTrip < 1, `${roundTrip}`);
        assert(staleness !== null && staleness <= HEARTBEAT + 1, `${staleness}`);
        assertEquals(rest, {
          plain: false,
          probed: true,
          unicast: { in: true, out: true },
          multicast: { in: true, out: true },
          probes: 5,
          lost: 0,
          largest: { in: 1400, out: 1400 },
          largestToGroup: 1400,
          isKnownThere: true,
          isAtAddress: true,
          reachesAddress: true,
          settings: { port: 7946, group: "239.0.0.1", heartbeat: HEARTBEAT, multicast: true },
          state: "current",
        });
      }
    }),
  );

  test(
    "at once after it was opened",
    withLan(async (lan) => {
      const mesh = await lan.three({}, 0.05);
      assertCodes(await lan.diagnose(mesh));
    }),
  );

  test(
    "by seeds, without multicast, itself and a name among them",
    withLan(async (lan) => {
      lan.network.names.set("cache.svc", [A, B, C]);
      const mesh = await lan.three({ multicast: false, peers: ["cache.svc", `${A}:7946`, B, C] });
      assertCodes(await lan.diagnose(mesh));
    }),
  );

  test(
    "of several processes on one host",
    withLan(async (lan) => {
      const [mesh] = [await lan.open(A), await lan.open(A), await lan.open(B)];
      await lan.pass(3);
      assertCodes(await lan.diagnose(mesh));
    }),
  );

  test(
    "of IPv6",
    withLan(async (lan) => {
      const [mesh] = [await lan.open("fd00::1", { family: 6 }), await lan.open("fd00::2", { family: 6 })];
      await lan.pass(3);
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis);
      assertEquals([diagnosis.peers.length, diagnosis.peers[0]?.settings?.group], [1, "ff12::5752:1"]);
    }),
  );

  test(
    "whose nodes do not hear their own host",
    withLan(async (lan) => {
      const options = { multicastLoopback: false };
      const [mesh] = [await lan.open(A, options), await lan.open(A, options), await lan.open(B, options)];
      await lan.pass(3);
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis);
      assertEquals(diagnosis.interfaces[0]?.returned, null);
    }),
  );

  test("with a tenth of all datagrams lost, for 30 seeds: nothing worse is found than the loss", async () => {
    for (let seed = 1; seed <= 30; seed++) {
      await withLan(async (lan) => {
        lan.network.set({ loss: 0.1 });
        const mesh = await lan.three({}, 4);
        const diagnosis = await lan.diagnose(mesh);
        assertEquals(codesOf(diagnosis).filter((code) => code !== "warning loss"), [], `seed ${seed}`);
      }, seed)();
    }
  });

  test(
    "with a round trip of 300 ms",
    withLan(async (lan) => {
      lan.network.set({ delay: { min: 150, max: 150 } });
      const mesh = await lan.three({}, 5);
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis);
      assertEquals(diagnosis.peers.map(({ roundTrip }) => Math.round(roundTrip ?? 0)), [300, 300]);
    }),
  );
});

describe("it finds", () => {
  test(
    "closed",
    withLan(async (lan) => {
      const mesh = await lan.three();
      await lan.network.clock.run(mesh.close(), 5000);
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis, "error closed");
      assertEquals([diagnosis.node.isHealthy, diagnosis.peers], [false, []]);
    }),
  );

  test(
    "no-peers",
    withLan(async (lan) => {
      const mesh = await lan.open(A);
      await lan.pass(3);
      assertCodes(await lan.diagnose(mesh), "error no-peers");
    }),
  );

  test(
    "seed-unresponsive and no-peers",
    withLan(async (lan) => {
      const mesh = await lan.open(A, { peers: ["10.0.0.9", `${A}:7946`] });
      await lan.pass(3);
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis, "error no-peers", "warning seed-unresponsive");
      assertEquals(subjectOf(diagnosis, "seed-unresponsive"), "10.0.0.9:7946");
    }),
  );

  test(
    "seed-unresolved and seed-unresponsive, by name",
    withLan(async (lan) => {
      lan.network.names.set("old.svc", ["10.0.0.9"]);
      const mesh = await lan.three({ peers: ["no.such.svc", "old.svc"] });
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis, "warning seed-unresolved", "warning seed-unresponsive");
      assertEquals(diagnosis.node.unresolvedSeeds, ["no.such.svc"]);
    }),
  );

  test(
    "multicast-blocked",
    withLan(async (lan) => {
      lan.network.set({ drop: ({ multicast }) => multicast });
      const mesh = await lan.three({ peers: [B, C] });
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis, "warning multicast-blocked");
      assertEquals(subjectOf(diagnosis, "multicast-blocked"), addressesOf(...lan.nodes.slice(1)));
    }),
  );

  test(
    "multicast-blocked when it was open a moment ago",
    withLan(async (lan) => {
      const mesh = await lan.three();
      lan.network.set({ drop: ({ multicast }) => multicast });
      assertCodes(await lan.diagnose(mesh), "warning multicast-blocked");
    }),
  );

  for (const [code, from, to] of [["multicast-outbound-blocked", A, B], ["multicast-inbound-blocked", B, A]] as const) {
    test(
      code,
      withLan(async (lan) => {
        lose(lan, from, to, ({ multicast }) => multicast);
        const mesh = await lan.three();
        const diagnosis = await lan.diagnose(mesh);
        assertCodes(diagnosis, `warning ${code}`);
        assertEquals(subjectOf(diagnosis, code), lan.nodes[1]?.address);
      }),
    );
  }

  for (const [code, from, to] of [["unicast-outbound-blocked", A, B], ["unicast-inbound-blocked", B, A]] as const) {
    test(
      code,
      withLan(async (lan) => {
        lose(lan, from, to, ({ multicast }) => !multicast);
        const mesh = await lan.three();
        const diagnosis = await lan.diagnose(mesh);
        assertCodes(diagnosis, `error ${code}`);
        assertEquals(subjectOf(diagnosis, code), lan.nodes[1]?.address);
      }),
    );
  }

  test(
    "unicast-outbound-blocked and unicast-inbound-blocked, when the port of the mesh alone is open",
    withLan(async (lan) => {
      lan.network.set({ drop: ({ to: { port } }) => port !== 7946 });
      const mesh = await lan.three();
      assertCodes(await lan.diagnose(mesh), "error unicast-outbound-blocked", "error unicast-inbound-blocked");
    }),
  );

  test(
    "peer-receives-nothing",
    withLan(async (lan) => {
      lan.network.cut(A, B);
      const mesh = await lan.three();
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis, "error peer-receives-nothing");
      assertEquals(subjectOf(diagnosis, "peer-receives-nothing"), lan.nodes[1]?.address);
    }),
  );

  test(
    "peer-receives-nothing, for one that is heard by unicast alone",
    withLan(async (lan) => {
      lan.network.set({ drop: ({ multicast }) => multicast });
      lan.network.cut(A, B);
      const mesh = await lan.open(A);
      await lan.open(B, { peers: [A] });
      await lan.pass(4);
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis, "error peer-receives-nothing");
      assertEquals(diagnosis.peers.map(({ unicast, multicast }) => [unicast, multicast]), [
        [{ in: true, out: false }, { in: null, out: false }],
      ]);
    }),
  );

  test(
    "peer-unresponsive, for one that has just crashed, and stale",
    withLan(async (lan) => {
      const mesh = await lan.open(A);
      const host = lan.network.host(B);
      await MeshBus.open({ ...host, heartbeat: HEARTBEAT });
      await lan.open(C);
      await lan.pass(3);
      host.crash();
      assertCodes(await lan.diagnose(mesh, { timeout: 500 }), "warning peer-unresponsive");
      await lan.pass(1.6);
      const codes = codesOf(await lan.diagnose(mesh, { timeout: 100 }));
      assertEquals(codes, ["warning peer-unresponsive", "warning stale"]);
    }),
  );

  test(
    "peers-lost, until another joins",
    withLan(async (lan) => {
      const mesh = await lan.open(A);
      const host = lan.network.host(B);
      const { address } = await MeshBus.open({ ...host, heartbeat: HEARTBEAT });
      await lan.open(C);
      await lan.pass(3);
      assertEquals((await lan.diagnose(mesh)).node.peersLost, []);
      host.crash();
      await lan.pass(10);
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis, "warning peers-lost");
      assertEquals([diagnosis.ok, diagnosis.node.peersLost], [true, [address]]);
      assertEquals(subjectOf(diagnosis, "peers-lost"), address);
      assertEquals(mesh.status().lost.map((peer) => peer.address), [address]);
      await lan.open("10.0.0.4");
      await lan.pass(3);
      assertCodes(await lan.diagnose(mesh));
    }),
  );

  test(
    "mtu, in each direction",
    withLan(async (lan) => {
      lose(lan, A, B, ({ length }) => length > 1172);
      lose(lan, C, A, ({ length }) => length > 600);
      const mesh = await lan.three();
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis, "error mtu");
      const [b, c] = lan.nodes.slice(1).map(({ nodeId }) => diagnosis.peers.find(({ id }) => id === nodeId)?.largest);
      assertEquals([b, c], [{ in: 1400, out: 1172 }, { in: 548, out: 1400 }]);
      const [{ message, advice } = { message: "", advice: "" }] = diagnosis.findings;
      assertStringIncludes(message, "at most 1172 bytes arrive there, and of at most 548 from there");
      assertStringIncludes(advice, "at or below 548");
    }),
  );

  test(
    "loss",
    withLan(async (lan) => {
      const mesh = await lan.three();
      lan.network.set({ loss: 0.4 });
      assertCodes(await lan.diagnose(mesh), "warning loss");
    }),
  );

  test(
    "advertised-unreachable, and at the others peer-advertised-unreachable",
    withLan(async (lan) => {
      const mesh = await lan.open(A, { advertiseAddr: "10.0.0.99:7950" });
      const other = await lan.open(B);
      await lan.pass(3);
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis, "error advertised-unreachable");
      assertEquals(subjectOf(diagnosis, "advertised-unreachable"), "10.0.0.99:7950");
      const theirs = await lan.diagnose(other);
      assertCodes(theirs, "warning peer-advertised-unreachable");
      assertEquals([theirs.peers[0]?.address, theirs.peers[0]?.endpoint], ["10.0.0.99:7950", "10.0.0.1:7950"]);
    }),
  );

  test(
    "interface-without-multicast",
    withLan(async (lan) => {
      const mesh = await MeshBus.open({
        ...lan.network.host(A, { multicast: false }),
        heartbeat: HEARTBEAT,
        peers: [B],
      });
      lan.nodes.push(mesh, await lan.open(B));
      await lan.pass(3);
      assertCodes(await lan.diagnose(mesh), "warning interface-without-multicast");
    }),
  );

  for (const [others, severity] of [[true, "warning"], [false, "error"]] as const) {
    test(
      `multicast-loopback ${others ? "beside peers" : "alone"}`,
      withLan(async (lan) => {
        const ports = binding(lan.network.host(A), (from) => from === A);
        const mesh = await lan.open(A, {}, ports);
        if (others) await lan.open(B);
        await lan.pass(3);
        const codes = [`${severity} multicast-loopback`, ...others ? [] : ["error no-peers"]];
        assertCodes(await lan.diagnose(mesh), ...codes);
      }),
    );
  }

  test(
    "group-mismatch, port-mismatch and heartbeat-mismatch",
    withLan(async (lan) => {
      const mesh = await lan.open(A, { peers: [B, `${C}:7950`, "10.0.0.4"] });
      await lan.open(B, { group: "239.9.9.9" });
      await lan.open(C, { port: 7950 });
      await lan.open("10.0.0.4", { heartbeat: 1500 });
      await lan.pass(3);
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis, "warning group-mismatch", "warning port-mismatch", "warning heartbeat-mismatch");
      const [, b, c, d] = lan.nodes as [MeshBus, MeshBus, MeshBus, MeshBus];
      assertEquals(
        ["group-mismatch", "port-mismatch", "heartbeat-mismatch"].map((code) => subjectOf(diagnosis, code)),
        [
          b.address,
          c.address,
          d.address,
        ],
      );
    }),
  );

  test(
    "plain-peers, which are not probed",
    withLan(async (lan) => {
      const mesh = await lan.open(A);
      await lan.open(B, { wire: "go-warp" });
      await lan.pass(3);
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis, "info plain-peers");
      const [peer] = diagnosis.peers;
      assertEquals([peer?.plain, peer?.probed, peer?.roundTrip, peer?.staleness], [true, false, null, Infinity]);
      assertEquals(JSON.parse(JSON.stringify(peer)).staleness, Number.MAX_SAFE_INTEGER);
    }),
  );

  test(
    "nothing where only go-warp's wire is spoken",
    withLan(async (lan) => {
      const mesh = await lan.open(A, { wire: "go-warp" });
      await lan.open(B);
      await lan.pass(3);
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis);
      assertEquals([diagnosis.node.extended, diagnosis.peers.length], [false, 1]);
    }),
  );

  test(
    "receive-buffer, which is a warning when the option was given",
    withLan(async (lan) => {
      const ports = binding(lan.network.host(A), () => false, { receiveBuffer: 212_992 });
      const mesh = await lan.open(A, {}, ports);
      const asking = await lan.open(
        B,
        { receiveBuffer: 1_000_000 },
        binding(lan.network.host(B), () => false, {
          receiveBuffer: 212_992,
        }),
      );
      await lan.pass(3);
      assertCodes(await lan.diagnose(mesh), "info receive-buffer");
      assertCodes(await lan.diagnose(asking), "warning receive-buffer");
    }),
  );

  test(
    "peers-refused and not-measured, and probes no more than 32",
    withLan(async (lan) => {
      const mesh = await lan.open(A, { maxPeers: 39 });
      for (let i = 1; i <= 40; i++) await lan.open(`10.0.1.${i}`);
      await lan.pass(3);
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis, "warning peers-refused", "info not-measured");
      assertEquals([diagnosis.peers.length, diagnosis.peers.filter(({ probed }) => probed).length], [39, 32]);
      assertStringIncludes(subjectOf(diagnosis, "not-measured"), "4 more");
    }),
  );
});

describe("its effect on the mesh", () => {
  /** Datagrams that each host gets from the first, until the diagnosis is over. */
  async function sentWhile(lan: Lan, mesh: MeshBus): Promise<ReadonlyMap<string, number>> {
    const sent = new Map<string, number>();
    const stop = lan.network.tap(({ fate, data, to: { host } }) => {
      if (fate === "sent" && (data[1] === 0x14 || data[1] === 0x15)) sent.set(host, (sent.get(host) ?? 0) + 1);
    });
    await lan.diagnose(mesh);
    stop();
    return sent;
  }

  test(
    "is ten datagrams for each peer, and as many responses, and no event",
    withLan(async (lan) => {
      const mesh = await lan.three();
      const events: MeshEvent[] = [];
      for (const node of lan.nodes) node.events.listen((event) => events.push(event));
      await lan.network.clock.advance(1);
      events.length = 0;
      const before = lan.network.clock.now();
      const sent = await sentWhile(lan, mesh);
      assertLessOrEqual(lan.network.clock.now() - before, 5);
      // Five probes, one of 1,400 bytes, one for a response of that size, one for a response by the group.
      assertEquals([sent.get(B), sent.get(C)], [8, 8]);
      // Their responses, but for those by the group.
      assertEquals(sent.get(A), 2 * 9);
      // The node's own; for each peer one, one of 1,400 bytes and its response to the group.
      assertEquals(sent.get("239.0.0.1"), 7);
      assertEquals(events, []);
    }),
  );

  test(
    "is a hundred datagrams when nothing comes back, within the time",
    withLan(async (lan) => {
      const mesh = await lan.three();
      lan.network.partition([[A], [B, C]]);
      const before = lan.network.clock.now();
      const sent = await sentWhile(lan, mesh);
      assertEquals(Math.round(lan.network.clock.now() - before), 2000);
      for (const host of [B, C]) assertLessOrEqual(sent.get(host) ?? 0, 100);
      assertLessOrEqual(sent.get("239.0.0.1") ?? 0, 40);
    }),
  );

  test(
    "is over when the node closes",
    withLan(async (lan) => {
      const mesh = await lan.three();
      lan.network.partition([[A], [B, C]]);
      const [diagnosis] = await lan.network.clock.run(Promise.all([mesh.diagnose(), mesh.close()]), 1500);
      assertEquals(codesOf(diagnosis), ["error closed"]);
    }),
  );
});

describe("its options", () => {
  test(
    "bound the time",
    withLan(async (lan) => {
      const mesh = await lan.three();
      lan.network.partition([[A], [B, C]]);
      const before = lan.network.clock.now();
      await lan.diagnose(mesh, { timeout: 400 });
      assertEquals(Math.round(lan.network.clock.now() - before), 400);
    }),
  );

  test(
    "are checked",
    withLan(async (lan) => {
      const mesh = await lan.open(A);
      for (const timeout of [99, 60_001, NaN]) {
        await assertRejects(() => mesh.diagnose({ timeout }), RangeError, "Cannot diagnose as `timeout` must be");
      }
      for (const timeout of ["500", [500], 500n, new Date(500), null]) {
        const message = "Cannot diagnose as `timeout` must be a number";
        await assertRejects(() => mesh.diagnose({ timeout } as never), TypeError, message);
      }
      for (const options of [null, 500]) {
        await assertRejects(() => mesh.diagnose(options as never), TypeError, "the options must be an object");
      }
      await assertRejects(() => mesh.diagnose({ signal: {} as AbortSignal }), TypeError, "`signal` must be");
    }),
  );

  test(
    "end it",
    withLan(async (lan) => {
      const mesh = await lan.three();
      lan.network.partition([[A], [B, C]]);
      const controller = new AbortController();
      const diagnosis = mesh.diagnose({ signal: controller.signal });
      const reason = new Error("enough");
      controller.abort(reason);
      const { message } = await assertRejects(() => diagnosis, Error);
      assertEquals(message, "enough");
      await assertRejects(() => mesh.diagnose({ signal: AbortSignal.abort(reason) }), Error, "enough");
    }),
  );

  test(
    "are not needed; several may run at once, and the result is fit for JSON",
    withLan(async (lan) => {
      const mesh = await lan.three();
      lan.network.cut(A, B);
      const all = await lan.network.clock.run(Promise.all([1, 2, 3].map(() => mesh.diagnose())), 3000);
      for (const diagnosis of all) {
        assertEquals(codesOf(diagnosis), codesOf(all[0] as Diagnosis));
        assertEquals(JSON.parse(JSON.stringify(diagnosis)), diagnosis);
      }
    }),
  );
});

test(
  "a Go node is not probed, and is found to be plain",
  withLan(async (lan) => {
    const mesh = await lan.open(A);
    const peer = await MemoryPlainPeer.open(B, lan.network.host(B), { heartbeat: HEARTBEAT });
    await lan.pass(2);
    assertCodes(await lan.diagnose(mesh), "info plain-peers");
    await peer.close();
  }),
);
