// False alarms: what `diagnose` finds where something only looks bad, and where one cause hides another.
import { describe, test } from "node:test";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLessOrEqual,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { type Bind, type Diagnosis, MeshBus } from "../../../mod.ts";
import { findings } from "../../../src/observability/diagnosis/findings.ts";
import {
  A,
  assertCodes,
  B,
  C,
  codesOf,
  HEARTBEAT,
  Lan,
  lose,
  subjectOf,
  withLan,
} from "../../support/diagnosed_lan.ts";
import { sized, some } from "../../support/size.ts";

function numbersOf({ peers }: Diagnosis): readonly (readonly [lost: number, probes: number])[] {
  return peers.map(({ lost, probes }) => [lost, probes]);
}

describe("a long path", () => {
  for (const [roundTrip, timeout] of [[400, 2000], [600, 2000], [900, 2000], [50, 200], [40, 100]] as const) {
    test(
      `of ${roundTrip} ms there and back is no loss within ${timeout} ms`,
      withLan(async (lan) => {
        lan.network.set({ delay: { min: roundTrip / 2, max: roundTrip / 2 } });
        const mesh = await lan.three({}, 5);
        const diagnosis = await lan.diagnose(mesh, { timeout });
        assertCodes(diagnosis);
        for (const [lost, probes] of numbersOf(diagnosis)) {
          assertEquals(lost, 0);
          assert(probes >= 5, `${probes}`);
        }
      }),
    );
  }

  for (const roundTrip of [600, 900]) {
    test(
      `of ${roundTrip} ms does not hide that it is narrow`,
      withLan(async (lan) => {
        lan.network.set({ delay: { min: roundTrip / 2, max: roundTrip / 2 }, drop: ({ data }) => data.length > 1172 });
        const mesh = await lan.three({}, 5);
        assertCodes(await lan.diagnose(mesh), "error mtu");
      }),
    );
  }

  test("of 600 ms that loses a tenth is not taken for narrow, for many seeds", async () => {
    for (let seed = 1; seed <= sized(40, 5); seed++) {
      await withLan(async (lan) => {
        lan.network.set({ delay: { min: 300, max: 300 }, loss: 0.1 });
        const mesh = await lan.three({}, 5);
        assertEquals(codesOf(await lan.diagnose(mesh)).filter((code) => code !== "warning loss"), [], `seed ${seed}`);
      }, seed)();
    }
  });
});

describe("loss", () => {
  const DIAGNOSES = sized(40, 16);

  /** The share of the diagnoses that report it. */
  async function reported(loss: number): Promise<number> {
    let count = 0;
    for (let seed = 1; seed <= DIAGNOSES; seed++) {
      await withLan(async (lan) => {
        const mesh = await lan.three();
        lan.network.set({ loss });
        const diagnosis = await lan.diagnose(mesh);
        for (const [, probes] of numbersOf(diagnosis)) assertLessOrEqual(probes, 30);
        if (codesOf(diagnosis).includes("warning loss")) count++;
      }, seed)();
    }
    return count / DIAGNOSES;
  }

  test("of a twentieth or a tenth each way is hardly ever reported, that of 40 % nearly always", async () => {
    assertEquals(await reported(0.05), 0);
    assertLessOrEqual(await reported(0.1), 2 / 40);
    // In one diagnosis in 50, so few of those probes are lost by chance, or all to a peer.
    assertGreaterOrEqual(await reported(0.4), 37 / 40);
  });
});

describe("a peer that has no room for this node", () => {
  test(
    "is found, and its multicast is not taken for closed",
    withLan(async (lan) => {
      await lan.open(C);
      await lan.open(B, { maxPeers: 1 });
      await lan.pass(3);
      const mesh = await lan.open(A);
      await lan.pass(4);
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis, "error unknown-to-peer");
      assertEquals(subjectOf(diagnosis, "unknown-to-peer"), lan.nodes[1]?.address);
      const peer = diagnosis.peers.find(({ id }) => id === lan.nodes[1]?.nodeId);
      assertEquals([peer?.multicast, peer?.isKnownThere], [{ in: true, out: true }, false]);
    }),
  );

  test(
    "says nothing of multicast that is not heard",
    withLan(async (lan) => {
      lose(lan, B, A, ({ multicast }) => multicast);
      await lan.open(C);
      await lan.open(B, { maxPeers: 1, peers: [A] });
      await lan.pass(3);
      const mesh = await lan.open(A, { peers: [B] });
      await lan.pass(4);
      const { peers } = await lan.diagnose(mesh);
      const peer = peers.find(({ id }) => id === lan.nodes[1]?.nodeId);
      assertEquals([peer?.multicast, peer?.isKnownThere], [{ in: null, out: true }, false]);
    }),
  );

  test(
    "is not one that was met a moment ago",
    withLan(async (lan) => {
      await lan.open(C);
      await lan.open(B, { maxPeers: 1 });
      await lan.pass(3);
      const mesh = await lan.open(A);
      await lan.pass(0.5);
      const diagnosis = await lan.diagnose(mesh, { timeout: 500 });
      assertCodes(diagnosis);
      assertEquals(diagnosis.peers.map(({ isKnownThere }) => isKnownThere).sort(), [null, true]);
    }),
  );
});

