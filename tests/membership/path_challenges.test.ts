// Path challenges: the nonces that are open, and the responses to them.
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { VirtualClock } from "../../adapters/memory/clock.ts";
import { PathChallenges } from "../../src/membership/path_challenges.ts";

const A = { host: "10.0.0.1", port: 1 };
const B = { host: "10.0.0.2", port: 2 };

/** Challenges whose nonces are 1, 2, 3 … unless others are given. */
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

test("its echo is the response, which shows where the challenge was sent and when", async () => {
  const { pathChallenges, clock } = setUp();
  await clock.advance(100);
  const nonce = pathChallenges.issue(A);
  await clock.advance(7.5);
  assertEquals(pathChallenges.redeem(nonce, "a"), { to: A, id: undefined, sentAt: 100 });
});

test("after 10 s an echo is no response: it is a late copy, or has waited in a socket", async () => {
  const { pathChallenges, clock } = setUp();
  const nonces = [pathChallenges.issue(A), pathChallenges.issue(B, "b")];
  await clock.advance(10_000);
  assertEquals(pathChallenges.redeem(nonces[0] as number, "a")?.sentAt, 0);
  await clock.advance(1);
  assertEquals(pathChallenges.redeem(nonces[1] as number, "b"), undefined);
});

test("it has one response", () => {
  const { pathChallenges } = setUp();
  const nonce = pathChallenges.issue(A);
  pathChallenges.redeem(nonce, "a");
  assertEquals([pathChallenges.redeem(nonce, "a"), pathChallenges.redeem(nonce, "b")], [undefined, undefined]);
});

test("one that is for a node has the response of that node alone: another's echo leaves it open", () => {
  const { pathChallenges } = setUp();
  const nonce = pathChallenges.issue(B, "b");
  assertEquals([pathChallenges.redeem(nonce, "a"), pathChallenges.redeem(nonce, "b")], [
    undefined,
    { to: B, id: "b", sentAt: 0 },
  ]);
});

test("a nonce that was never issued has no response", () => {
  const { pathChallenges } = setUp();
  pathChallenges.issue(A);
  assertEquals(pathChallenges.redeem(2, "a"), undefined);
});

test("the last 4,096 are open: the one before them is not", () => {
  const { pathChallenges } = setUp();
  for (let i = 0; i < 4097; i++) pathChallenges.issue(A);
  assertEquals([1, 2, 4097].map((nonce) => pathChallenges.redeem(nonce, "a") !== undefined), [false, true, true]);
});

test("none is open after they are cleared", () => {
  const { pathChallenges } = setUp();
  const nonce = pathChallenges.issue(A);
  pathChallenges.clear();
  assertEquals(pathChallenges.redeem(nonce, "a"), undefined);
});

test("in any order, each of the last 4,096 has one response, by the node that was challenged", () => {
  const step = fc.oneof(
    fc.record({ challenge: fc.constantFrom("a", "b", undefined) }, { noNullPrototype: true }),
    fc.record({ answer: fc.nat(40), by: fc.constantFrom("a", "b") }, { noNullPrototype: true }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const { pathChallenges } = setUp();
      const open = new Map<number, string | undefined>();
      for (const step of steps) {
        if ("challenge" in step) open.set(pathChallenges.issue(A, step.challenge), step.challenge);
        else {
          const wanted = open.get(step.answer);
          const isResponse = open.has(step.answer) && (wanted === undefined || wanted === step.by);
          assertEquals(pathChallenges.redeem(step.answer, step.by)?.id, isResponse ? wanted : undefined);
          assertEquals(pathChallenges.redeem(step.answer, step.by), undefined);
          if (isResponse) open.delete(step.answer);
        }
      }
    }),
  );
});
