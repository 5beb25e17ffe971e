// Consistency tokens: their format, and when a wait for one ends.
import { describe, test } from "node:test";
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { VirtualClock } from "../../adapters/memory.ts";
import { ClosedError, TokenError } from "../../src/errors.ts";
import { ConsistencyTokens } from "../../src/reliability/consistency_tokens.ts";
import { ReceiveStream } from "../../src/reliability/receive_stream.ts";
import { settle } from "../support/outcome.ts";
import { idOf, nameOf, placeOf } from "../support/peers.ts";

/** A node, and the tokens of it and of others. */
function setUp(index = 0) {
  const clock = new VirtualClock();
  const streams = new Map<string, ReceiveStream>();
  const requests: string[] = [];
  const held: (() => void)[] = [];
  const state = { next: 1, pendingBatches: 0, owesGap: false, isHeld: false };
  const identity = { bytes: idOf(index), text: nameOf(index) };
  const tokens = new ConsistencyTokens({
    identity,
    clock,
    stream: state,
    batches: state,
    streams: () => ({
      get: (id) => streams.get(id),
      get owesGap() {
        return state.owesGap;
      },
      verify: (stream) => requests.push(`${stream.id} ${clock.now()}`),
    }),
    deliveries: { whenDelivered: (done) => state.isHeld ? held.push(done) : done() },
  });
  /** A stream of another node, of which everything up to a number has arrived. */
  const follow = (other: number, upTo: number, isLocated = true) => {
    const counts = { trusted: 0, untrusted: 0, requested: 0, recovered: 0 };
    const stream = new ReceiveStream(idOf(other), nameOf(other), placeOf(other), 0, clock.now(), counts);
    streams.set(stream.id, stream);
    if (isLocated) stream.catchUp = undefined;
    for (let number = 1; number <= upTo; number++) stream.window.accept(number, 0, 0);
    tokens.changed();
    return stream;
  };
  return { clock, follow, held, identity, requests, state, streams, tokens };
}

/** The token of another node that has given so many numbers. */
function tokenOf(index: number, last: number, earlier?: string): string {
  const { state, tokens } = setUp(index);
  state.next = last + 1;
  return tokens.token(earlier);
}

async function isOpen(promise: Promise<unknown>): Promise<boolean> {
  let open = true;
  const end = () => open = false;
  promise.then(end, end);
  await settle();
  return open;
}

async function reasonOf(promise: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => promise, TokenError)).reason;
}

describe("a token", () => {
  test("stands for the batches that were sent and those that are pending", async () => {
    const { tokens } = setUp();
    assertEquals(tokens.token(), "AQ");
    const own = setUp(1);
    own.state.next = 8;
    own.state.pendingBatches = 2;
    const token = own.tokens.token();
    assertEquals(token.length, 31);
    const { follow, tokens: other } = setUp();
    const stream = follow(1, 8);
    const waiting = other.reached(token);
    assert(await isOpen(waiting));
    stream.window.accept(9, 0, 0);
    other.changed();
    await waiting;
  });

  test("stands for an earlier one too, for 8 nodes at most, and once for each", () => {
    const { state, tokens } = setUp(1);
    state.next = 5;
    const once = tokens.token(tokens.token());
    assertEquals(once, tokens.token());
    let token = tokens.token();
    for (let index = 2; index <= 9; index++) token = tokenOf(index, index, token);
    assertEquals(token.length, Math.ceil((1 + 8 * 22) * 4 / 3));
  });

  test("that is none is refused", async () => {
    const { tokens } = setUp();
    const good = tokenOf(1, 5);
    const bad = ["", "A", "Ag", good.slice(1), good.slice(0, -1), `${good}A`, `${good.slice(0, -1)}=`, "x".repeat(500)];
    for (const text of [...bad, tokenOf(1, 5).replace(/.{8}$/, "AAAAAAAA")]) {
      assertEquals(await reasonOf(tokens.reached(text)), "malformed", text);
      assertThrows(() => tokens.token(text), TokenError);
    }
    for (const value of [undefined, null, 5, {}] as unknown[] as string[]) {
      await assertRejects(() => tokens.reached(value), TypeError, "Cannot read a token as it must be a string");
    }
  });
});

