// MemoryNetwork: the rules of UDP.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { MemoryNetwork } from "../../../adapters/memory.ts";
import { systemClock } from "../../../adapters/system.ts";
import { bytes, Inbox } from "../../support/inbox.ts";
import {
  A,
  assertBindFails,
  assertRejectsWithCode,
  B,
  C,
  GROUP,
  open,
  optionsWith,
  pair,
  WITH_GROUP,
} from "../../support/memory_sockets.ts";

describe("MemoryNetwork", () => {
  describe("delivery", () => {
    test("happens by the clock, never within send, even without a delay", async () => {
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

    test("overwrites datagrams that a receiver keeps without a copy, unless configured otherwise", async () => {
      for (const poison of [true, false]) {
        const network = new MemoryNetwork({ poison });
        const kept: Uint8Array[] = [];
        await open(network.host(B), {}, new Inbox((data) => kept.push(data)));
        const from = await open(network.host(A));
        await from.send(Uint8Array.of(1, 2, 3), B, 7946);
        await network.clock.advance(1);
        assertEquals(kept[0], poison ? Uint8Array.of(0xaa, 0xaa, 0xaa) : Uint8Array.of(1, 2, 3));
        // Code that takes the whole buffer for the datagram would read other bytes.
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

    test("to no socket loses the datagram without an error", async () => {
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

    test("has a source: the bound address, or the host's own", async () => {
      const network = new MemoryNetwork();
      const inbox = new Inbox();
      await open(network.host(B), {}, inbox);
      const sockets = [await open(network.host(A)), await open(network.host(A), { host: A, port: 0 })];
      for (const socket of sockets) await socket.send(bytes("x"), B, 7946);
      await network.clock.advance(1);
      assertEquals(inbox.sources, sockets.map(({ port }) => `${A}:${port}`));
    });

    test("does not starve timers while a program sends without end", async () => {
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

    test("lets 1,000 awaited sends pass while time is held for them", async () => {
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
      // Another address of the host is another endpoint.
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

    test("that the system chooses are never in use, and come from the seed", async () => {
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

    test("that are shared deliver unicast to the socket that was bound last, and first to one bound to the address", async () => {
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

    test("and addresses that are invalid are refused", async () => {
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

    test("reaches a socket bound to the group, and none bound to a unicast address", async () => {
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
      // Datagrams from the network are not for members on the loopback interface.
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

    test("is refused on a network without it", async () => {
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

    test("is refused on an invalid interface or group, and the port stays free", async () => {
      const host = new MemoryNetwork().host(A);
      await assertBindFails(host, { ...WITH_GROUP, multicastInterface: B }, "EMULTICAST", B);
      await assertBindFails(host, { multicastInterface: B }, "EMULTICAST", B);
      await assertBindFails(host, { joinGroup: "10.1.1.1" }, "EMULTICAST", "10.1.1.1");
      await open(host);
    });
  });

  describe("send", () => {
    test("rejects a datagram that cannot be sent", async () => {
      const { from, network } = await pair();
      await assertRejectsWithCode(() => from.send(new Uint8Array(65_508), B, 7946), "EMSGSIZE");
      await assertRejectsWithCode(() => from.send(bytes("x"), "b.local", 7946), "EINVAL");
      await assertRejectsWithCode(() => from.send(bytes("x"), B, 0), "EINVAL");
      await assertRejectsWithCode(() => from.send(bytes("x"), "255.255.255.255", 7946), "EACCES");
      assertEquals(network.stats.sent, 0);
    });

    test("accepts 0 to 65,507 bytes", async () => {
      const { network, from, inbox } = await pair();
      for (const size of [0, 65_507]) await from.send(new Uint8Array(size), B, 7946);
      await network.clock.advance(1);
      assertEquals(inbox.received.map((data) => data.length), [0, 65_507]);
    });

    test("rejects when the socket closes meanwhile, and afterwards", async () => {
      const { from } = await pair();
      const underWay = from.send(bytes("x"), B, 7946);
      void from.close();
      await assertRejects(() => underWay, Error, "closed");
      await assertRejects(() => from.send(bytes("x"), B, 7946), Error, "closed");
    });
  });

  describe("names", () => {
    test("are looked up in a map that may change", async () => {
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
        { name: "lo", address: "127.0.0.1", internal: true, netmask: "255.0.0.0" },
        { name: "eth0", address: A, internal: false, netmask: "255.255.255.0" },
      ]);
    });

    test("has separate ports, so that one may be replaced", async () => {
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

  test("tap and stats show what is on the wire", async () => {
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

  test("a handler that throws makes advance reject, and the rest continues", async () => {
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
});
