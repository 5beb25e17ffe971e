// Bun's sockets: what loopback cannot show, on a fake socket that behaves as Bun's was measured to.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, test } from "node:test";
import { bindBun } from "../../adapters/bun.ts";
import { bindBunWith, type BunSocket, type BunSocketOptions } from "../../adapters/bun_socket.ts";
import { BindError, type BindOptions } from "../../src/platform/datagram_socket.ts";
import { bytes, Inbox } from "../support/inbox.ts";
import { LOCAL } from "../support/sockets.ts";

/** The results of `send`, call by call; after that it sends everything. */
type Answer = boolean | Error;

class FakeSocket implements BunSocket {
  readonly port = 4242;
  readonly sent: string[] = [];
  readonly answers: Answer[] = [];
  readonly options: BunSocketOptions;
  readonly memberships: string[] = [];
  readonly interfaces: string[] = [];
  closed = false;
  hasInterface = true;

  constructor(options: BunSocketOptions) {
    this.options = options;
  }

  send(data: Uint8Array): boolean {
    const answer = this.answers.shift() ?? true;
    if (answer instanceof Error) throw answer;
    if (answer) this.sent.push(new TextDecoder().decode(data));
    return answer;
  }

  /** Stops at a datagram that would block, and before one that fails, which the next call reports. */
  sendMany(packets: readonly (Uint8Array | number | string)[]): number {
    let taken = 0;
    for (const data of packets) {
      if (!(data instanceof Uint8Array)) continue;
      if (taken > 0 && this.answers[0] instanceof Error) return taken;
      if (!this.send(data)) return taken;
      taken++;
    }
    return taken;
  }

  close(): void {
    this.closed = true;
  }

  addMembership(group: string, interfaceAddress?: string): boolean {
    this.memberships.push(`+${group} on ${interfaceAddress}`);
    return true;
  }

  dropMembership(group: string, interfaceAddress?: string): boolean {
    this.memberships.push(`-${group} on ${interfaceAddress}`);
    return true;
  }

  setMulticastInterface(interfaceAddress: string): boolean {
    this.interfaces.push(interfaceAddress);
    return this.hasInterface;
  }

  setMulticastTTL(ttl: number): number {
    return ttl;
  }

  setMulticastLoopback(on: boolean): boolean {
    return on;
  }
}

