// Questions, and who has answered them.
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { VirtualClock } from "../../adapters/memory/clock.ts";
import { PathChallenges } from "../../src/membership/path_challenges.ts";

const A = { host: "10.0.0.1", port: 1 };
const B = { host: "10.0.0.2", port: 2 };

/** Questions whose nonces are 1, 2, 3 … unless others are given. */
function setUp(nonces: readonly number[] = []) {
  const clock = new VirtualClock();
  let issued = 0;
  const pathChallenges = new PathChallenges(clock, (length) => {
    assertEquals(length, 4);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, nonces[issued++] ?? issued);
    return bytes;
  });
  return { pathChallenges, clock };
}

test("a nonce is four random bytes, up to the highest", () => {
  const { pathChallenges } = setUp([0, 0x01020304, 2 ** 32 - 1]);
  assertEquals([pathChallenges.issue(A), pathChallenges.issue(A), pathChallenges.issue(A)], [
    0,
    0x01020304,
    2 ** 32 - 1,
  ]);
  assertEquals(pathChallenges.redeem(0, "anybody")?.to, A);
});

test("whoever repeats it has answered, and the answer says where it was asked and when", async () => {
  const { pathChallenges, clock } = setUp();
  await clock.advance(100);
  const nonce = pathChallenges.issue(A);
  await clock.advance(7.5);
  assertEquals(pathChallenges.redeem(nonce, "a"), { to: A, id: undefined, sentAt: 100 });
});

test("what takes longer than 10 s is no answer: a late copy, or one that has lain in a socket", async () => {
  const { pathChallenges, clock } = setUp();
  const nonces = [pathChallenges.issue(A), pathChallenges.issue(B, "b")];
  await clock.advance(10_000);
  assertEquals(pathChallenges.redeem(nonces[0] as number, "a")?.sentAt, 0);
  await clock.advance(1);
  assertEquals(pathChallenges.redeem(nonces[1] as number, "b"), undefined);
});

test("it is answered once", () => {
  const { pathChallenges } = setUp();
  const nonce = pathChallenges.issue(A);
  pathChallenges.redeem(nonce, "a");
  assertEquals([pathChallenges.redeem(nonce, "a"), pathChallenges.redeem(nonce, "b")], [undefined, undefined]);
});

test("one that is for a node is answered by that alone: another's answer leaves it open", () => {
  const { pathChallenges } = setUp();
  const nonce = pathChallenges.issue(B, "b");
  assertEquals([pathChallenges.redeem(nonce, "a"), pathChallenges.redeem(nonce, "b")], [
    undefined,
    { to: B, id: "b", sentAt: 0 },
  ]);
});

test("a nonce that was never given is no answer", () => {
  const { pathChallenges } = setUp();
  pathChallenges.issue(A);
  assertEquals(pathChallenges.redeem(2, "a"), undefined);
});

test("the last 4,096 are open: the one before them is not", () => {
  const { pathChallenges } = setUp();
  for (let i = 0; i < 4097; i++) pathChallenges.issue(A);
  assertEquals([1, 2, 4097].map((nonce) => pathChallenges.redeem(nonce, "a") !== undefined), [false, true, true]);
});

test("none is open when they are cleared", () => {
  const { pathChallenges } = setUp();
  const nonce = pathChallenges.issue(A);
  pathChallenges.clear();
  assertEquals(pathChallenges.redeem(nonce, "a"), undefined);
});

test("in any order, each of the last 4,096 is answered once, by the node that was asked", () => {
  const step = fc.oneof(
    fc.record({ ask: fc.constantFrom("a", "b", undefined) }, { noNullPrototype: true }),
    fc.record({ answer: fc.nat(40), by: fc.constantFrom("a", "b") }, { noNullPrototype: true }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const { pathChallenges } = setUp();
      const open = new Map<number, string | undefined>();
      for (const step of steps) {
        if ("ask" in step) open.set(pathChallenges.issue(A, step.ask), step.ask);
        else {
          const wanted = open.get(step.answer);
          const isAnswer = open.has(step.answer) && (wanted === undefined || wanted === step.by);
          assertEquals(pathChallenges.redeem(step.answer, step.by)?.id, isAnswer ? wanted : undefined);
          assertEquals(pathChallenges.redeem(step.answer, step.by), undefined);
          if (isAnswer) open.delete(step.answer);
        }
      }
    }),
  );
});
