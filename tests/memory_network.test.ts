// MemoryNetwork: the rules of UDP, the faults, the failures of hosts, and that a seed repeats a world.
import { describe, test } from "node:test";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertGreater,
  assertLess,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { type MemoryHost, MemoryNetwork, type MemoryNetworkOptions, SeededRandom } from "../adapters/memory.ts";
import { systemClock } from "../adapters/system.ts";
import { BindError, type BindOptions, type DatagramSocket } from "../src/datagram_socket.ts";
import { bytes, Inbox } from "./support/inbox.ts";

const GROUP = "239.0.0.1";
const [A, B, C] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"] as const;

const WITH_GROUP: Partial<BindOptions> = { shared: true, joinGroup: GROUP };

describe("MemoryNetwork", () => {
  describe("delivery", () => {
    test("comes by the clock, never within send, also when it takes no time", async () => {
      for (const delay of [0, 2.5]) {
        const { network, from, inbox } = await pair({ delay: { min: delay, max: delay } });
        await from.send(bytes("x"), B, 7946);
        assertEquals(inbox.received.length, 0);
        const seen = await network.clock.runUntil(() => inbox.received.length > 0, 10);
        assertEquals(seen, delay);
      }
    });

    test("takes the bytes as they are when send is called", async () => {
      const { network, from, inbox } = await pair();
      const data = bytes("before");
      const sending = from.send(data, B, 7946);
      data.fill(0);
      await sending;
      await network.clock.advance(1);
      assertEquals(inbox.texts, ["before"]);
    });

    test("overwrites what a receiver keeps without copying it, unless told not to", async () => {
      for (const poison of [true, false]) {
        const network = new MemoryNetwork({ poison });
        const kept: Uint8Array[] = [];
        await open(network.host(B), {}, new Inbox((data) => kept.push(data)));
        const from = await open(network.host(A));
        await from.send(Uint8Array.of(1, 2, 3), B, 7946);
        await network.clock.advance(1);
        assertEquals(kept[0], poison ? Uint8Array.of(0xaa, 0xaa, 0xaa) : Uint8Array.of(1, 2, 3));
        // Code that takes the whole buffer for the datagram would read something else.
        if (poison) assertGreater(kept[0]?.byteOffset ?? 0, 0);
      }
    });

    test("gives each socket on a shared port its own bytes", async () => {
      const network = new MemoryNetwork();
      const host = network.host(B);
      const inboxes = [new Inbox((data) => data.fill(0)), new Inbox()];
      for (const inbox of inboxes) await open(host, WITH_GROUP, inbox);
      await (await open(network.host(A))).send(bytes("same"), GROUP, 7946);
      await network.clock.advance(1);
      assertEquals(inboxes.map(({ texts }) => texts), [["same"], ["same"]]);
    });

    test("to nobody vanishes without a word", async () => {
      const { network, from, inbox } = await pair();
      await from.send(bytes("no such host"), "10.9.9.9", 7946);
      await from.send(bytes("no such port"), B, 7947);
      await from.send(bytes("no member"), "239.9.9.9", 7946);
      await network.clock.advance(1);
      assertEquals(inbox.received, []);
      assertEquals(inbox.errors, []);
      assertEquals([network.stats.sent, network.stats.unreachable, network.stats.delivered], [3, 2, 0]);
    });

    test("stays on the host for 127.0.0.1 and for its own address, whatever the network does", async () => {
      const network = new MemoryNetwork({ loss: 1 });
      const host = network.host(A);
      const inbox = new Inbox();
      const socket = await open(host, {}, inbox);
      const other = await open(host, { host: "127.0.0.1", port: 0 });
      await socket.send(bytes("a"), "127.0.0.1", 7946);
      await socket.send(bytes("b"), A, 7946);
      await socket.send(bytes("c"), "0.0.0.0", 7946);
      await other.send(bytes("d"), A, 7946);
      await network.clock.advance(0);
      assertEquals(inbox.texts, ["a", "b", "c", "d"]);
      assertEquals(inbox.sources, ["127.0.0.1:7946", `${A}:7946`, "127.0.0.1:7946", `127.0.0.1:${other.port}`]);
      await assertRejectsWithCode(() => other.send(bytes("cannot leave"), B, 7946), "EINVAL");
    });

    test("says where it comes from: the bound address, or the host's own", async () => {
      const network = new MemoryNetwork();
      const inbox = new Inbox();
      await open(network.host(B), {}, inbox);
      const sockets = [await open(network.host(A)), await open(network.host(A), { host: A, port: 0 })];
      for (const socket of sockets) await socket.send(bytes("x"), B, 7946);
      await network.clock.advance(1);
      assertEquals(inbox.sources, sockets.map(({ port }) => `${A}:${port}`));
    });

    test("does not starve timers while somebody sends without end", async () => {
      const { network, from, inbox } = await pair();
      let stop = false;
      network.clock.setTimer(() => stop = true, 50);
      const sending = (async () => {
        while (!stop) await from.send(bytes("again"), B, 7946);
      })();
      await network.clock.advance(60);
      await sending;
      assertGreater(inbox.received.length, 16);
    });

    test("lets 1,000 awaited sends pass while time stands still, and holds time back for those", async () => {
      const { network, from, inbox } = await pair();
      const sentAt = new Set<number>();
      network.tap(({ fate, time }) => fate === "sent" && sentAt.add(time));
      const sending = (async () => {
        for (let i = 0; i < 1000; i++) await from.send(bytes(`${i}`), B, 7946);
      })();
      await network.clock.advance(1);
      await sending;
      assertEquals([...sentAt], [0]);
      assertEquals(inbox.texts, Array.from({ length: 1000 }, (_, i) => `${i}`));
    });

    test("runs on a real clock too", async () => {
      const network = new MemoryNetwork({ clock: systemClock, delay: { min: 0, max: 3 } });
      const expected = Array.from({ length: 100 }, (_, i) => `${i}`);
      const inbox = new Inbox();
      const done = new Promise<void>((resolve) => {
        const last = new Inbox(() => resolve());
        void open(network.host(B), { port: 7947 }, last);
      });
      await open(network.host(B), {}, inbox);
      const from = await open(network.host(A));
      for (const text of expected) await from.send(bytes(text), B, 7946);
      await from.send(bytes("last"), B, 7947);
      await done;
      assertEquals(inbox.texts, expected);
    });
  });

  describe("ports", () => {
    test("are refused when bound, unless all share them", async () => {
      const host = new MemoryNetwork().host(A);
      await open(host, { host: "127.0.0.1" });
      await assertBindFails(host, {}, "EADDRINUSE", "0.0.0.0:7946");
      await assertBindFails(host, { host: "127.0.0.1" }, "EADDRINUSE", "127.0.0.1:7946 is bound");
      await assertBindFails(host, { host: "127.0.0.1", shared: true }, "EADDRINUSE", "127.0.0.1:7946");
      // Another address of the host is another place.
      await open(host, { host: A, shared: true });
      await assertBindFails(host, { host: A }, "EADDRINUSE", "is bound and shared");
      assertEquals((await open(host, { host: A, shared: true })).port, 7946);
    });

    test("are the host's: its processes share them, other hosts do not", async () => {
      const network = new MemoryNetwork();
      await open(network.host(A));
      await assertBindFails(network.host(A), {}, "EADDRINUSE", "7946");
      await open(network.host(B));
    });

    test("that the system chooses are never taken, and come from the seed", async () => {
      const ports = async (seed: number) => {
        const host = new MemoryNetwork({ seed }).host(A);
        const chosen: number[] = [];
        for (let i = 0; i < 2000; i++) chosen.push((await open(host, { port: 0, shared: true })).port);
        return chosen;
      };
      const chosen = await ports(5);
      assertEquals(new Set(chosen).size, 2000);
      assert(chosen.every((port) => port >= 32_768 && port < 61_000));
      assertEquals(await ports(5), chosen);
      assertNotEquals(await ports(6), chosen);
    });

    test("that are shared take unicast to the last that was bound, and to the very address first", async () => {
      const network = new MemoryNetwork();
      const host = network.host(B);
      const from = await open(network.host(A));
      const inboxes = [new Inbox(), new Inbox(), new Inbox()] as const;
      await open(host, { shared: true }, inboxes[0]);
      const last = await open(host, { shared: true }, inboxes[1]);
      const counts = async () => {
        await from.send(bytes("x"), B, 7946);
        await network.clock.advance(1);
        return inboxes.map(({ received }) => received.length);
      };
      assertEquals(await counts(), [0, 1, 0]);
      await last.close();
      assertEquals(await counts(), [1, 1, 0]);
      const exact = await open(host, { host: B, shared: true }, inboxes[2]);
      await open(host, { shared: true }, inboxes[0]);
      assertEquals(await counts(), [1, 1, 1]);
      await exact.close();
      assertEquals(await counts(), [2, 1, 1]);
    });

    test("are free as soon as close is called", async () => {
      const host = new MemoryNetwork().host(A);
      const socket = await open(host);
      void socket.close();
      await open(host);
    });

    test("and addresses that are none are refused", async () => {
      const host = new MemoryNetwork().host(A);
      await assertBindFails(host, { host: B }, "EADDRNOTAVAIL", B);
      await assertBindFails(host, { host: "cache.local" }, "EADDRNOTAVAIL", "cache.local");
      for (const port of [-1, 65_536, 1.5, NaN]) await assertBindFails(host, { port }, "EUNKNOWN", `${port}`);
    });
  });

  describe("multicast", () => {
    test("reaches every socket on the port of every host that joined, the sender's own too", async () => {
      const network = new MemoryNetwork();
      const inboxes = [new Inbox(), new Inbox(), new Inbox(), new Inbox(), new Inbox()];
      const [own, b1, b2, outsider, otherPort] = inboxes;
      const from = await open(network.host(A), WITH_GROUP, own);
      const host = network.host(B);
      await open(host, WITH_GROUP, b1);
      // On 0.0.0.0 a socket receives every group that anyone on its host joined.
      await open(host, { shared: true }, b2);
      await open(network.host(C), {}, outsider);
      await open(host, { ...WITH_GROUP, port: 7947 }, otherPort);
      await from.send(bytes("x"), GROUP, 7946);
      await network.clock.advance(1);
      assertEquals(inboxes.map(({ received }) => received.length), [1, 1, 1, 0, 0]);
      assertEquals(b1?.sources, [`${A}:7946`]);
      assertEquals([network.stats.sent, network.stats.delivered], [1, 3]);
    });

    test("is not for a socket bound to a unicast address, but for one bound to the group", async () => {
      const network = new MemoryNetwork();
      const host = network.host(B);
      const inboxes = [new Inbox(), new Inbox(), new Inbox()];
      await open(host, { ...WITH_GROUP, host: B }, inboxes[0]);
      await open(host, { ...WITH_GROUP, host: GROUP }, inboxes[1]);
      await open(host, { shared: true, host: "239.0.0.2" }, inboxes[2]);
      const from = await open(network.host(A));
      await from.send(bytes("multicast"), GROUP, 7946);
      await from.send(bytes("unicast"), B, 7946);
      await network.clock.advance(1);
      assertEquals(inboxes.map(({ texts }) => texts), [["unicast"], ["multicast"], []]);
    });

    test("is not heard on the sender's host with the loopback flag off", async () => {
      const network = new MemoryNetwork();
      const host = network.host(A);
      const [own, neighbour, remote] = [new Inbox(), new Inbox(), new Inbox()];
      const from = await open(host, { ...WITH_GROUP, multicastLoopback: false }, own);
      await open(host, WITH_GROUP, neighbour);
      await open(network.host(B), WITH_GROUP, remote);
      await from.send(bytes("x"), GROUP, 7946);
      await network.clock.advance(1);
      assertEquals([own, neighbour, remote].map(({ received }) => received.length), [0, 0, 1]);
    });

    test("on the interface 127.0.0.1 stays on the host, and is heard there whatever the loopback flag", async () => {
      const network = new MemoryNetwork();
      const onLoopback = { ...WITH_GROUP, multicastInterface: "127.0.0.1" };
      const [local, remote, other] = [new Inbox(), new Inbox(), new Inbox()];
      await open(network.host(A), onLoopback, local);
      await open(network.host(B), onLoopback, remote);
      await open(network.host(C), WITH_GROUP, other);
      const from = await open(network.host(A), { port: 0, multicastInterface: "127.0.0.1", multicastLoopback: false });
      await from.send(bytes("x"), GROUP, 7946);
      await network.clock.advance(1);
      assertEquals([local, remote, other].map(({ received }) => received.length), [1, 0, 0]);
      assertEquals(local.sources, [`127.0.0.1:${from.port}`]);
      // What comes from the network is not for members on the loopback interface.
      await (await open(network.host(C), { port: 0 })).send(bytes("y"), GROUP, 7946);
      await network.clock.advance(1);
      assertEquals([local, remote, other].map(({ received }) => received.length), [1, 0, 1]);
    });

    test("ends for the host when its last member closes", async () => {
      const network = new MemoryNetwork();
      const host = network.host(B);
      const inbox = new Inbox();
      const members = [await open(host, WITH_GROUP), await open(host, WITH_GROUP)];
      await open(host, { shared: true }, inbox);
      const from = await open(network.host(A));
      const received = async () => {
        await from.send(bytes("x"), GROUP, 7946);
        await network.clock.advance(1);
        return inbox.received.length;
      };
      assertEquals(await received(), 1);
      await members[0]?.close();
      assertEquals(await received(), 2);
      await members[1]?.close();
      assertEquals(await received(), 2);
    });

    test("is refused where there is none", async () => {
      const network = new MemoryNetwork();
      const without = network.host(A, { multicast: false });
      await assertBindFails(without, WITH_GROUP, "EMULTICAST", GROUP);
      const socket = await open(without);
      await assertRejectsWithCode(() => socket.send(bytes("x"), GROUP, 7946), "ENETUNREACH");
      const other = network.host(B);
      const member = await open(other, WITH_GROUP);
      network.multicast = false;
      await assertBindFails(other, WITH_GROUP, "EMULTICAST", GROUP);
      await assertRejectsWithCode(() => member.send(bytes("x"), GROUP, 7946), "ENETUNREACH");
      network.multicast = true;
      await member.send(bytes("x"), GROUP, 7946);
    });

    test("is refused on an interface or a group that is none, and the port stays free", async () => {
      const host = new MemoryNetwork().host(A);
      await assertBindFails(host, { ...WITH_GROUP, multicastInterface: B }, "EMULTICAST", B);
      await assertBindFails(host, { multicastInterface: B }, "EMULTICAST", B);
      await assertBindFails(host, { joinGroup: "10.1.1.1" }, "EMULTICAST", "10.1.1.1");
      await open(host);
    });
  });

  describe("send", () => {
    test("rejects what cannot be sent", async () => {
      const { from, network } = await pair();
      await assertRejectsWithCode(() => from.send(new Uint8Array(65_508), B, 7946), "EMSGSIZE");
      await assertRejectsWithCode(() => from.send(bytes("x"), "b.local", 7946), "EINVAL");
      await assertRejectsWithCode(() => from.send(bytes("x"), B, 0), "EINVAL");
      await assertRejectsWithCode(() => from.send(bytes("x"), "255.255.255.255", 7946), "EACCES");
      assertEquals(network.stats.sent, 0);
    });

    test("takes 0 to 65,507 bytes", async () => {
      const { network, from, inbox } = await pair();
      for (const size of [0, 65_507]) await from.send(new Uint8Array(size), B, 7946);
      await network.clock.advance(1);
      assertEquals(inbox.received.map((data) => data.length), [0, 65_507]);
    });

    test("rejects when the socket closes meanwhile and afterwards", async () => {
      const { from } = await pair();
      const underWay = from.send(bytes("x"), B, 7946);
      void from.close();
      await assertRejects(() => underWay, Error, "closed");
      await assertRejects(() => from.send(bytes("x"), B, 7946), Error, "closed");
    });
  });

  describe("faults", () => {
    test("lose, duplicate and reorder about as many as asked", async () => {
      const { network, from, inbox } = await pair({ seed: 11, loss: 0.2, duplicate: 0.1, reorder: 0.05 });
      for (let i = 0; i < 10_000; i++) await from.send(bytes(`${i}`), B, 7946);
      await network.clock.advance(100);
      const { lost, duplicated, reordered, delivered, sent } = network.stats;
      // Six standard deviations of the binomial distribution.
      assertAlmostEquals(lost, 2000, 240);
      assertAlmostEquals(duplicated, 800, 161);
      assertAlmostEquals(reordered, 440, 123);
      assertEquals([sent, delivered], [10_000, 10_000 - lost + duplicated]);
      assertEquals(inbox.received.length, delivered);
      assertEquals(new Set(inbox.texts).size, 10_000 - lost);
    });

    test("of delay alone change no order, and keep within their bounds", async () => {
      const { network, from, inbox } = await pair({ delay: { min: 2, max: 20 } });
      const took: number[] = [];
      network.tap(({ fate, time, data }) => {
        if (fate === "delivered") took.push(time - Number(new TextDecoder().decode(data)));
      });
      const sent: string[] = [];
      for (let i = 0; i < 500; i++) {
        sent.push(`${network.clock.now()}`);
        await from.send(bytes(`${network.clock.now()}`), B, 7946);
        await network.clock.advance(1);
      }
      await network.clock.advance(20);
      assertEquals(inbox.texts, sent);
      assertGreater(Math.min(...took), 1.999);
      // A timer is at most its grain late.
      assertLess(Math.max(...took), 20.002);
      assertGreater(Math.max(...took) - Math.min(...took), 10);
    });

    test("of order hold some back so that later ones overtake them, by no more than asked", async () => {
      const { network, from, inbox } = await pair({ reorder: 0.1, reorderBy: 5 });
      for (let i = 0; i < 1000; i++) {
        await from.send(bytes(`${i}`), B, 7946);
        await network.clock.advance(1);
      }
      await network.clock.advance(5);
      const order = inbox.texts.map(Number);
      assertEquals([...order].sort((a, b) => a - b), Array.from({ length: 1000 }, (_, i) => i));
      const displaced = order.filter((number, at) => number !== at).length;
      assertGreater(displaced, 50);
      assert(order.every((number, at) => Math.abs(number - at) <= 6));
    });

    test("of length cut the end off", async () => {
      const { network, from, inbox } = await pair({ truncate: 0.5 });
      const data = Uint8Array.from({ length: 100 }, (_, i) => i);
      for (let i = 0; i < 1000; i++) await from.send(data, B, 7946);
      await network.clock.advance(1);
      const short = inbox.received.filter((data) => data.length < 100);
      assertEquals(short.length, network.stats.truncated);
      assertAlmostEquals(short.length, 500, 95);
      assertGreater(new Set(short.map((data) => data.length)).size, 90);
      assert(inbox.received.every((data) => data.every((byte, i) => byte === i)));
    });

    test("strike the receivers of one multicast one by one", async () => {
      const network = new MemoryNetwork({ loss: 0.5 });
      const inboxes = [new Inbox(), new Inbox()];
      for (const [i, inbox] of inboxes.entries()) await open(network.host([B, C][i] as string), WITH_GROUP, inbox);
      const from = await open(network.host(A));
      for (let i = 0; i < 400; i++) await from.send(bytes(`${i}`), GROUP, 7946);
      await network.clock.advance(1);
      const [b, c] = inboxes.map(({ texts }) => new Set(texts)) as [Set<string>, Set<string>];
      // Each of the four outcomes has a chance of a quarter.
      assertAlmostEquals([...b].filter((text) => c.has(text)).length, 100, 52);
      assertAlmostEquals([...b].filter((text) => !c.has(text)).length, 100, 52);
    });

    test("can be told which datagrams to lose", async () => {
      const { network, from, inbox } = await pair({ drop: ({ data }) => data[0] === 50 });
      for (const text of ["1", "2", "3"]) await from.send(bytes(text), B, 7946);
      network.set({ drop: undefined });
      await from.send(bytes("2"), B, 7946);
      await network.clock.advance(1);
      assertEquals(inbox.texts, ["1", "3", "2"]);
      assertEquals(network.stats.lost, 1);
    });

    test("can be for one direction, and the latest word counts", async () => {
      const network = new MemoryNetwork();
      const hosts = new Map<string, { readonly socket: DatagramSocket; readonly inbox: Inbox }>();
      for (const address of [A, B, C]) {
        const inbox = new Inbox();
        hosts.set(address, { socket: await open(network.host(address), {}, inbox), inbox });
      }
      const reached = async () => {
        const ways: string[] = [];
        for (const [from, { socket }] of hosts) {
          for (const [to, { inbox }] of hosts) {
            if (from === to) continue;
            const before = inbox.received.length;
            await socket.send(bytes("x"), to, 7946);
            await network.clock.advance(100);
            if (inbox.received.length > before) ways.push(`${from.at(-1)}>${to.at(-1)}`);
          }
        }
        return ways.join(" ");
      };
      network.set({ loss: 1 }, { from: A, to: B });
      assertEquals(await reached(), "1>3 2>1 2>3 3>1 3>2");
      network.set({ loss: 1 }, { to: C });
      assertEquals(await reached(), "2>1 3>1 3>2");
      network.set({ loss: 0 }, { from: A });
      network.set({ delay: { min: 50, max: 50 } });
      assertEquals(await reached(), "1>2 1>3 2>1 3>1 3>2");
      network.set({ loss: 0 });
      assertEquals(await reached(), "1>2 1>3 2>1 2>3 3>1 3>2");
    });

    test("out of range are refused, and change nothing", async () => {
      const network = new MemoryNetwork();
      for (const name of ["loss", "duplicate", "reorder", "truncate"] as const) {
        for (const bad of [-0.1, 1.1, NaN]) {
          const faults = { [name]: bad };
          assertThrows(() => network.set(faults), RangeError, `\`${name}\` must be a number from 0 to 1`);
          assertThrows(() => new MemoryNetwork(faults), RangeError, `current value is ${bad}`);
        }
      }
      assertThrows(() => network.set({ reorderBy: Infinity }), RangeError, "`reorderBy`");
      for (const delay of [{ min: -1, max: 1 }, { min: 2, max: 1 }, { min: 0, max: Infinity }]) {
        assertThrows(() => network.set({ loss: 1, delay }), RangeError, `max: ${delay.max}`);
      }
      const inbox = new Inbox();
      await open(network.host(B), {}, inbox);
      await (await open(network.host(A))).send(bytes("x"), B, 7946);
      await network.clock.advance(1);
      assertEquals(inbox.received.length, 1);
    });
  });

  describe("partition", () => {
    test("parts groups of hosts until it is healed, and a host in no group reaches all", async () => {
      const network = new MemoryNetwork();
      const inbox = new Inbox();
      await open(network.host(B), WITH_GROUP, inbox);
      const [a, c] = [await open(network.host(A)), await open(network.host(C))];
      const send = async (name: string) => {
        await a.send(bytes(`${name} a`), B, 7946);
        await a.send(bytes(`${name} a group`), GROUP, 7946);
        await c.send(bytes(`${name} c`), B, 7946);
        await network.clock.advance(1);
      };
      network.partition([[A], [B]]);
      await send("parted");
      network.partition([[A, B], [C]]);
      await send("other");
      network.heal();
      await send("healed");
      assertEquals(inbox.texts, ["parted c", "other a", "other a group", "healed a", "healed a group", "healed c"]);
      assertEquals(network.stats.partitioned, 3);
    });

    test("loses what is under way", async () => {
      const { network, from, inbox } = await pair({ delay: { min: 10, max: 10 } });
      await from.send(bytes("x"), B, 7946);
      await network.clock.advance(9);
      network.partition([[A], [B]]);
      await network.clock.advance(10);
      assertEquals(inbox.received.length, 0);
      assertEquals(network.stats.partitioned, 1);
    });

    test("cut is one way", async () => {
      const { network, from, inbox, to } = await pair();
      const back = new Inbox();
      await open(network.host(A), { port: 7000 }, back);
      network.cut(A, B);
      await from.send(bytes("there"), B, 7946);
      await to.send(bytes("back"), A, 7000);
      await network.clock.advance(1);
      assertEquals([inbox.texts, back.texts], [[], ["back"]]);
      network.heal();
      await from.send(bytes("there"), B, 7946);
      await network.clock.advance(1);
      assertEquals(inbox.texts, ["there"]);
    });
  });

  describe("a paused process", () => {
    test("neither runs timers nor receives; then its timers come first, in their order", async () => {
      const network = new MemoryNetwork();
      const host = network.host(B);
      const calls: string[] = [];
      await open(host, {}, new Inbox((data) => calls.push(new TextDecoder().decode(data))));
      const from = await open(network.host(A));
      host.clock.setTimer(() => calls.push("timer 20"), 20);
      host.clock.setTimer(() => calls.push("timer 10"), 10);
      host.clock.setTimer(() => calls.push("timer 500"), 500);
      const cancelled = host.clock.setTimer(() => calls.push("cancelled"), 10);
      host.clock.setTurnEnd(() => calls.push("turn end"));
      host.pause();
      host.pause();
      assertEquals(host.state, "paused");
      for (const text of ["1", "2"]) await from.send(bytes(text), B, 7946);
      await network.clock.advance(100);
      assertEquals(calls, []);
      cancelled.cancel();
      host.resume();
      host.resume();
      await from.send(bytes("3"), B, 7946);
      await network.clock.advance(1);
      assertEquals(calls, ["turn end", "timer 10", "timer 20", "1", "2", "3"]);
      await network.clock.advance(1000);
      assertEquals(calls.at(-1), "timer 500");
      assertEquals(host.state, "running");
    });

    test("loses what its receive buffer cannot hold", async () => {
      for (
        const [size, receiveBuffer, held] of [
          [1400, undefined, 92],
          [64, undefined, 277],
          [1400, 1_000_000, 868],
          [1400, 0, 0],
        ] as const
      ) {
        const network = new MemoryNetwork();
        const host = network.host(B);
        const inbox = new Inbox();
        await open(host, { receiveBuffer }, inbox);
        const from = await open(network.host(A));
        host.pause();
        for (let i = 0; i < 1000; i++) await from.send(new Uint8Array(size), B, 7946);
        await network.clock.advance(1);
        host.resume();
        await network.clock.advance(1);
        assertEquals([inbox.received.length, network.stats.overrun], [held, 1000 - held]);
        // The buffer is empty again.
        await from.send(new Uint8Array(size), B, 7946);
        await network.clock.advance(1);
        assertEquals(inbox.received.length, held + 1);
      }
    });

    test("may be paused again in the middle of what it has to catch up with", async () => {
      const network = new MemoryNetwork();
      const host = network.host(B);
      const calls: string[] = [];
      await open(
        host,
        {},
        new Inbox((data) => {
          calls.push(new TextDecoder().decode(data));
          if (calls.at(-1) === "2") host.pause();
        }),
      );
      const from = await open(network.host(A));
      host.clock.setTimer(() => {
        calls.push("first timer");
        host.pause();
      }, 1);
      host.clock.setTimer(() => calls.push("second timer"), 2);
      host.pause();
      for (const text of ["1", "2", "3"]) await from.send(bytes(text), B, 7946);
      for (const expected of [["first timer"], ["second timer", "1", "2"], ["3"]]) {
        await network.clock.advance(10);
        calls.length = 0;
        host.resume();
        await network.clock.advance(0);
        assertEquals(calls, expected);
      }
    });

    test("is alone in its pause on the host", async () => {
      const network = new MemoryNetwork();
      const [paused, running] = [network.host(B), network.host(B)];
      const inbox = new Inbox();
      await open(paused, WITH_GROUP);
      await open(running, WITH_GROUP, inbox);
      paused.pause();
      await (await open(network.host(A))).send(bytes("x"), GROUP, 7946);
      await network.clock.advance(1);
      assertEquals(inbox.received.length, 1);
    });
  });

  describe("a crashed process", () => {
    test("is gone without a word, and another can take its place", async () => {
      const network = new MemoryNetwork();
      const host = network.host(B);
      const inbox = new Inbox();
      let calls = 0;
      const socket = await open(host, WITH_GROUP, inbox);
      host.clock.setTimer(() => calls++, 10);
      host.clock.setTurnEnd(() => calls++);
      const from = await open(network.host(A));
      await from.send(bytes("under way"), B, 7946);
      host.crash();
      assertEquals(host.state, "crashed");
      assertEquals(network.clock.pending, 1, "the datagram under way");
      host.clock.setTimer(() => calls++, 10);
      host.resume();
      await from.send(bytes("to the group"), GROUP, 7946);
      await network.clock.advance(100);
      assertEquals([calls, inbox.received.length, inbox.errors.length], [0, 0, 0]);
      assertEquals(network.stats.unreachable, 1);
      await assertRejects(() => socket.send(bytes("x"), A, 7946), Error, "closed");
      await assertRejects(() => open(host), Error, "has crashed");
      await socket.close();

      const next = new Inbox();
      await open(network.host(B), {}, next);
      await from.send(bytes("to the next"), B, 7946);
      await network.clock.advance(1);
      assertEquals(next.texts, ["to the next"]);
      assertEquals(inbox.received.length, 0);
    });

    test("takes what waits in its receive buffer with it", async () => {
      const { network, from, inbox, host } = await pair();
      host.pause();
      await from.send(bytes("waits"), B, 7946);
      await network.clock.advance(1);
      host.crash();
      await network.clock.advance(1);
      assertEquals([inbox.received.length, network.stats.unreachable, network.clock.pending], [0, 1, 0]);
    });
  });

  describe("names", () => {
    test("are looked up in data that may change", async () => {
      const network = new MemoryNetwork();
      const { resolve } = network.host(A);
      await assertRejectsWithCode(() => resolve("cache.local"), "ENOTFOUND");
      network.names.set("cache.local", [A, B]);
      assertEquals(await resolve("cache.local"), [A, B]);
      network.names.set("cache.local", []);
      await assertRejectsWithCode(() => resolve("cache.local"), "ENOTFOUND");
      assertEquals(await resolve("localhost"), ["127.0.0.1"]);
      assertEquals(await resolve(C), [C]);
    });
  });

  describe("a host", () => {
    test("lists its interfaces", () => {
      assertEquals(new MemoryNetwork().host(A).networkInterfaces(), [
        { name: "lo", address: "127.0.0.1", internal: true },
        { name: "eth0", address: A, internal: false },
      ]);
    });

    test("gives its ports apart from itself, so that one may be replaced", async () => {
      const network = new MemoryNetwork();
      const { bind, clock, randomBytes } = { ...network.host(A) };
      await bind(optionsWith({}), new Inbox());
      assertEquals(clock.now(), 0);
      assertEquals(randomBytes(16).length, 16);
      assertNotEquals(randomBytes(16), randomBytes(16));
    });

    test("has an address that one host can have", () => {
      for (
        const bad of ["", "a.local", "10.0.0", "10.0.0.256", "0.0.0.0", "127.0.0.1", GROUP, "255.255.255.255", "::1"]
      ) {
        assertThrows(() => new MemoryNetwork().host(bad), TypeError, `current value is ${bad}`);
      }
    });
  });

  test("tap and stats tell what is on the wire", async () => {
    const network = new MemoryNetwork();
    const lines: string[] = [];
    const end = network.tap(({ time, from, to, receiver, data, fate, multicast }) => {
      const way = `${from.host}:${from.port} ${to.host}:${to.port}${multicast ? " (group)" : ""}`;
      lines.push(`${time} ${way} at ${receiver}: ${data.length} bytes ${fate}`);
    });
    const from = await open(network.host(A));
    for (const address of [B, C]) await open(network.host(address), WITH_GROUP);
    network.set({ loss: 1 }, { to: C });
    await from.send(new Uint8Array(10), GROUP, 7946);
    await network.clock.advance(1);
    const way = `${A}:7946 ${GROUP}:7946 (group)`;
    assertEquals(lines, [
      `0 ${way} at ${A}: 10 bytes sent`,
      `0 ${way} at ${C}: 10 bytes lost`,
      `0.1 ${way} at ${B}: 10 bytes delivered`,
    ]);
    const before = network.stats;
    end();
    await from.send(new Uint8Array(5), B, 7946);
    await network.clock.advance(1);
    assertEquals(lines.length, 3);
    assertEquals([before.sent, before.sentBytes, before.delivered, before.lost], [1, 10, 1, 1]);
    assertEquals([network.stats.sent, network.stats.sentBytes, network.stats.delivered], [2, 15, 2]);
  });

  test("a handler that throws makes advance reject, and the rest goes on", async () => {
    const network = new MemoryNetwork();
    let calls = 0;
    const inbox = new Inbox(() => {
      if (++calls === 1) throw new Error("from the handler");
    });
    await open(network.host(B), {}, inbox);
    const from = await open(network.host(A));
    for (const text of ["1", "2"]) await from.send(bytes(text), B, 7946);
    await assertRejects(() => network.clock.advance(1), Error, "from the handler");
    await network.clock.advance(1);
    assertEquals(inbox.texts, ["1", "2"]);
  });

  describe("a seed", () => {
    test("repeats a world event by event, and another gives another", async () => {
      const first = await worldOf(1);
      assertGreater(first.length, 1000);
      assertEquals(await worldOf(1), first);
      assertNotEquals(await worldOf(2), first);
    });

    test("gives the same world on every runtime", async () => {
      // Changes whenever what the network draws, or when, changes; it must not differ between runtimes.
      assertEquals(checksum((await worldOf(42)).join("\n")), GOLDEN);
    });

    test("out of range is refused, and so is a receive buffer", () => {
      for (const seed of [-1, 0.5, NaN, 2 ** 53]) {
        assertThrows(() => new MemoryNetwork({ seed }), RangeError, `current value is ${seed}`);
      }
      assertThrows(() => new MemoryNetwork({ receiveBuffer: -1 }), RangeError, "current value is -1");
      assertEquals(new MemoryNetwork({ seed: 9 }).seed, 9);
    });
  });
});

