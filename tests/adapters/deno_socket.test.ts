// Deno's sockets: what loopback cannot show, on a fake socket that behaves as Deno's was measured to.
import { assertEquals, assertRejects } from "@std/assert";
import { describe, test } from "node:test";
import { bindDeno } from "../../adapters/deno.ts";
import { bindDenoWith, type DenoAddress, type DenoSocket, type DenoSocketOptions } from "../../adapters/deno_socket.ts";
import { BindError, type BindOptions, type DatagramSocket, MAX_RECEIVE } from "../../src/platform/datagram_socket.ts";
import { bytes, Inbox } from "../support/inbox.ts";
import { LOCAL } from "../support/sockets.ts";

class FakeSocket implements DenoSocket {
  readonly addr: DenoAddress = { transport: "udp", hostname: "127.0.0.1", port: 4242 };
  readonly options: DenoSocketOptions;
  readonly joined: string[] = [];
  readonly left: string[] = [];
  readonly ttls: number[] = [];
  bufferSize = 0;
  receives = 0;
  closed = false;
  joinError: Error | undefined;
  readonly #arrivals: (Uint8Array | Error)[];
  #interrupt: ((error: Error) => void) | undefined;

  constructor(options: DenoSocketOptions, arrivals: readonly (Uint8Array | Error)[]) {
    this.options = options;
    this.#arrivals = [...arrivals];
  }

  joinMulticastV4(group: string, interfaceAddress: string) {
    if (this.joinError !== undefined) return Promise.reject(this.joinError);
    this.joined.push(`${group} on ${interfaceAddress}`);
    return Promise.resolve({
      setTTL: (ttl: number) => Promise.resolve(this.ttls.push(ttl)),
      leave: () => Promise.resolve(this.left.push(`${group} on ${interfaceAddress}`)),
    });
  }

  send(data: Uint8Array): Promise<number> {
    return Promise.resolve(data.length);
  }