describe("options", () => {
  test("that are no whole numbers are equal all the same", async () => {
    for (const heartbeat of [1000 / 3, 10.5]) {
      await withLan(async (lan) => {
        const mesh = await lan.three({ heartbeat });
        assertCodes(await lan.diagnose(mesh));
      })();
    }
  });
});

describe("joining nodes", () => {
  test(
    "that were refused are forgotten when they do not come again",
    withLan(async (lan) => {
      const mesh = await lan.open(A, { maxPeers: 1 });
      await lan.open(B);
      const joining = await lan.open(C);
      await lan.pass(3);
      assertCodes(await lan.diagnose(mesh), "warning peers-refused");
      await lan.network.clock.run(joining.close(), 5000);
      await lan.pass(3.1);
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis);
      assertEquals(diagnosis.node.peersRefused, 0);
      assert(mesh.metrics().peersRefused > 0);
    }),
  );

  test(
    "that come during a diagnosis are not taken for too many",
    withLan(async (lan) => {
      const mesh = await lan.open(A);
      await lan.open(B);
      await lan.pass(3);
      lan.network.partition([[A], [B]]);
      const diagnosing = mesh.diagnose();
      await lan.network.clock.advance(500);
      await lan.open(C);
      lan.network.partition([[A, C], [B]]);
      const diagnosis = await lan.network.clock.run(diagnosing, 5000);
      assertEquals(diagnosis.peers.map(({ probed }) => probed).sort(), [false, true]);
      assertEquals(codesOf(diagnosis).filter((code) => code.includes("not-measured")), []);
    }),
  );
});

describe("a name with more than 16 addresses", () => {
  const HOSTS = Array.from({ length: 30 }, (_, i) => `10.0.1.${i + 1}`);
  const OPTIONS = { multicast: false, peers: ["cache.svc"] };

  test("whose nodes are all there: none is silent, with and without loss", async () => {
    for (const loss of some([0, 0.1], (loss) => loss > 0)) {
      await withLan(async (lan) => {
        lan.network.set({ loss });
        lan.network.names.set("cache.svc", HOSTS);
        for (const host of HOSTS) await lan.open(host, OPTIONS);
        await lan.pass(4);
        for (const mesh of lan.nodes.slice(0, 5)) {
          const { node, peers } = await lan.diagnose(mesh);
          assertEquals([node.silentSeeds, peers.length], [[], 29]);
        }
      }, 5)();
    }
  });

  test(
    "of which one has responded",
    withLan(async (lan) => {
      lan.network.names.set("cache.svc", HOSTS);
      const mesh = await lan.open(A, { ...OPTIONS, peers: ["cache.svc", "10.0.0.9"] });
      await lan.open(HOSTS[7] as string, { multicast: false });
      await lan.pass(4);
      const { node } = await lan.diagnose(mesh);
      // Names in the options are probed again and again.
      assertEquals(node.silentSeeds, ["10.0.0.9:7946"]);
    }),
  );

  test(
    "of which none has responded",
    withLan(async (lan) => {
      lan.network.names.set("cache.svc", HOSTS);
      const mesh = await lan.open(A, OPTIONS);
      await lan.pass(4);
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis, "error no-peers", "warning seed-unresponsive");
      assertEquals(diagnosis.node.silentSeeds.length, 30);
    }),
  );
});