describe("SeededRandom", () => {
  test("gives even numbers, from the first one of each seed on", () => {
    const counts = new Array<number>(16).fill(0);
    for (let seed = 0; seed < 16_000; seed++) {
      const at = new SeededRandom(seed).below(16);
      counts[at] = (counts[at] ?? 0) + 1;
    }
    // Chi-square with 15 degrees of freedom: above 50 with a chance of 1 in 80,000.
    assertLess(counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0), 50);
  });

  test("tells seeds apart that differ in their upper half only", () => {
    assertNotEquals(new SeededRandom(1).bytes(8), new SeededRandom(1 + 2 ** 32).bytes(8));
    assertEquals(new SeededRandom(1).bytes(8), new SeededRandom(1).bytes(8));
  });

  test("draws nothing where nothing is to be decided", () => {
    const [random, other] = [new SeededRandom(3), new SeededRandom(3)];
    assertEquals([random.chance(0), random.chance(1), random.between(2, 2)], [false, true, 2]);
    assertEquals(random.next(), other.next());
    const drawn = Array.from({ length: 1000 }, () => random.between(5, 7));
    assert(drawn.every((value) => value >= 5 && value < 7));
  });
});

const GOLDEN = 2_403_855_709;

/** Two hosts, each with a socket on port 7946: what A's sends, B's inbox gets. */
async function pair(options: MemoryNetworkOptions = {}) {
  const network = new MemoryNetwork(options);
  const inbox = new Inbox();
  const host = network.host(B);
  const to = await open(host, {}, inbox);
  const from = await open(network.host(A));
  return { network, host, from, to, inbox };
}

