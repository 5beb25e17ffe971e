// Multicast reachability: which nodes hear each other by multicast, and how each side detects it.
import { describe, test } from "node:test";
import { assertEquals, assertStrictEquals } from "@std/assert";
import * as fc from "fast-check";
import { MemoryNetwork } from "../../adapters/memory.ts";
import { VirtualClock } from "../../adapters/memory/clock.ts";
import { MeshBus } from "../../mod.ts";
import { MulticastReachability } from "../../src/membership/multicast_reachability.ts";
import { PATH_DEAF, PATH_GROUP, PATH_HEARD, TYPE_BATCH, TYPE_OFFSET } from "../../src/wire/layout.ts";
import { writeHeard } from "../../src/wire/peer_exchange.ts";
import { idOf, join, nameOf, tableOn } from "../support/peers.ts";
import { sized } from "../support/size.ts";

const OWN = idOf(99);
const HEARTBEAT = 1000;
const [A, B] = [1, 2];

function setUp() {
  const clock = new VirtualClock();
  const { table } = tableOn(clock, { heartbeat: HEARTBEAT });
  const paths = new MulticastReachability({ nodeId: OWN, heartbeat: HEARTBEAT, clock, peers: table });
  const [a, b] = [join(table, A), join(table, B)];
  const copies = () => {
    const peers = table.withoutGroup();
    assertEquals(table.copies(), peers.map(({ endpoint }) => endpoint));
    return peers.map(({ id }) => id);
  };
  const heard = () => paths.heard().map(({ id }) => id);
  const notified = () => paths.expire().map(({ id }) => id);
  return { clock, table, paths, a, b, copies, heard, notified };
}

describe("a peer that does not say that it hears us", () => {
  test("gets copies, as reachability is not assumed", () => {
    const { copies } = setUp();
    assertEquals(copies(), [nameOf(A), nameOf(B)]);
  });

  test("gets copies though its own multicast is heard, as multicast may work in one direction only", () => {
    const { paths, a, copies } = setUp();
    paths.note(a, { path: PATH_GROUP });
    paths.note(a, { path: PATH_GROUP, heard: writeHeard([idOf(1), idOf(2)]) });
    assertEquals(copies(), [nameOf(A), nameOf(B)]);
  });

  test("gets copies as an older node, which says nothing of paths", () => {
    const { paths, a, copies } = setUp();
    paths.note(a, {});
    assertEquals(copies(), [nameOf(A), nameOf(B)]);
  });
});

