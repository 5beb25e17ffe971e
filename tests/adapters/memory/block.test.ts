// MemoryNetwork: a host whose event loop is blocked.
import { describe, test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { MemoryNetwork } from "../../../adapters/memory.ts";
import { bytes, Inbox } from "../../support/inbox.ts";
import { A, B, open, pair } from "../../support/memory_sockets.ts";

/** Host B, with a record of its calls on both clocks. */
function noted() {
  const network = new MemoryNetwork();
  const host = network.host(B);
  const calls: string[] = [];
  const note = (what: string) => calls.push(`${what} ${network.clock.now()} ${host.clock.now()}`);
  return { network, host, calls, note };
}

describe("a blocked host", () => {
  test("runs ahead alone, and receives nothing until the network has caught up", async () => {
    const { network, host, calls, note } = noted();
    await open(host, {}, new Inbox((data) => note(new TextDecoder().decode(data))));
    const from = await open(network.host(A));
    host.clock.setTimer(() => {
      note("before");
      host.block(30);
      host.block(10);
      note("after");
      host.clock.setTimer(() => note("at once"), 0);
      host.clock.setTimer(() => note("later"), 5);
      host.clock.setTurnEnd(() => note("turn end"));
    }, 10);
    host.clock.setTimer(() => note("late"), 20);
    const cancelled = host.clock.setTimer(() => note("cancelled"), 20);
    await network.clock.advance(15);
    await from.send(bytes("datagram"), B, 7946);
    await network.clock.advance(34);
    assertEquals(calls, ["before 10 10", "after 10 50"]);
    assertEquals(host.clock.now(), 50);
    assertEquals(host.state, "running");
    cancelled.cancel();
    await network.clock.advance(100);
    assertEquals(calls.slice(2), ["late 50 50", "at once 50 50", "datagram 50 50", "turn end 50 50", "later 55 55"]);
  });

  test("reads up to 32 datagrams in a row, as libuv does, before its timers", async () => {
    const { network, host, calls } = noted();
    network.set({ delay: { min: 0, max: 0 } });
    let received = 0;
    await open(
      host,
      {},
      new Inbox(() => {
        received++;
        host.block(10);
      }),
    );
    const from = await open(network.host(A));
    for (let i = 0; i < 70; i++) await from.send(bytes(`${i}`), B, 7946);
    const tick = () => {
      calls.push(`${received} at ${host.clock.now()}`);
      host.clock.setTimer(tick, 50);
    };
    host.clock.setTimer(tick, 50);
    await network.clock.advance(750);
    assertEquals(calls, ["32 at 320", "64 at 640", "70 at 700", "70 at 750"]);
    assertEquals(network.stats.overrun, 0);
  });

  test("loses datagrams that its receive buffer cannot hold meanwhile", async () => {
    const { network, from, host, inbox } = await pair();
    host.block(10);
    for (let i = 0; i < 100; i++) await from.send(new Uint8Array(1400), B, 7946);
    await network.clock.advance(10);
    assertEquals([inbox.received.length, network.stats.overrun], [92, 8]);
  });

  test("sends its later datagrams by that much later, in order", async () => {
    const { network, host, to } = await pair({ delay: { min: 1, max: 1 } });
    const times: string[] = [];
    const inbox = new Inbox((data) => times.push(`${new TextDecoder().decode(data)} ${network.clock.now()}`));
    await open(network.host(A), { port: 7947 }, inbox);
    await to.send(bytes("before"), A, 7947);
    host.block(20);
    await to.send(bytes("after"), A, 7947);
    await network.clock.advance(5);
    await to.send(bytes("while"), A, 7947);
    await network.clock.advance(100);
    assertEquals(times, ["before 1", "after 21", "while 21"]);
  });

  test("stays paused when it was paused meanwhile, and blocked when it was resumed", async () => {
    const { network, host, calls, note } = noted();
    host.clock.setTimer(() => note("timer"), 1);
    host.block(10);
    host.pause();
    await network.clock.advance(20);
    assertEquals(calls, []);
    host.resume();
    await network.clock.advance(0);
    assertEquals(calls, ["timer 20 20"]);
    host.clock.setTimer(() => note("timer"), 1);
    host.block(10);
    host.pause();
    host.resume();
    await network.clock.advance(9);
    assertEquals(calls.length, 1);
    await network.clock.advance(1);
    assertEquals(calls[1], "timer 30 30");
  });

  test("leaves nothing behind when it crashes", async () => {
    const { network, from, host, inbox } = await pair();
    host.block(10);
    await from.send(bytes("x"), B, 7946);
    await network.clock.advance(1);
    host.crash();
    assertEquals(network.clock.pending, 0);
    host.block(10);
    assertEquals(network.clock.pending, 0);
    await network.clock.advance(20);
    assertEquals(inbox.received.length, 0);
  });

  test("refuses invalid times", () => {
    const { host } = noted();
    for (const ms of [-1, NaN, Infinity]) {
      assertThrows(() => host.block(ms), RangeError, `from 0 up: current value is ${ms}`);
    }
    host.block(0);
    assertEquals(host.clock.now(), 0);
  });
});
