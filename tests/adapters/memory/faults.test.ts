// MemoryNetwork: faults of the network, and failures of hosts.
import { describe, test } from "node:test";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertGreater,
  assertLess,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { MemoryNetwork } from "../../../adapters/memory.ts";
import type { DatagramSocket } from "../../../src/platform/datagram_socket.ts";
import { bytes, Inbox } from "../../support/inbox.ts";
import { A, B, C, GROUP, open, pair, WITH_GROUP } from "../../support/memory_sockets.ts";

describe("MemoryNetwork", () => {
  describe("faults", () => {
    test("lose, duplicate and reorder about as many as configured", async () => {
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
      // A timer is late by at most one step of the clock.
      assertLess(Math.max(...took), 20.002);
      assertGreater(Math.max(...took) - Math.min(...took), 10);
    });

    test("of order delay some so that later ones overtake them, by no more than configured", async () => {
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

    test("of length truncate datagrams", async () => {
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

    test("affect each receiver of one multicast independently", async () => {
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

    test("can select the datagrams to lose", async () => {
      const { network, from, inbox } = await pair({ drop: ({ data }) => data[0] === 50 });
      for (const text of ["1", "2", "3"]) await from.send(bytes(text), B, 7946);
      network.set({ drop: undefined });
      await from.send(bytes("2"), B, 7946);
      await network.clock.advance(1);
      assertEquals(inbox.texts, ["1", "3", "2"]);
      assertEquals(network.stats.lost, 1);
    });

    test("can be for one direction, and the latest setting counts", async () => {
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
    test("separates groups of hosts until it is healed, and a host in no group reaches all", async () => {
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

    test("loses datagrams under way", async () => {
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

  describe("a suspended machine", () => {
    test("hears nothing, and its clock and timers stop while its wall clock continues", async () => {
      const network = new MemoryNetwork();
      const host = network.host(B);
      const calls: string[] = [];
      await open(host, {}, new Inbox((data) => calls.push(new TextDecoder().decode(data))));
      const from = await open(network.host(A));
      host.clock.setTimer(() => calls.push("timer 200"), 200);
      host.clock.setTimer(() => calls.push("timer 20"), 20);
      const cancelled = host.clock.setTimer(() => calls.push("cancelled"), 10);
      host.clock.setTurnEnd(() => calls.push("turn end"));
      await network.clock.advance(5);
      host.suspend();
      host.suspend();
      assertEquals(host.state, "paused");
      await from.send(bytes("lost"), B, 7946);
      await network.clock.advance(1000);
      cancelled.cancel();
      host.clock.setTimer(() => calls.push("timer 1"), 1);
      assertEquals([host.clock.now(), host.clock.wall?.(), calls], [5, 1005, ["turn end"]]);
      assertEquals(network.stats.unreachable, 1);
      host.resume();
      host.resume();
      assertEquals([host.clock.now(), host.clock.wall?.()], [5, 1005]);
      await from.send(bytes("heard"), B, 7946);
      await network.clock.advance(14);
      assertEquals(calls, ["turn end", "heard", "timer 1"]);
      await network.clock.advance(2);
      assertEquals(calls.slice(3), ["timer 20"]);
      host.suspend();
      await network.clock.advance(1000);
      host.resume();
      await network.clock.advance(178);
      assertEquals(calls.slice(4), []);
      await network.clock.advance(2);
      assertEquals([calls.slice(4), host.clock.now()], [["timer 200"], 201]);
    });

    test("has a clock that never goes back, not even by its last digits", async () => {
      const network = new MemoryNetwork();
      const host = network.host(B);
      let last = host.clock.now();
      const look = () => {
        const now = host.clock.now();
        assert(now >= last, `${now} after ${last}`);
        last = now;
      };
      for (let i = 1; i <= 200; i++) {
        await network.clock.advance(i * 0.7);
        look();
        host.suspend();
        look();
        await network.clock.advance(i * 1.3);
        host.resume();
        look();
        host.block(i * 0.1);
        look();
      }
    });

    test("continues with the callback that had blocked it", async () => {
      const network = new MemoryNetwork();
      const host = network.host(B);
      const calls: number[] = [];
      host.clock.setTimer(() => host.block(100), 10);
      host.clock.setTimer(() => calls.push(host.clock.now(), network.clock.now()), 20);
      await network.clock.advance(50);
      host.suspend();
      const before = host.clock.now();
      await network.clock.advance(1000);
      host.resume();
      assertEquals([before, host.clock.now(), calls], [110, 110, []]);
      await network.clock.advance(59);
      assertEquals(calls, []);
      await network.clock.advance(2);
      assertEquals(calls.map(Math.round), [110, 1110]);
      host.suspend();
      host.crash();
      host.resume();
      assertEquals([host.state, network.clock.pending], ["crashed", 0]);
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

    test("loses datagrams that its receive buffer cannot hold", async () => {
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

    test("may be paused again while it catches up", async () => {
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

    test("is the only paused process of its host", async () => {
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
    test("sends nothing more, and another can replace it", async () => {
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

    test("loses the datagrams in its receive buffer", async () => {
      const { network, from, inbox, host } = await pair();
      host.pause();
      await from.send(bytes("waits"), B, 7946);
      await network.clock.advance(1);
      host.crash();
      await network.clock.advance(1);
      assertEquals([inbox.received.length, network.stats.unreachable, network.clock.pending], [0, 1, 0]);
    });
  });
});