function open(
  host: MemoryHost,
  options: Partial<BindOptions> = {},
  inbox: Inbox = new Inbox(),
): Promise<DatagramSocket> {
  return host.bind(optionsWith(options), inbox);
}

function optionsWith(options: Partial<BindOptions>): BindOptions {
  const plain = { host: "0.0.0.0", port: 7946, shared: false, sendsMulticast: true, multicastLoopback: true };
  return { ...plain, multicastTtl: 1, ...options };
}

async function assertBindFails(
  host: MemoryHost,
  options: Partial<BindOptions>,
  code: BindError["code"],
  text: string,
): Promise<void> {
  const error = await assertRejects(() => open(host, options), BindError, text);
  assertEquals(error.code, code);
}

async function assertRejectsWithCode(call: () => Promise<unknown>, code: string): Promise<void> {
  const error = await assertRejects(call, Error) as Error & { readonly code?: string };
  assertEquals(error.code, code);
  assertMatch(error.message, /^Cannot .* as .*: current value is /);
}

/** The trace of ten nodes that talk, answer, stall, crash and come back, on a network with every fault. */
async function worldOf(seed: number): Promise<string[]> {
  const network = new MemoryNetwork({
    seed,
    loss: 0.1,
    duplicate: 0.05,
    reorder: 0.1,
    truncate: 0.02,
    delay: { min: 0.05, max: 4 },
  });
  const trace: string[] = [];
  network.tap(({ time, from, to, receiver, data, fate }) => {
    trace.push(`${time} ${from.host}:${from.port}>${to.host}:${to.port} ${receiver} ${data.length} ${fate}`);
  });
  const start = async (address: string) => {
    const host = network.host(address);
    const own = await open(host, { port: 0 });
    await open(host, WITH_GROUP, {
      received: [],
      errors: [],
      message: async (data: Uint8Array, from: string, port: number) => {
        if (data.length !== 40) return;
        await undefined;
        await own.send(host.randomBytes(20), from, port);
      },
    } as unknown as Inbox);
    const beat = async () => {
      host.clock.setTimer(beat, 100 + (host.randomBytes(1)[0] ?? 0));
      await own.send(host.randomBytes(40), GROUP, 7946);
    };
    host.clock.setTimer(beat, 10);
    return host;
  };
  const hosts: MemoryHost[] = [];
  for (let i = 1; i <= 10; i++) hosts.push(await start(`10.0.0.${i}`));
  await network.clock.advance(1000);
  hosts[3]?.pause();
  network.partition([hosts.slice(0, 5).map(({ address }) => address), hosts.slice(5).map(({ address }) => address)]);
  await network.clock.advance(1000);
  hosts[3]?.resume();
  hosts[4]?.crash();
  network.heal();
  await start("10.0.0.5");
  await network.clock.advance(1000);
  return trace;
}

/** FNV-1a, 32 bits. */
function checksum(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}
