// Close rules: the part of the adapter contract about `close`.
import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import type { DatagramSocket } from "../../src/platform/datagram_socket.ts";
import { bytes, Inbox } from "../support/inbox.ts";
import type { ContractKit } from "./kit.ts";

/** The rules of `close`. */
export function closeRules(kit: ContractKit): void {
  const { address } = kit;

  kit.test("a second close returns the same promise", async (open) => {
    const socket = await open();
    const closing = socket.close();
    assertStrictEquals(socket.close(), closing);
    await closing;
    assertStrictEquals(socket.close(), closing);
  });

  kit.test("the port is free when close has resolved", async (open) => {
    const port = await kit.freePort();
    for (let round = 0; round < 10; round++) {
      const socket = await open({ port });
      assertEquals(socket.port, port);
      await socket.close();
    }
  });

  kit.test("a send after close rejects", async (open) => {
    const [to, from] = [await open(), await open()];
    const closing = from.close();
    await assertRejects(() => from.send(bytes("late"), address, to.port), Error, "closed");
    await closing;
    await assertRejects(() => from.send(bytes("late"), address, to.port), Error, "closed");
  });

  kit.test("sends under way settle, and those that were not sent reject", async (open) => {
    const inbox = new Inbox();
    const [to, from] = [await open({}, inbox), await open()];
    const sends = Array.from({ length: 100 }, () => from.send(bytes("under way"), address, to.port));
    const settled = Promise.allSettled(sends);
    await from.close();
    const rejected = (await settled).filter(({ status }) => status === "rejected").length;
    const marker = await open();
    await marker.send(bytes("marker"), address, to.port);
    await kit.until(() => inbox.texts.includes("marker"), "the marker arrives");
    // A datagram may have been sent before the system confirmed it: its send rejects, and it arrives.
    const arrived = inbox.received.length - 1;
    assert(arrived >= 100 - rejected, `${rejected} of 100 rejected, ${arrived} arrived`);
  });

  kit.test("no callback comes after close, not even when a callback closes", async (open) => {
    let socket: DatagramSocket | undefined = undefined;
    let closing: Promise<void> | undefined;
    const inbox = new Inbox(() => closing = socket?.close());
    const to = socket = await open({}, inbox);
    const from = await open();
    await Promise.all(Array.from({ length: 50 }, () => from.send(bytes("again"), address, to.port)));
    await kit.until(() => closing !== undefined, "a datagram arrives");
    await closing;
    await from.send(bytes("after"), address, to.port);
    const heard = new Inbox();
    const marker = await open({}, heard);
    await from.send(bytes("marker"), address, marker.port);
    await kit.until(() => heard.received.length === 1, "the marker arrives");
    assertEquals(inbox.received.length, 1);
    assertEquals(inbox.errors, []);
  });
}