describe("bindBun", () => {
  test("sends datagrams that would have blocked again, in order", async () => {
    const { socket, raw } = await bound();
    raw.answers.push(true, false, false);
    const sends = ["a", "b", "c"].map((text) => socket.send(bytes(text), "127.0.0.1", 9));
    assertEquals(raw.sent, ["a"]);
    raw.options.socket.drain(raw);
    assertEquals(raw.sent, ["a"]);
    raw.options.socket.drain(raw);
    await Promise.all(sends);
    assertEquals(raw.sent, ["a", "b", "c"]);
    raw.options.socket.drain(raw);
    assertEquals(raw.sent, ["a", "b", "c"]);
  });

  test("a close rejects sends that would have blocked, and a late drain sends nothing", async () => {
    const { socket, raw } = await bound();
    raw.answers.push(false);
    const send = assertRejects(() => socket.send(bytes("a"), "127.0.0.1", 9), Error, "closed");
    await socket.close();
    await send;
    raw.options.socket.drain(raw);
    assertEquals([raw.sent, raw.closed], [[], true]);
  });

  test("an error of an earlier destination loses no datagram", async () => {
    const { socket, raw } = await bound();
    raw.answers.push(failure("ECONNREFUSED"), failure("EHOSTUNREACH"));
    await socket.send(bytes("a"), "127.0.0.1", 9);
    assertEquals(raw.sent, ["a"]);
  });

  test("an error that remains belongs to the datagram", async () => {
    const { socket, raw } = await bound();
    raw.answers.push(failure("EMSGSIZE"), failure("EMSGSIZE"), failure("EMSGSIZE"));
    await assertRejects(() => socket.send(bytes("a"), "127.0.0.1", 9), Error, "EMSGSIZE");
    await socket.send(bytes("b"), "127.0.0.1", 9);
    assertEquals(raw.sent, ["b"]);
  });

  test("continues where the system stopped among several, and reports those that it refused", async () => {
    const { socket, raw } = await bound();
    const refused = () => [failure("EMSGSIZE"), failure("EMSGSIZE"), failure("EMSGSIZE")];
    raw.answers.push(true, false, false, true, ...refused(), true, failure("ECONNREFUSED"), true);
    const sending = socket.sendMany?.(["a", "b", "c", "d", "e"].map(bytes), "127.0.0.1", 9);
    assertEquals(raw.sent, ["a"]);
    raw.options.socket.drain(raw);
    assertEquals((await sending)?.map((error) => error?.message), [
      undefined,
      undefined,
      "EMSGSIZE",
      undefined,
      undefined,
    ]);
    assertEquals(raw.sent, ["a", "b", "d", "e"]);
  });

  test("only receive errors are reported, and they are not fatal", async () => {
    const { raw, inbox } = await bound();
    for (const code of ["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "EMSGSIZE"]) {
      raw.options.socket.error(failure(code));
    }
    raw.options.socket.error(failure("ENOMEM"));
    assertEquals(inbox.errors.map(({ error, fatal }) => [error.message, fatal]), [["ENOMEM", false]]);
  });

  test("shares the port by the flag for SO_REUSEADDR, and only on request", async () => {
    assertEquals((await bound()).raw.options.flags, undefined);
    assertEquals((await bound({ shared: true })).raw.options.flags, 16);
  });

  test("keeps IPv4 out of sockets of IPv6 by the flag for IPV6_V6ONLY", async () => {
    assertEquals((await bound({ host: "::1" })).raw.options.flags, 8);
    assertEquals((await bound({ host: "::1", shared: true })).raw.options.flags, 24);
  });

  test("joins and leaves while open, on the named interface or on the system's default", async () => {
    const { socket, raw } = await bound();
    await socket.join("239.0.0.1", "127.0.0.1");
    await socket.join("239.0.0.2", undefined);
    await socket.leave("239.0.0.1", "127.0.0.1");
    assertEquals(raw.memberships, [
      "+239.0.0.1 on 127.0.0.1",
      "+239.0.0.2 on undefined",
      "-239.0.0.1 on 127.0.0.1",
    ]);
  });

  test("sets the interface for multicast again when a group cannot be reached", async () => {
    const { socket, raw } = await bound({ sendsMulticast: true, multicastInterface: "127.0.0.1" });
    const trouble = () => [failure("ENODEV"), failure("ENODEV"), failure("ENODEV")];
    raw.answers.push(...trouble());
    await assertRejects(() => socket.send(bytes("to a host"), "127.0.0.1", 9), Error, "ENODEV");
    assertEquals(raw.interfaces, ["127.0.0.1"]);
    raw.answers.push(...trouble());
    await socket.send(bytes("to a group"), "239.0.0.1", 9);
    assertEquals([raw.interfaces, raw.sent], [["127.0.0.1", "127.0.0.1"], ["to a group"]]);
  });

  test("closes the socket when the interface for sending is refused", async () => {
    let raw: FakeSocket | undefined;
    const bind = bindBunWith({
      udpSocket(options) {
        raw = new FakeSocket(options);
        raw.hasInterface = false;
        return Promise.resolve(raw);
      },
    });
    const options = { ...LOCAL, sendsMulticast: true, multicastInterface: "127.0.0.1" };
    const error = await assertRejects(() => bind(options, new Inbox()), BindError, "setMulticastInterface");
    assertEquals([error.code, raw?.closed], ["EMULTICAST", true]);
  });

  if (!("Bun" in globalThis)) {
    test("elsewhere rejects, as this runtime is not Bun", async () => {
      const error = await assertRejects(() => bindBun(LOCAL, new Inbox()), BindError, "not Bun");
      assertEquals(error.code, "EUNSUPPORTED");
    });
  }
});

async function bound(options: Partial<BindOptions> = {}) {
  let raw: FakeSocket | undefined = undefined as FakeSocket | undefined;
  const bind = bindBunWith({
    udpSocket(options) {
      raw = new FakeSocket(options);
      return Promise.resolve(raw);
    },
  });
  const inbox = new Inbox();
  const socket = await bind({ ...LOCAL, ...options }, inbox);
  // The handlers are silent until the caller of `bind` has had its turn.
  await new Promise<void>((resolve) => setImmediate(resolve));
  assert(raw !== undefined);
  return { socket, raw, inbox };
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}