describe("multicast that carries less than unicast", () => {
  test(
    "is found by its size",
    withLan(async (lan) => {
      lan.network.set({ drop: ({ multicast, data }) => multicast && data.length > 1172 });
      const mesh = await lan.three();
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis, "warning mtu");
      const [{ message, advice } = { message: "", advice: "" }] = diagnosis.findings;
      assertStringIncludes(message, "2 of 2 peers: By multicast, datagrams of at most 1172 bytes arrive there");
      assertStringIncludes(advice, "at or below 1172");
      assertEquals(diagnosis.peers.map(({ largest, largestToGroup }) => [largest, largestToGroup]), [
        [{ in: 1400, out: 1400 }, 1172],
        [{ in: 1400, out: 1400 }, 1172],
      ]);
    }),
  );
});

describe("a node that was just opened", () => {
  for (const after of [0, 1, 5]) {
    test(
      `waits for the first response, ${after} ms later, by seeds and by multicast`,
      async () => {
        for (const options of [{ multicast: false, peers: [A] }, {}]) {
          await withLan(async (lan) => {
            lan.network.set({ delay: { min: 5, max: 5 } });
            for (const host of [A, B, C]) await lan.open(host, options);
            await lan.network.clock.advance(after);
            for (const mesh of [...lan.nodes].reverse()) {
              const diagnosis = await lan.diagnose(mesh);
              assertCodes(diagnosis);
              assert(diagnosis.peers.length > 0);
            }
          })();
        }
      },
    );
  }

  test(
    "waits no longer than its time, for no node and for one that comes late",
    withLan(async (lan) => {
      const { clock } = lan.network;
      const mesh = await lan.open(A);
      await lan.pass(3);
      const before = clock.now();
      assertCodes(await lan.diagnose(mesh), "error no-peers");
      assertEquals(Math.round(clock.now() - before), 2000);
      const diagnosing = mesh.diagnose({ timeout: 1000 });
      await clock.advance(900);
      await lan.open(B);
      const diagnosis = await clock.run(diagnosing, 5000);
      assertCodes(diagnosis);
      assertEquals([Math.round(clock.now() - before), diagnosis.peers[0]?.probed], [2900, false]);
    }),
  );

  test(
    "waits no more when it is closed, and when the caller gives up",
    withLan(async (lan) => {
      const mesh = await lan.open(A, { wire: "go-warp" });
      const controller = new AbortController();
      const diagnosing = mesh.diagnose({ timeout: 60_000, signal: controller.signal });
      controller.abort(new Error("enough"));
      await assertRejects(() => diagnosing, Error, "enough");
      const [diagnosis] = await lan.network.clock.run(
        Promise.all([mesh.diagnose({ timeout: 60_000 }), mesh.close()]),
        2000,
      );
      assertCodes(diagnosis, "error closed");
    }),
  );
});

describe("diagnoses at the same time", () => {
  test(
    "are one: many callers send no more than one does, and find the same",
    withLan(async (lan) => {
      const mesh = await lan.open(A);
      for (let i = 1; i <= 40; i++) await lan.open(`10.0.1.${i}`);
      await lan.pass(3);
      lan.network.set({ drop: ({ data }) => data[1] === 0x15 && data.length > 600 });
      const all = await lan.network.clock.run(Promise.all(Array.from({ length: 8 }, () => mesh.diagnose())), 5000);
      for (const diagnosis of all) assertCodes(diagnosis, "error mtu", "info not-measured");
      assertEquals(mesh.metrics().sendErrors, 0);
    }),
  );

  test(
    "go on for the others when one caller gives up",
    withLan(async (lan) => {
      const mesh = await lan.three();
      lan.network.cut(A, B);
      const controller = new AbortController();
      const first = mesh.diagnose({ signal: controller.signal });
      const second = mesh.diagnose();
      await lan.network.clock.advance(500);
      controller.abort(new Error("enough"));
      await assertRejects(() => first, Error, "enough");
      assertCodes(await lan.network.clock.run(second, 5000), "error peer-receives-nothing");
    }),
  );

  test(
    "send no more probes when all callers have given up",
    withLan(async (lan) => {
      const mesh = await lan.three();
      lan.network.cut(A, B);
      const controller = new AbortController();
      const asking = [mesh.diagnose({ signal: controller.signal }), mesh.diagnose({ signal: controller.signal })];
      await lan.network.clock.advance(500);
      controller.abort(new Error("enough"));
      for (const diagnosis of asking) await assertRejects(() => diagnosis, Error, "enough");
      let probes = 0;
      lan.network.tap(({ fate, data }) => {
        if (fate === "sent" && data[1] === 0x14) probes++;
      });
      await lan.network.clock.advance(1500);
      assertEquals(probes, 0);
    }),
  );

  test(
    "probe other peers each time, when there are many",
    withLan(async (lan) => {
      const mesh = await lan.open(A);
      for (let i = 1; i <= 64; i++) await lan.open(`10.0.1.${i}`);
      await lan.pass(3);
      const probed = new Set<string>();
      for (let i = 0; i < 3; i++) {
        const { peers } = await lan.diagnose(mesh);
        assertEquals(peers.filter((peer) => peer.probed).length, 32);
        for (const { id } of peers.filter((peer) => peer.probed)) probed.add(id);
      }
      assert(probed.size > 45, `${probed.size}`);
    }),
  );
});

