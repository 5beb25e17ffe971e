// Bind rules: the part of the adapter contract about `bind`.
import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { bytes, Inbox } from "../support/inbox.ts";
import type { ContractKit } from "./kit.ts";

const NO_LITERALS = {
  4: ["localhost", "300.1.1.1", "127.1", ""],
  6: ["localhost", "[::1]", "::g", "::1%lo", "::ffff:127.0.0.1", "fe80::1", "fe80::1%", ""],
} as const;

/** The rules of `bind`. */
export function bindRules(kit: ContractKit): void {
  const { address, senders } = kit;
  const { adapter, fallback, receiveBuffer = true } = kit.contract;

  kit.test("port 0 becomes a real port, and the socket has its address and the name of its adapter", async (open) => {
    const socket = await open();
    assertEquals(socket.host, address);
    assert(Number.isInteger(socket.port) && socket.port > 0 && socket.port < 65536, `port ${socket.port}`);
    assertEquals(socket.adapter, adapter);
    assertEquals(socket.unmet, []);
    assertEquals(socket.fallback, fallback);
  });

  kit.test(`host ${kit.any} receives at the host's own address`, async (open) => {
    const inbox = new Inbox();
    const [to, from] = [await open({ host: kit.any }, inbox), await open()];
    assertEquals(to.host, kit.any);
    await from.send(bytes("hello"), address, to.port);
    await kit.until(() => inbox.received.length > 0, "the datagram arrives");
  });

  kit.test("a port in use is refused, unless both sockets share it", async (open) => {
    const alone = await open();
    const error = await kit.assertBindFails({ port: alone.port }, "EADDRINUSE");
    const place = kit.family === 4 ? `${address}:${alone.port}` : `[${address}]:${alone.port}`;
    assert(error.message.includes(place), error.message);
    await kit.assertBindFails({ port: alone.port, shared: true }, "EADDRINUSE");
    const shared = await open({ shared: true });
    await kit.assertBindFails({ port: shared.port }, "EADDRINUSE");
    assertEquals((await open({ port: shared.port, shared: true })).port, shared.port);
  });

  test("an address of another host is refused", async () => {
    const error = await kit.assertBindFails({ host: kit.nowhere }, "EADDRNOTAVAIL");
    assert(error.message.includes(kit.nowhere), error.message);
  });

  for (const host of NO_LITERALS[kit.family]) {
    test(`a host that is no literal for a bind is refused: "${host}"`, async () => {
      await kit.assertBindFails({ host }, "EADDRNOTAVAIL");
    });
  }

  for (const port of [-1, 1.5, 65_536, NaN]) {
    test(`an invalid port is refused: ${port}`, async () => {
      const error = await kit.assertBindFails({ port }, "EUNKNOWN");
      assert(error.message.includes(`${port}`), error.message);
    });
  }

  kit.test("a receive buffer is granted or listed as unmet", async (open) => {
    const inbox = new Inbox();
    const socket = await open({ receiveBuffer: 1 << 20 }, inbox);
    assertEquals(socket.unmet, receiveBuffer ? [] : ["receiveBuffer"]);
    await socket.send(bytes("to myself"), address, socket.port);
    await kit.until(() => inbox.received.length > 0, "the datagram arrives");
  });

  kit.test("a socket has the size of its receive buffer, where the runtime knows it", async (open) => {
    // Linux grants 212,992 by default, and was never seen to grant less than what is requested here.
    const [small, large, plain] = [
      await open({ receiveBuffer: 131_072 }),
      await open({ receiveBuffer: 1 << 30 }),
      await open(),
    ];
    const granted = [small, large, plain].map((socket) => socket.receiveBuffer);
    if (!receiveBuffer) return assertEquals(granted, [undefined, undefined, undefined]);
    assertEquals(granted[0], 131_072);
    for (const bytes of granted) assert(bytes !== undefined && bytes > 0 && bytes <= 1 << 30, `${bytes} bytes`);
  });

  test("options that the adapter does not support are refused with the reason", async () => {
    for (const options of senders.flatMap((sender) => [sender, { ...sender, multicastTtl: 4 }])) {
      const reason = kit.cannot(options);
      if (reason === undefined) await kit.withSockets(async (open) => void await open(options));
      else {
        const error = await kit.assertBindFails(options, "EUNSUPPORTED");
        assert(error.message.includes(reason), error.message);
      }
    }
  });

  kit.test("no callback comes before bind has resolved", async (open) => {
    const from = await open();
    const port = await kit.freePort();
    for (let round = 0; round < 20; round++) {
      let bound = false;
      let early = 0;
      const inbox = new Inbox(() => early += bound ? 0 : 1);
      const sends = Promise.all(Array.from({ length: 20 }, () => from.send(bytes("now"), address, port)));
      const to = await open({ port }, inbox);
      bound = true;
      await from.send(bytes("last"), address, port);
      await kit.until(() => inbox.texts.includes("last"), "the last datagram arrives");
      await sends;
      assertEquals(early, 0);
      await to.close();
    }
  });
}