describe("a wait", () => {
  test("ends at once when everything was delivered, for a token of the node itself, and for one of nothing", async () => {
    const { clock, follow, state, tokens } = setUp();
    follow(1, 5);
    state.next = 9;
    for (const token of [tokenOf(1, 5), tokenOf(1, 4), tokens.token(), "AQ"]) await tokens.reached(token);
    assertEquals([tokens.isAwaited, clock.pending], [false, 0]);
  });

  test("for a token of the node itself ends at once under each id it had, for what it has accepted alone", async () => {
    const { follow, identity, state, tokens } = setUp();
    state.next = 9;
    const own = tokens.token();
    Object.assign(identity, { bytes: idOf(7), text: nameOf(7) });
    state.next = 3;
    for (const token of [own, tokens.token(), tokenOf(0, 4), tokenOf(7, 1)]) await tokens.reached(token);
    // A clone has given higher numbers, under the id of this node or under its former one.
    const beyond = [tokenOf(7, 3), tokenOf(0, 9)].map((token) => tokens.reached(token));
    for (const waiting of beyond) assert(await isOpen(waiting));
    follow(0, 9);
    await beyond[1];
    state.next = 4;
    tokens.changed();
    await beyond[0];
    // What this node has written is here, whatever becomes of the clone.
    const clone = follow(9, 0);
    assert(!clone.isDeparted);
    await tokens.reached(own);
    // A clone's higher number stays in the token, and is not reached by that.
    const mixed = tokens.reached(tokens.token(tokenOf(7, 50)));
    assert(await isOpen(mixed));
    state.next = 51;
    tokens.changed();
    await mixed;
  });

  test("goes on while a batch before the last is missing, or it is not known where the stream begins", async () => {
    const { follow, tokens } = setUp();
    const stream = follow(1, 1);
    stream.window.accept(3, 0, 0);
    const waiting = tokens.reached(tokenOf(1, 3));
    assert(await isOpen(waiting));
    stream.window.accept(2, 0, 0);
    tokens.changed();
    await waiting;
    const unlocated = follow(2, 3, false);
    const second = tokens.reached(tokenOf(2, 3));
    assert(await isOpen(second));
    unlocated.catchUp = undefined;
    tokens.changed();
    await second;
  });

  test("goes on until what has arrived was delivered", async () => {
    const { follow, held, state, tokens } = setUp();
    state.isHeld = true;
    follow(1, 5);
    const waiting = tokens.reached(tokenOf(1, 5));
    assert(await isOpen(waiting));
    held.pop()?.();
    await waiting;
  });

  test("looks after the turn on the stack: the datagram that has come is not delivered yet", async () => {
    const { follow, held, state, tokens } = setUp();
    const stream = follow(1, 4);
    const waiting = tokens.reached(tokenOf(1, 5));
    await settle();
    state.isHeld = true;
    stream.window.accept(5, 0, 0);
    for (let i = 0; i < 3; i++) tokens.changed();
    assertEquals(held.length, 0);
    await settle();
    assertEquals(held.length, 1);
    held[0]?.();
    await waiting;
  });

  test("is for all nodes that the token stands for", async () => {
    const { follow, tokens } = setUp();
    follow(1, 5);
    const waiting = tokens.reached(tokenOf(2, 1, tokenOf(1, 5)));
    assert(await isOpen(waiting));
    follow(2, 1);
    await waiting;
  });

  test("ends when its time is over, and says whether the node is known", async () => {
    const { clock, follow, tokens } = setUp();
    follow(1, 4);
    const missing = reasonOf(tokens.reached(tokenOf(1, 5)));
    const unknown = reasonOf(tokens.reached(tokenOf(2, 5), { timeout: 1000 }));
    await clock.advance(1000);
    assertEquals([await missing, await unknown, clock.pending], ["timeout", "unknown", 0]);
    const now = tokens.reached(tokenOf(1, 5), { timeout: 0 });
    const refused = assertRejects(() => now, TokenError, `not everything of node ${nameOf(1)} has arrived within 0 ms`);
    await clock.advance(0);
    await refused;
  });

  test("ends at once when the node is gone, unless all of it has arrived, or is a gap that was reported", async () => {
    const { follow, state, tokens } = setUp();
    const stream = follow(1, 4);
    const waiting = reasonOf(tokens.reached(tokenOf(1, 5)));
    stream.lostAt = 0;
    tokens.changed();
    assertEquals(await waiting, "gone");
    await tokens.reached(tokenOf(1, 4));
    state.owesGap = true;
    const owed = tokens.reached(tokenOf(1, 4));
    assert(await isOpen(owed));
    state.owesGap = false;
    tokens.changed();
    await owed;
  });

  test("sends a request for what is not known after 20 ms, then each second, and none for what is under way", async () => {
    const { clock, follow, requests, tokens } = setUp();
    follow(1, 4);
    const known = follow(2, 1);
    known.window.extend(3, 0, 0);
    const waits = [tokenOf(1, 5), tokenOf(2, 3), tokenOf(3, 1)].map((token) =>
      assertRejects(() => tokens.reached(token, { timeout: 2500 }), TokenError)
    );
    await clock.advance(2500);
    await Promise.all(waits);
    assertEquals(requests, [20, 1020, 2020].map((at) => `${nameOf(1)} ${at}`));
    assertEquals(clock.pending, 0);
  });

  test("ends with its signal and with the node, and leaves no timer", async () => {
    const { clock, follow, tokens } = setUp();
    follow(1, 4);
    const controller = new AbortController();
    const reason = new Error("enough");
    const aborted = assertRejects(() => tokens.reached(tokenOf(1, 5), { signal: controller.signal }));
    const closed = assertRejects(() => tokens.reached(tokenOf(1, 5)), ClosedError);
    await settle();
    controller.abort(reason);
    assertStrictEquals(await aborted, reason);
    tokens.close();
    await closed;
    await assertRejects(() => tokens.reached("AQ"), ClosedError);
    assertEquals([tokens.isAwaited, clock.pending], [false, 0]);
  });

  test("with wrong options is refused", async () => {
    const { tokens } = setUp();
    for (const timeout of [-1, NaN, 86_400_001]) {
      await assertRejects(() => tokens.reached("AQ", { timeout }), RangeError, "`timeout` must be a number");
    }
    await assertRejects(() => tokens.reached("AQ", { within: 5 } as object), TypeError, "every option must be known");
    await assertRejects(() => tokens.reached("AQ", { signal: AbortSignal.abort(new Error("over")) }), Error, "over");
  });
});
