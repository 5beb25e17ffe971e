// The send queue of an adapter: one datagram under way at a time, and errors of single datagrams.
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { setImmediate } from "node:timers";
import { describe, test } from "node:test";
import { SendQueue, type Transmit } from "../../adapters/send_queue.ts";
import type { Unsent } from "../../src/platform/datagram_socket.ts";
import { bytes } from "../support/inbox.ts";

interface Transmission {
  readonly text: string;
  readonly done: (unsent?: Unsent) => void;
}

describe("SendQueue", () => {
  test("has one datagram under way at a time, in the order of the calls", async () => {
    const { queue, transmissions } = pendingQueue();
    const sends = ["a", "b", "c"].map((text) => queue.send(bytes(text), "127.0.0.1", 9));
    assertEquals(texts(transmissions), ["a"]);
    transmissions[0]?.done();
    assertEquals(texts(transmissions), ["a", "b"]);
    transmissions[1]?.done();
    transmissions[2]?.done();
    await Promise.all(sends);
    assertEquals(texts(transmissions), ["a", "b", "c"]);
  });

  test("an error rejects its own datagram alone", async () => {
    const { queue, transmissions } = pendingQueue();
    const [failed, sent] = [queue.send(bytes("a"), "127.0.0.1", 9), queue.send(bytes("b"), "127.0.0.1", 9)];
    const error = new Error("no");
    const rejection = assertRejects(() => failed);
    transmissions[0]?.done([error]);
    transmissions[1]?.done();
    assertStrictEquals(await rejection, error);
    await sent;
  });

  test("lets the event loop turn after 16 datagrams, however they are sent", async () => {
    const turns: number[] = [];
    let turn = 0;
    const queue = new SendQueue((_data, _host, _port, done) => {
      turns.push(turn);
      done();
    });
    let ended = false;
    // Sixteen in each turn and no more: this callback counts them after the queue's own.
    function count(): void {
      turn++;
      if (!ended) setImmediate(count);
    }
    setImmediate(count);
    await Promise.all(Array.from({ length: 40 }, () => queue.send(bytes("x"), "127.0.0.1", 9)));
    for (let i = 0; i < 40; i++) await queue.send(bytes("x"), "127.0.0.1", 9);
    ended = true;
    assertEquals(turns.length, 80);
    const perTurn = Array.from({ length: turn + 1 }, (_, i) => turns.filter((at) => at === i).length);
    assertEquals(perTurn.filter((count) => count > 16), []);
  });

  test("keeps the order of 5,000 datagrams that are not awaited", async () => {
    const sent: string[] = [];
    const queue = new SendQueue((datagrams, _host, _port, done) => {
      for (const data of datagrams) sent.push(new TextDecoder().decode(data));
      done();
    });
    const expected = Array.from({ length: 5000 }, (_, i) => `${i}`);
    await Promise.all(expected.map((text) => queue.send(bytes(text), "127.0.0.1", 9)));
    assertEquals(sent, expected);
  });

  test("close rejects sends under way and those that wait, and nothing more is sent", async () => {
    const { queue, transmissions } = pendingQueue();
    const sends = ["a", "b"].map((text) => queue.send(bytes(text), "127.0.0.1", 9));
    queue.close();
    const settled = await Promise.allSettled(sends);
    assertEquals(settled.map(({ status }) => status), ["rejected", "rejected"]);
    transmissions[0]?.done();
    await assertRejects(() => queue.send(bytes("c"), "127.0.0.1", 9), Error, "closed");
    assertEquals(texts(transmissions), ["a"]);
  });

  test("passes several on together, in the order of the calls, and reports why some were not sent", async () => {
    const { queue, transmissions } = pendingQueue();
    const many = (...texts: string[]) => queue.sendMany(texts.map(bytes), "127.0.0.1", 9);
    const sends = [many("a", "b"), queue.send(bytes("c"), "127.0.0.1", 9), many("d", "e")];
    assertEquals(texts(transmissions), ["a,b"]);
    transmissions[0]?.done();
    transmissions[1]?.done();
    const error = new Error("no");
    transmissions[2]?.done([undefined, error]);
    assertEquals(await Promise.all(sends), [undefined, undefined, [undefined, error]]);
    assertEquals(texts(transmissions), ["a,b", "c", "d,e"]);
  });

  test("lets the event loop turn after 16 datagrams that are sent together", async () => {
    const { queue, transmissions } = pendingQueue();
    const group = Array.from({ length: 10 }, () => bytes("x"));
    const sends = [queue.sendMany(group, "127.0.0.1", 9), queue.sendMany(group, "127.0.0.1", 9)];
    transmissions[0]?.done();
    await sends[0];
    assertEquals(transmissions.length, 1);
    await new Promise((resolve) => setImmediate(resolve));
    assertEquals(transmissions.length, 2);
    transmissions[1]?.done();
    await sends[1];
  });

  test("reports each of several datagrams that cannot be sent, and never rejects", async () => {
    const { queue } = pendingQueue();
    const two = [bytes("a"), bytes("b")];
    const cases = [queue.sendMany(two, "localhost", 9), queue.sendMany(two, "127.0.0.1", 0)];
    cases.push(queue.sendMany(two, "127.0.0.1", 9), queue.sendMany(two, "127.0.0.1", 9));
    queue.close();
    cases.push(queue.sendMany(two, "127.0.0.1", 9));
    const unsent = await Promise.all(cases);
    assertEquals(unsent.map((errors) => errors?.map((error) => error?.name)), [
      ["TypeError", "TypeError"],
      ["RangeError", "RangeError"],
      ...Array.from({ length: 3 }, () => ["Error", "Error"]),
    ]);
  });

  for (const port of [0, -1, 1.5, 65_536, NaN]) {
    test(`refuses port ${port}`, async () => {
      const { queue, transmissions } = pendingQueue();
      await assertRejects(() => queue.send(bytes("a"), "127.0.0.1", port), RangeError, `current value is ${port}`);
      assertEquals(transmissions, []);
    });
  }

  test("sends once more to a group that cannot be reached, where the interface can be set again", async () => {
    let renewals = 0;
    let isBack = true;
    const tries: string[] = [];
    const failing = new Set(["239.0.0.1", "10.0.0.1"]);
    const queue = new SendQueue((_data, host, _port, done) => {
      tries.push(host);
      done(failing.has(host) ? [new Error("no")] : undefined);
    }, {
      renew: () => {
        renewals++;
        if (isBack) failing.delete("239.0.0.1");
        return isBack;
      },
    });
    await assertRejects(() => queue.send(bytes("a"), "10.0.0.1", 9));
    assertEquals(renewals, 0);
    await queue.send(bytes("a"), "239.0.0.1", 9);
    assertEquals([renewals, tries], [1, ["10.0.0.1", "239.0.0.1", "239.0.0.1"]]);
    failing.add("239.0.0.1");
    isBack = false;
    await assertRejects(() => queue.send(bytes("a"), "239.0.0.1", 9));
    await assertRejects(() => queue.send(bytes("a"), "239.0.0.1", 9));
    // Not again within 100 ms, unless this machine stalled for so long.
    assertEquals(tries.filter((host) => host === "239.0.0.1").length, 4);
    queue.close();
  });

  test("is of one family", async () => {
    const sent: string[] = [];
    const queue = new SendQueue((_data, host, _port, done) => {
      sent.push(host);
      done();
    }, { family: 6 });
    for (let i = 0; i < 2000; i++) await queue.send(bytes("a"), `fd00::${i.toString(16)}`, 9);
    await queue.send(bytes("a"), "fe80::1%eth0", 9);
    assertEquals(sent.length, 2001);
    for (const host of ["127.0.0.1", "fd00::1%eth0", "::ffff:1.2.3.4", "::g", "localhost", ""]) {
      await assertRejects(() => queue.send(bytes("a"), host, 9), TypeError, "IPv6 literal");
    }
  });

  for (const host of ["localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "::1", " 1.2.3.4", ""]) {
    test(`refuses host "${host}"`, async () => {
      const { queue, transmissions } = pendingQueue();
      await assertRejects(() => queue.send(bytes("a"), host, 9), TypeError, `current value is "${host}"`);
      assertEquals(transmissions, []);
    });
  }
});

function pendingQueue(): { readonly queue: SendQueue; readonly transmissions: Transmission[] } {
  const transmissions: Transmission[] = [];
  const transmit: Transmit = (datagrams, _host, _port, done) => {
    transmissions.push({ text: datagrams.map((data) => new TextDecoder().decode(data)).join(), done });
  };
  return { queue: new SendQueue(transmit), transmissions };
}

function texts(transmissions: readonly Transmission[]): string[] {
  return transmissions.map(({ text }) => text);
}