describe("an advertised address that cannot be right", () => {
  /** What is found at the node that advertises it, and at another. */
  async function found(
    advertiseAddr: string | ((other: MeshBus) => string),
    isPlainThere: boolean,
    at = B,
  ): Promise<readonly (readonly string[])[]> {
    const codes: (readonly string[])[] = [];
    await withLan(async (lan) => {
      const other = await lan.open(at);
      const mesh = await lan.open(A, {
        advertiseAddr: typeof advertiseAddr === "string" ? advertiseAddr : advertiseAddr(other),
      });
      if (isPlainThere) await lan.open(C, { wire: "go-warp" });
      await lan.pass(4);
      for (const node of [mesh, other]) {
        codes.push(codesOf(await lan.diagnose(node)).filter((code) => code !== "info plain-peers"));
      }
    }, 2)();
    return codes;
  }

  for (const address of ["127.0.0.1:7950", "localhost:7950", "10.0.0.255:7950"]) {
    test(`as ${address}, is found at both ends`, async () => {
      const theirs = ["warning peer-advertised-unreachable"];
      assertEquals(await found(address, false), [["warning advertised-unreachable"], theirs]);
      assertEquals(await found(address, true), [["error advertised-unreachable"], theirs]);
    });
  }

  test("as that of another node, is found at both ends", async () => {
    const theirs = ["warning peer-advertised-unreachable"];
    assertEquals(await found(({ address }) => address, false), [["error advertised-unreachable"], theirs]);
    assertEquals(await found(({ address }) => address, true), [["error advertised-unreachable"], theirs]);
  });

  test("is found each time, though multicast leaves by another port", async () => {
    for (const address of ["127.0.0.1:7950", "10.0.0.255:7950", undefined]) {
      await withLan(async (lan) => {
        const mesh = await lan.open(A);
        await lan.open(B, { advertiseAddr: address ?? mesh.address, interface: "all" });
        for (let i = 0; i < 10; i++) {
          await lan.pass(1.7);
          const [first, ...others] = codesOf(await lan.diagnose(mesh)).filter((code) => code.includes("advertised"));
          assertEquals([first, others], ["warning peer-advertised-unreachable", []], `${address} ${i}`);
        }
      })();
    }
  });

  test("may be a name, which only Go nodes look up", async () => {
    assertEquals(await found("node.example:7950", false), [["info advertised-unreachable"], []]);
    assertEquals(await found("node.example:7950", true), [["warning advertised-unreachable"], []]);
  });

  test("is not one that is filled in, the right one, or a loopback address where all are on one host", async () => {
    for (const address of ["0.0.0.0:7950", ":7950", `${A}:7951`]) assertEquals(await found(address, true), [[], []]);
    assertEquals(await found("127.0.0.1:7950", false, A), [[], []]);
  });

  test(
    "is none at all: Go nodes take it as it is",
    withLan(async (lan) => {
      const ports = { networkInterfaces: () => [] };
      const mesh = await lan.open(A, {}, ports);
      const other = await lan.open(B);
      await lan.pass(3);
      assertCodes(await lan.diagnose(mesh));
      await lan.open(C, { wire: "go-warp" });
      await lan.pass(2);
      assertCodes(await lan.diagnose(mesh), "error advertised-unreachable", "info plain-peers");
      assertCodes(await lan.diagnose(other), "info plain-peers");
    }),
  );
});

