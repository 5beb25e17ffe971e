// Send rules: the part of the adapter contract about `send` and received datagrams.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { sendAll } from "../../src/net/send_all.ts";
import { MAX_RECEIVE } from "../../src/platform/datagram_socket.ts";
import { bytes, Inbox } from "../support/inbox.ts";
import type { ContractKit } from "./kit.ts";

const NO_DESTINATIONS = {
  4: ["localhost", "300.1.1.1", "::1", ""],
  6: ["localhost", "::g", "[::1]", "127.0.0.1", "::ffff:127.0.0.1", "fd00::1%lo", "ff12::1%lo", ""],
} as const;

const MAX_SENDS = 100_000;

/** The rules of `send` and of the `message` handler. */
export function sendRules(kit: ContractKit): void {
  const { address, contract } = kit;

  kit.test("a datagram arrives with its source, and an answer to that source arrives", async (open) => {
    const [asked, answered] = [new Inbox(), new Inbox()];
    const [server, client] = [await open({}, asked), await open({}, answered)];
    await client.send(bytes("question"), address, server.port);
    await kit.until(() => asked.received.length === 1, "the question arrives");
    assertEquals(asked.sources, [`${address}:${client.port}`]);
    await server.send(bytes("answer"), address, client.port);
    await kit.until(() => answered.received.length === 1, "the answer arrives");
    assertEquals([answered.texts, answered.sources], [["answer"], [`${address}:${server.port}`]]);
  });

  kit.test("200 sends that are not awaited leave in the order of the calls", async (open) => {
    const inbox = new Inbox();
    const [to, from] = [await open({}, inbox), await open()];
    const expected = Array.from({ length: 200 }, (_, i) => `${i}`);
    // Two destinations and two sizes, so that no two successive sends are alike to the runtime.
    const other = await open();
    const sends: Promise<void>[] = [];
    for (const text of expected) {
      sends.push(from.send(bytes(text), address, to.port));
      sends.push(from.send(new Uint8Array(1400), address, other.port));
    }
    await Promise.all(sends);
    await kit.until(() => inbox.received.length === 200, "200 datagrams arrive");
    assertEquals(inbox.texts, expected);
  });

  kit.test("several datagrams that are sent together leave in the order of the calls, among single ones", async (open) => {
    const inbox = new Inbox();
    const [to, from] = [await open({}, inbox), await open()];
    const expected = Array.from({ length: 200 }, (_, i) => `${i}`);
    const sends: Promise<unknown>[] = [];
    const order: string[] = [];
    // 1 to 16 at a time, and a single one after each.
    for (let i = 0, count = 1; i < expected.length; i += count, count = (count * 5) % 17) {
      const group = expected.slice(i, i + count).map(bytes);
      sends.push(sendAll(from, group, address, to.port));
      sends.push(from.send(bytes(`after ${i + group.length - 1}`), address, to.port));
      order.push(...expected.slice(i, i + count), `after ${i + group.length - 1}`);
    }
    assertEquals((await Promise.all(sends)).filter((unsent) => unsent !== undefined), []);
    await kit.until(() => inbox.received.length === order.length, "all arrive");
    assertEquals(inbox.texts, order);
  });

  kit.test("one of several that is too long for UDP, or for a closed port, does not affect the others", async (open) => {
    const inbox = new Inbox();
    const [to, from, dead] = [await open({}, inbox), await open(), await open()];
    await dead.close();
    const long = new Uint8Array(kit.maxDatagram + 1);
    for (let round = 0; round < 5; round++) {
      await sendAll(from, [bytes("dead"), bytes("dead")], address, dead.port);
      if (round % 2 === 0) await kit.step();
      const unsent = await sendAll(from, [bytes("a"), bytes("b"), long, bytes("c")], address, to.port);
      assertEquals(unsent?.map((error) => error instanceof Error), [false, false, true, false]);
    }
    await kit.until(() => inbox.received.length === 15, "15 datagrams arrive");
    assertEquals(inbox.texts, Array.from({ length: 5 }, () => ["a", "b", "c"]).flat());
  });

  kit.test("several without a destination, or after the close, have an error each", async (open) => {
    const [to, from] = [await open(), await open()];
    const two = [bytes("a"), bytes("b")];
    const failures = async (host: string, port: number) =>
      (await sendAll(from, two, host, port))?.map((error) => error instanceof Error);
    assertEquals(await failures("localhost", to.port), [true, true]);
    assertEquals(await failures(address, 65_536), [true, true]);
    await from.close();
    assertEquals(await failures(address, to.port), [true, true]);
  });

  kit.test("a closed port does not affect the next destination", async (open) => {
    const inbox = new Inbox();
    const trouble = new Inbox();
    const [to, from] = [await open({}, inbox), await open({}, trouble)];
    const dead = await open();
    await dead.close();
    const expected: string[] = [];
    for (let i = 0; i < 20; i++) {
      const text = `${i}`;
      expected.push(text);
      // One pair in succession, one with time between: the refusal arrives before or after the next send.
      const sends = [from.send(bytes("dead"), address, dead.port)];
      if (i % 2 === 0) await kit.step();
      sends.push(from.send(bytes(text), address, to.port));
      await Promise.all(sends);
    }
    await kit.until(() => inbox.received.length === 20, "20 datagrams arrive");
    assertEquals(inbox.texts, expected);
    assertEquals(trouble.errors, []);
  });

  for (const size of [0, 1, 1400, MAX_RECEIVE]) {
    kit.test(`a datagram of ${size} bytes arrives whole`, async (open) => {
      const inbox = new Inbox();
      const [to, from] = [await open({}, inbox), await open()];
      const data = Uint8Array.from({ length: size }, (_, i) => i * 31);
      await from.send(data, address, to.port);
      await kit.until(() => inbox.received.length === 1, "the datagram arrives");
      assertEquals(inbox.received, [data]);
    });
  }

  kit.test("a longer datagram arrives whole, or is still longer than MAX_RECEIVE", async (open) => {
    const inbox = new Inbox();
    const [to, from] = [await open({}, inbox), await open()];
    for (const size of [MAX_RECEIVE + 1, 5000, kit.maxDatagram]) {
      inbox.received.length = 0;
      const data = Uint8Array.from({ length: size }, (_, i) => i * 31);
      await from.send(data, address, to.port);
      await kit.until(() => inbox.received.length === 1, `the datagram of ${size} bytes arrives`);
      const [length = 0] = inbox.received.map((received) => received.length);
      assert(length > MAX_RECEIVE && length <= size, `${length} of ${size} bytes`);
      assertEquals(inbox.received, [data.slice(0, length)]);
    }
  });

  kit.test("a datagram that is too long for UDP rejects, and the next one arrives", async (open) => {
    const inbox = new Inbox();
    const trouble = new Inbox();
    const [to, from] = [await open({}, inbox), await open({}, trouble)];
    await assertRejects(() => from.send(new Uint8Array(kit.maxDatagram + 1), address, to.port), Error);
    await from.send(bytes("next"), address, to.port);
    await kit.until(() => inbox.received.length === 1, "the next datagram arrives");
    assertEquals(inbox.texts, ["next"]);
    assertEquals(trouble.errors, []);
  });

  const noPlaces = NO_DESTINATIONS[kit.family].map((host) => [host, 9] as const);
  for (const [host, port] of [...noPlaces, [address, 0], [address, 65536]] as const) {
    kit.test(`an invalid destination rejects and does not throw: "${host}":${port}`, async (open) => {
      const inbox = new Inbox();
      const [to, from] = [await open({}, inbox), await open()];
      await assertRejects(() => from.send(bytes("lost"), host, port), Error);
      await from.send(bytes("next"), address, to.port);
      await kit.until(() => inbox.received.length === 1, "the next datagram arrives");
      assertEquals(inbox.texts, ["next"]);
    });
  }

  kit.test("the sender's memory may be used again once the promise has resolved, and may be part of a larger buffer", async (open) => {
    const inbox = new Inbox();
    const [to, from] = [await open({}, inbox), await open()];
    const memory = new Uint8Array(64);
    for (const text of ["one", "two", "three"]) {
      memory.fill(0xff);
      const { written } = new TextEncoder().encodeInto(text, memory.subarray(7));
      await from.send(memory.subarray(7, 7 + written), address, to.port);
      memory.fill(0xff);
    }
    await kit.until(() => inbox.received.length === 3, "three datagrams arrive");
    assertEquals(inbox.texts, ["one", "two", "three"]);
  });

  kit.test("the receiver may write to the datagram, and its slice is a copy", async (open) => {
    const slices: Uint8Array[] = [];
    const inbox = new Inbox((data) => {
      slices.push(data.slice());
      data.fill(0xff);
    });
    const [to, from] = [await open({}, inbox), await open()];
    for (const text of ["one", "two", "three"]) await from.send(bytes(text), address, to.port);
    await kit.until(() => inbox.received.length === 3, "three datagrams arrive");
    assertEquals(inbox.texts, ["one", "two", "three"]);
    assertEquals(slices.map((slice) => new TextDecoder().decode(slice)), ["one", "two", "three"]);
  });

  // Where time is simulated, no time passes while a test sends.
  if (contract.step === undefined) {
    kit.test("awaiting one send after another delays neither timers nor receives", async (open) => {
      const inbox = new Inbox();
      const [to, from] = [await open({}, inbox), await open()];
      let fired = false;
      const timer = setTimeout(() => fired = true, 1);
      let sends = 0;
      while ((!fired || inbox.received.length === 0) && sends < MAX_SENDS) {
        await from.send(bytes("again"), address, to.port);
        sends++;
      }
      clearTimeout(timer);
      assert(fired, `no timer fired during ${sends} sends`);
      assert(inbox.received.length > 0, `nothing was received during ${sends} sends`);
    });
  }
}