describe("a peer that says that it hears us gets no copies", () => {
  test("by path 1 of a datagram that is for us", () => {
    const { paths, a, copies } = setUp();
    paths.note(a, { path: PATH_HEARD });
    assertEquals(copies(), [nameOf(B)]);
  });

  test("by our id in its list, which it sends to the group", () => {
    const { paths, a, copies } = setUp();
    paths.note(a, { path: PATH_GROUP, heard: writeHeard([idOf(7), OWN]) });
    assertEquals(copies(), [nameOf(B)]);
  });

  test("until it has not said so for 1.75 heartbeats", async () => {
    const { paths, clock, a, copies } = setUp();
    paths.note(a, { path: PATH_HEARD });
    await clock.advance(1.75 * HEARTBEAT);
    paths.expire();
    assertEquals(copies(), [nameOf(B)]);
    await clock.advance(0.001);
    paths.expire();
    assertEquals(copies(), [nameOf(A), nameOf(B)]);
  });

  test("for 1.75 heartbeats from the last time that it did", async () => {
    const { paths, clock, a, copies } = setUp();
    for (let i = 0; i < 5; i++) {
      paths.note(a, { path: PATH_GROUP, heard: writeHeard([OWN]) });
      await clock.advance(1.7 * HEARTBEAT);
      paths.expire();
      assertEquals(copies(), [nameOf(B)]);
    }
    await clock.advance(0.06 * HEARTBEAT);
    paths.expire();
    assertEquals(copies(), [nameOf(A), nameOf(B)]);
  });

  test("and gets them again at once when it says that it does not: path 0", () => {
    const { paths, a, copies } = setUp();
    paths.note(a, { path: PATH_HEARD });
    paths.note(a, { path: PATH_DEAF });
    assertEquals(copies(), [nameOf(A), nameOf(B)]);
  });

  test("though our id is missing in one list: a long one takes several heartbeats", () => {
    const { paths, a, copies } = setUp();
    paths.note(a, { path: PATH_HEARD });
    paths.note(a, { path: PATH_GROUP, heard: writeHeard([idOf(7)]) });
    assertEquals(copies(), [nameOf(B)]);
  });

  for (const [known, rounds] of [[2, 2], [257, 2], [600, 3]] as const) {
    test(`for 1.75 heartbeats times ${rounds} when its lists are full and ${known} peers are known`, async () => {
      const { paths, table, clock, a, copies } = setUp();
      for (let i = 3; i <= known; i++) join(table, i);
      const others = Array.from({ length: 255 }, (_, i) => idOf(1000 + i));
      paths.note(a, { path: PATH_GROUP, heard: writeHeard([...others, OWN]) });
      paths.note(a, { path: PATH_GROUP, heard: writeHeard([...others, idOf(7)]) });
      await clock.advance(1.75 * rounds * HEARTBEAT);
      paths.expire();
      assertEquals(copies().includes(nameOf(A)), false);
      await clock.advance(0.001);
      paths.expire();
      assertEquals(copies().includes(nameOf(A)), true);
    });
  }

  test("for 1.75 heartbeats when its last list was not full: that has all that it hears", async () => {
    const { paths, clock, a, copies } = setUp();
    const others = Array.from({ length: 255 }, (_, i) => idOf(1000 + i));
    paths.note(a, { path: PATH_GROUP, heard: writeHeard([...others, OWN]) });
    paths.note(a, { path: PATH_GROUP, heard: writeHeard(others) });
    await clock.advance(1.75 * HEARTBEAT + 0.001);
    paths.expire();
    assertEquals(copies(), [nameOf(A), nameOf(B)]);
  });

  test("and the list of copies is the same one while nothing changes", () => {
    const { paths, table, a } = setUp();
    paths.note(a, { path: PATH_HEARD });
    const before = table.copies();
    paths.note(a, { path: PATH_HEARD });
    paths.expire();
    assertStrictEquals(table.copies(), before);
  });
});

describe("a peer whose multicast we hear", () => {
  test("is in our list, and gets path 1, for 1.5 heartbeats after a heartbeat came by multicast", async () => {
    const { paths, clock, a, b, heard } = setUp();
    assertEquals([heard(), paths.pathTo(a), paths.pathTo(undefined)], [[], PATH_DEAF, PATH_DEAF]);
    paths.note(a, { path: PATH_GROUP });
    await clock.advance(1.5 * HEARTBEAT);
    assertEquals([heard(), paths.pathTo(a), paths.pathTo(b)], [[nameOf(A)], PATH_HEARD, PATH_DEAF]);
    paths.expire();
    assertEquals([heard(), paths.pathTo(a)], [[nameOf(A)], PATH_HEARD]);
    await clock.advance(0.001);
    paths.expire();
    assertEquals([heard(), paths.pathTo(a)], [[], PATH_DEAF]);
  });

  test("is in our list until the next check: what has come meanwhile may not be read yet", async () => {
    const { paths, clock, a, heard } = setUp();
    paths.note(a, { path: PATH_GROUP });
    await clock.advance(10 * HEARTBEAT);
    assertEquals([heard(), paths.pathTo(a)], [[nameOf(A)], PATH_HEARD]);
  });

  test("is not heard by multicast when it sends unicast to us", () => {
    const { paths, a, heard } = setUp();
    paths.note(a, { path: PATH_HEARD });
    paths.note(a, { path: PATH_DEAF });
    paths.note(a, {});
    assertEquals(heard(), []);
  });

  test("is notified after that, again and again, until it responds", async () => {
    const { paths, clock, a, notified } = setUp();
    paths.note(a, { path: PATH_GROUP });
    await clock.advance(1.5 * HEARTBEAT);
    assertEquals(notified(), []);
    await clock.advance(0.001);
    assertEquals([notified(), notified()], [[nameOf(A)], [nameOf(A)]]);
    paths.acknowledged(a);
    await clock.advance(10 * HEARTBEAT);
    assertEquals(notified(), []);
  });

  test("is notified until its multicast is heard again", async () => {
    const { paths, clock, a, notified } = setUp();
    paths.note(a, { path: PATH_GROUP });
    await clock.advance(1501);
    assertEquals(notified(), [nameOf(A)]);
    paths.note(a, { path: PATH_GROUP });
    assertEquals(notified(), []);
    await clock.advance(1501);
    assertEquals(notified(), [nameOf(A)]);
  });

  test("is not notified when its path was never validated, as its heartbeats may be forged", async () => {
    const { paths, table, clock, notified } = setUp();
    const unknown = join(table, 3, { validated: false });
    paths.note(unknown, { path: PATH_GROUP });
    await clock.advance(1501);
    assertEquals(notified(), []);
  });

  test("is not notified when its multicast was never heard", async () => {
    const { paths, clock, a, notified } = setUp();
    paths.note(a, { path: PATH_HEARD });
    await clock.advance(10 * HEARTBEAT);
    assertEquals(notified(), []);
  });
});