  receive(buffer: Uint8Array): Promise<[Uint8Array, DenoAddress]> {
    this.receives++;
    this.bufferSize = buffer.length;
    const next = this.#arrivals.shift();
    if (next === undefined) return new Promise((_resolve, reject) => this.#interrupt = reject);
    if (next instanceof Error) return Promise.reject(next);
    buffer.set(next);
    return Promise.resolve([buffer.subarray(0, next.length), this.addr]);
  }

  close(): void {
    this.closed = true;
    this.#interrupt?.(named("Interrupted"));
  }
}

describe("bindDeno", () => {
  test("continues to receive after an error", async () => {
    const { socket, inbox } = await bound([bytes("a"), named("OutOfMemory"), bytes("b")]);
    await until(() => inbox.received.length === 2);
    assertEquals(inbox.texts, ["a", "b"]);
    assertEquals(inbox.errors.map(({ error, fatal }) => [error.name, fatal]), [["OutOfMemory", false]]);
    await socket.close();
  });

  test("gives up after 16 errors without a datagram in between, and reports it", async () => {
    const failures = (count: number) => Array.from({ length: count }, () => named("OutOfMemory"));
    const { socket, raw, inbox } = await bound([
      ...failures(15),
      bytes("a"),
      ...failures(16),
      bytes("never"),
    ]);
    await until(() => inbox.errors.some(({ fatal }) => fatal));
    assertEquals(inbox.errors.map(({ fatal }) => fatal), [...Array(30).fill(false), true]);
    assertEquals(inbox.texts, ["a"]);
    await turn();
    assertEquals(raw.receives, 32);
    await socket.close();
  });

  test("a refusal by a destination (Windows) is no receive error", async () => {
    const { socket, inbox } = await bound([named("ConnectionReset"), named("ConnectionRefused"), bytes("a")]);
    await until(() => inbox.received.length === 1);
    assertEquals(inbox.errors, []);
    await socket.close();
  });

  test("close ends the receiving without an error", async () => {
    const { socket, raw, inbox } = await bound([]);
    await socket.close();
    assertEquals([raw.closed, inbox.errors, raw.receives], [true, [], 1]);
  });

  test("receives into one buffer, longer than any datagram that must come whole", async () => {
    const { socket, raw } = await bound([]);
    assertEquals(raw.bufferSize, MAX_RECEIVE + 1);
    await socket.close();
  });

  test("turns on the loopback of multicast, which is off by default", async () => {
    const { socket, raw } = await bound([], { shared: true });
    assertEquals([raw.options.loopback, raw.options.reuseAddress], [true, true]);
    await socket.close();
  });

  test("joins on the named interface or on the system's default, and sets the TTL only to send", async () => {
    const sender = { joinGroup: "239.0.0.1", multicastInterface: "127.0.0.1", sendsMulticast: true, multicastTtl: 9 };
    const named = await bound([], sender);
    assertEquals([named.raw.joined, named.raw.ttls], [["239.0.0.1 on 127.0.0.1"], [9]]);
    const unnamed = await bound([], { joinGroup: "239.0.0.1", multicastTtl: 9 });
    assertEquals([unnamed.raw.joined, unnamed.raw.ttls], [["239.0.0.1 on 0.0.0.0"], []]);
    await Promise.all([named.socket.close(), unnamed.socket.close()]);
  });

  test("joins and leaves while open, and does not leave a group that was not joined", async () => {
    const { socket, raw } = await bound([]);
    await socket.join("239.0.0.1", "127.0.0.1");
    raw.joinError = Object.assign(named("AddrInUse"), { code: "EADDRINUSE" });
    await socket.join("239.0.0.1", "127.0.0.1");
    await socket.leave("239.0.0.2", "127.0.0.1");
    await socket.leave("239.0.0.1", undefined);
    assertEquals(raw.left, []);
    await socket.leave("239.0.0.1", "127.0.0.1");
    await socket.leave("239.0.0.1", "127.0.0.1");
    assertEquals([raw.joined, raw.left], [["239.0.0.1 on 127.0.0.1"], ["239.0.0.1 on 127.0.0.1"]]);
    await socket.close();
  });

  test("closes the socket when the group cannot be joined, for an error without a code too", async () => {
    let raw: FakeSocket | undefined;
    const bind = bindDenoWith((options) => {
      raw = new FakeSocket(options, []);
      raw.joinError = new Error("No such device (os error 19)");
      return raw;
    });
    const error = await assertRejects(
      () => bind({ ...LOCAL, joinGroup: "239.0.0.1" }, new Inbox()),
      BindError,
      "Cannot join the multicast group 239.0.0.1 on the system's default interface: No such device",
    );
    assertEquals([error.code, raw?.closed], ["EMULTICAST", true]);
  });

  if (!("Deno" in globalThis)) {
    test("elsewhere rejects, as this runtime is not Deno", async () => {
      const error = await assertRejects(() => bindDeno(LOCAL, new Inbox()), BindError, "not Deno");
      assertEquals(error.code, "EUNSUPPORTED");
    });
  }
});

interface Bound {
  readonly socket: DatagramSocket;
  readonly raw: FakeSocket;
  readonly inbox: Inbox;
}

async function bound(arrivals: readonly (Uint8Array | Error)[], options: Partial<BindOptions> = {}): Promise<Bound> {
  const made: FakeSocket[] = [];
  const bind = bindDenoWith((options) => {
    const raw = new FakeSocket(options, arrivals);
    made.push(raw);
    return raw;
  });
  const inbox = new Inbox();
  const socket = await bind({ ...LOCAL, ...options }, inbox);
  const [raw] = made;
  if (raw === undefined) throw new Error("The adapter made no socket");
  return { socket, raw, inbox };
}

async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    if (turns === 1000) throw new Error(`Never came true: ${condition}`);
    await turn();
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => resolve()));
}

function named(name: string): Error {
  return Object.assign(new Error(name), { name });
}