describe("a host that has got another address", () => {
  const MOVES: Readonly<Record<string, readonly number[]>> = { "one of two": [1], "the other one": [0], both: [0, 1] };
  for (const [title, movers] of Object.entries(MOVES)) {
    test(`(${title}) is found to be at its old one by no diagnosis, at any time`, async () => {
      for (let at = 0; at < 60; at += sized(1, 6)) {
        await withLan(async (lan) => {
          lan.network.set({ delay: { min: 20, max: 20 } });
          const hosts = [A, B].map((address) => lan.network.host(address));
          const nodes: MeshBus[] = [];
          for (const host of hosts) nodes.push(await MeshBus.open({ ...host, heartbeat: HEARTBEAT }));
          lan.nodes.push(...nodes);
          await lan.pass(3);
          for (const mover of movers) hosts[mover]?.readdress(`10.0.0.${mover + 11}`);
          await lan.pass(at / 20);
          for (const diagnosis of await lan.diagnoseAll(nodes, { timeout: 100 })) {
            assertEquals(codesOf(diagnosis).filter((code) => code.endsWith("advertised-unreachable")), [], `${at}`);
          }
          await lan.pass(4);
          for (const diagnosis of await lan.diagnoseAll(nodes, { timeout: 500 })) {
            assertCodes(diagnosis);
            assertEquals(diagnosis.peers.map((peer) => [peer.isAtAddress, peer.reachesAddress]), [[true, true]]);
          }
        })();
      }
    });
  }
});

test("an address that changes to one that is not the host's is found after two heartbeats, at both ends", async () => {
  await withLan(async (lan) => {
    const { networkInterfaces } = lan.network.host(B);
    let address = B;
    const ports = {
      networkInterfaces: () => networkInterfaces().map((each) => each.internal ? each : { ...each, address }),
    };
    const nodes = [await lan.open(A), await lan.open(B, {}, ports)];
    await lan.pass(3);
    for (const diagnosis of await lan.diagnoseAll(nodes)) assertCodes(diagnosis);
    address = "10.0.0.77";
    await lan.pass(2);
    assertEquals(nodes[1]?.address.split(":")[0], address);
    for (const diagnosis of await lan.diagnoseAll(nodes, { timeout: 100 })) assertCodes(diagnosis);
    await lan.pass(2);
    const [theirs, own] = await lan.diagnoseAll(nodes, { timeout: 100 }) as [Diagnosis, Diagnosis];
    assertCodes(theirs, "warning peer-advertised-unreachable");
    assertCodes(own, "error advertised-unreachable");
  })();
});

test(
  "interfaces that cannot be listed are reported, by one event as long as it lasts",
  withLan(async (lan) => {
    let isHidden = true;
    const { networkInterfaces } = lan.network.host(B);
    const ports = {
      networkInterfaces: () => {
        if (isHidden) throw new Error("uv_interface_addresses returned EAFNOSUPPORT");
        return networkInterfaces();
      },
    };
    const mesh = await lan.open(B, {}, ports);
    const other = await lan.open(A);
    const reported: string[] = [];
    mesh.events.listen((event) => {
      if (event.type === "error") reported.push(`${event.stage}: ${event.error.message}`);
    });
    await lan.pass(10);
    const diagnosis = await lan.diagnose(mesh);
    assertCodes(diagnosis, "warning interfaces-unlisted");
    assertStringIncludes(diagnosis.findings[0]?.message ?? "", "EAFNOSUPPORT");
    assertCodes(await lan.diagnose(other));
    const message = "interface: Cannot notice when addresses change as listing the interfaces of this host must be " +
      "permitted: uv_interface_addresses returned EAFNOSUPPORT";
    assertEquals(reported, [message]);
    isHidden = false;
    await lan.pass(10);
    assertCodes(await lan.diagnose(mesh));
    isHidden = true;
    await lan.pass(10);
    assertEquals(reported, [message, message]);
  }),
);

test(
  "interfaces that are missing are named as long as they are",
  withLan(async (lan) => {
    const host = lan.network.host(A);
    const eth7 = { name: "eth7", address: "10.7.0.1", internal: false, netmask: "255.255.255.0" };
    let list = host.networkInterfaces();
    const ports = { networkInterfaces: () => list };
    const mesh = await lan.open(A, { interface: ["eth0", "eth7", "eth8"], waitForInterface: true }, ports);
    const alone = await lan.diagnose(mesh);
    assertEquals(codesOf(alone).slice(0, 2), ["error interface-missing", "error no-peers"]);
    await lan.open(B);
    await lan.pass(2);
    const both = await lan.diagnose(mesh);
    assertCodes(both, "warning interface-missing");
    const [{ message, subject } = { message: "", subject: "" }] = both.findings;
    assertEquals(subject, "eth7, eth8");
    assertEquals(message, "They are not there, or have no IPv4 address. The node waits for them.");
    assertEquals(both.node.interfacesMissing, ["eth7", "eth8"]);
    list = [...list, eth7];
    await lan.pass(2);
    const one = await lan.diagnose(mesh);
    assertEquals(one.node.interfacesMissing, ["eth8"]);
    const found = one.findings.find(({ code }) => code === "interface-missing");
    assertEquals(found?.message, "It is not there, or has no IPv4 address. The node waits for it.");
  }),
);