test("whatever peers say and when, who gets copies and who is heard follows from the last times alone", async () => {
  const says = fc.constantFrom("hears", "lists", "deaf", "lists others", "group", "nothing");
  const step = fc.tuple(fc.oneof(fc.constantFrom(0, 250, 250.001, 750, 1500, 1750), fc.nat(3000)), fc.nat(1), says);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30, size: "max" }), async (steps) => {
      const { paths, clock, a, b, copies, heard } = setUp();
      const hearsUs: (number | undefined)[] = [undefined, undefined];
      const groupAt: (number | undefined)[] = [undefined, undefined];
      for (const [pause, which, what] of steps) {
        await clock.advance(pause);
        const now = clock.now();
        paths.expire();
        const entry = which === 0 ? a : b;
        if (what === "hears") paths.note(entry, { path: PATH_HEARD });
        if (what === "lists") paths.note(entry, { path: PATH_GROUP, heard: writeHeard([OWN]) });
        if (what === "deaf") paths.note(entry, { path: PATH_DEAF });
        if (what === "lists others") paths.note(entry, { path: PATH_GROUP, heard: writeHeard([idOf(5)]) });
        if (what === "group") paths.note(entry, { path: PATH_GROUP });
        if (what === "nothing") paths.note(entry, {});
        if (what === "hears" || what === "lists") hearsUs[which] = now;
        if (what === "deaf") hearsUs[which] = undefined;
        if (["lists", "lists others", "group"].includes(what)) groupAt[which] = now;
        const within = (times: (number | undefined)[], heartbeats: number) =>
          [A, B].filter((_, i) => {
            const at = times[i];
            return at !== undefined && now - at <= heartbeats * HEARTBEAT;
          }).map(nameOf);
        const hearing = within(hearsUs, 1.75);
        assertEquals(copies(), [A, B].map(nameOf).filter((id) => !hearing.includes(id)));
        assertEquals(heard(), within(groupAt, 1.5));
      }
    }),
    { numRuns: 200 },
  );
});

test("nodes that were suspended, all at once, send their batches by the group, whenever that was", async () => {
  for (let phase = 0; phase < 40; phase += sized(1, 5)) {
    const network = new MemoryNetwork({ seed: phase });
    const { clock } = network;
    const hosts = [1, 2, 3].map((i) => network.host(`10.0.0.${i}`));
    const nodes: MeshBus[] = [];
    for (const host of hosts) nodes.push(await MeshBus.open({ ...host, heartbeat: HEARTBEAT }));
    await clock.advance((4 + phase / 40) * HEARTBEAT);
    for (const host of hosts) host.pause();
    await clock.advance(0.9 * HEARTBEAT);
    for (const host of hosts) host.resume();
    const batches = { toGroup: 0, copies: 0 };
    network.tap(({ data, fate, multicast }) => {
      if (fate === "sent" && data[TYPE_OFFSET] === TYPE_BATCH) batches[multicast ? "toGroup" : "copies"]++;
    });
    for (let round = 0; round < 8; round++) {
      for (const mesh of nodes) await mesh.publish(`${round}`);
      await clock.advance(HEARTBEAT / 10);
    }
    assertEquals(batches, { toGroup: 8 * nodes.length, copies: 0 }, `phase ${phase}`);
    await clock.run(Promise.all(nodes.map((mesh) => mesh.close())), 5000);
  }
});