test(
  "an interface other than loopback is waited for only with `waitForInterface`",
  withLan(async (lan) => {
    const lo = { name: "lo", address: "127.0.0.1", internal: true, netmask: "255.0.0.0" };
    const ports = { networkInterfaces: () => [lo] };
    const mesh = await lan.open(A, { waitForInterface: true }, ports);
    assertEquals((await lan.diagnose(mesh)).node.interfacesMissing, [null]);
    assertEquals(subjectOf(await lan.diagnose(mesh), "interface-missing"), "any but the loopback interface");
    const other = await lan.open(B, {}, ports);
    assertEquals((await lan.diagnose(other)).node.interfacesMissing, []);
  }),
);

test("an interface without multicast explains nothing beside a sound one", async () => {
  const lan = new Lan();
  const mesh = await MeshBus.open({ ...lan.network.host(A), heartbeat: HEARTBEAT });
  lan.nodes.push(mesh);
  const { node, interfaces, peers } = await lan.diagnose(mesh, { timeout: 100 });
  const without = { name: "tun0", address: B, multicast: false, returned: null };
  const deaf = { name: "eth1", address: C, multicast: true, returned: false };
  const judged = (...others: readonly Diagnosis["interfaces"][number][]) =>
    findings({ node, interfaces: others, peers }).map(({ code, severity }) => `${severity} ${code}`);
  assertEquals(judged(...interfaces, without, deaf), [
    "error no-peers",
    "warning interface-without-multicast",
    "warning multicast-loopback",
  ]);
  assertEquals(judged(without, deaf), [
    "error interface-without-multicast",
    "error multicast-loopback",
    "error no-peers",
  ]);
  await lan.close();
});

describe("a host that does not send its datagrams", () => {
  /** A network of three, of which the first does not send to some, because of its firewall or its routes. */
  const refusing = (isRefused: (to: string) => boolean, body: (lan: Lan, mesh: MeshBus) => Promise<void>) =>
    withLan(async (lan) => {
      const host = lan.network.host(A);
      const bind: Bind = async (options, handlers) => {
        const socket = await host.bind(options, handlers);
        const send: typeof socket.send = (data, to, port) =>
          isRefused(to) ? Promise.reject(new Error(`send EPERM ${to}:${port}`)) : socket.send(data, to, port);
        return new Proxy(socket, {
          get(target, name) {
            if (name === "send") return send;
            // Several are then sent one by one.
            if (name === "sendMany") return undefined;
            const value: unknown = Reflect.get(target, name, target);
            return typeof value === "function" ? value.bind(target) : value;
          },
        });
      };
      const [mesh] = [await lan.open(A, {}, { ...host, bind }), await lan.open(B), await lan.open(C)];
      await body(lan, mesh);
    });

  let isShut = false;

  test(
    "to any peer: that is reported, and no other cause",
    refusing(() => isShut, async (lan, mesh) => {
      isShut = false;
      await lan.pass(3);
      assertCodes(await lan.diagnose(mesh));
      isShut = true;
      const diagnosis = await lan.diagnose(mesh);
      assertCodes(diagnosis, "error send-failed");
      assertStringIncludes(diagnosis.findings[0]?.message ?? "", "send EPERM");
      isShut = false;
      await lan.pass(2);
      assertCodes(await lan.diagnose(mesh));
    }),
  );

  test(
    "to one of two is a warning: the other is reached",
    refusing((to) => isShut && to === B, async (lan, mesh) => {
      isShut = false;
      await lan.pass(3);
      isShut = true;
      const codes = codesOf(await lan.diagnose(mesh));
      assert(codes.includes("warning send-failed"), `${codes}`);
      isShut = false;
    }),
  );
});

test(
  "peers that are all silent are an error: this node may be the one that is cut off; some of them are a warning",
  withLan(async (lan) => {
    const mesh = await lan.three();
    lan.network.set({ loss: 1 }, { from: B });
    assert(codesOf(await lan.diagnose(mesh)).some((code) => code === "warning peer-unresponsive"));
    lan.network.set({ loss: 1 }, { from: C });
    assert(codesOf(await lan.diagnose(mesh)).some((code) => code === "error peer-unresponsive"));
  }),
);
