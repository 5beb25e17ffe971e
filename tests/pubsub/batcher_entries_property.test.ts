// Properties of the batcher for keys, prefixes and metadata: everything that is published is sent, or covered.
import { describe, test } from "node:test";
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import * as fc from "fast-check";
import type { Entry } from "../../src/pubsub/pending_entries.ts";
import { isAlike } from "../../src/pubsub/publication.ts";
import { decodeExtension } from "../../src/wire/extension.ts";
import type { Metadata } from "../../src/wire/metadata.ts";
import { decodePacket } from "../../src/wire/packet.ts";
import { keysOf, makeAwaiter, makeBatcher } from "../support/batches.ts";
import { settle } from "../support/outcome.ts";

/** Few and short names, so that many begin with others, and some long ones that fill a datagram. */
const text = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom("", "a", "ab", "abc", "b", "ba", "é", "é🙂") },
  { weight: 1, arbitrary: fc.integer({ min: 300, max: 900 }).map((length) => "a".repeat(length)) },
);
const metadata: fc.Arbitrary<Metadata | undefined> = fc.oneof(
  { weight: 3, arbitrary: fc.constant(undefined) },
  {
    weight: 2,
    arbitrary: fc.record({
      region: fc.constantFrom("eu", "us"),
      scope: fc.constantFrom("local" as const, "global" as const),
      vectorClock: fc.dictionary(fc.constantFrom("w", "x"), fc.nat(5), { maxKeys: 2 }),
    }, { requiredKeys: [], noNullPrototype: true }).map((metadata) =>
      Object.keys(metadata).length > 0 ? metadata : undefined
    ),
  },
);

type Kind = "key" | "prefix" | "go";
interface Publish {
  readonly kind: Kind;
  readonly text: string;
  readonly metadata: Metadata | undefined;
  readonly isAwaited: boolean;
}

const publish: fc.Arbitrary<Publish> = fc.record({
  kind: fc.constantFrom<Kind>("key", "key", "prefix", "go"),
  text,
  metadata,
  isAwaited: fc.boolean(),
}).map(({ kind, metadata, isAwaited, ...rest }) =>
  kind === "go" ? { ...rest, kind, metadata: undefined, isAwaited: false } : { ...rest, kind, metadata, isAwaited }
);
type Step =
  | { readonly do: "publish"; readonly what: Publish }
  | { readonly do: "take" }
  | { readonly do: "pass"; readonly ms: number }
  | { readonly do: "plain"; readonly hasPlain: boolean };
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: publish.map((what) => ({ do: "publish" as const, what })) },
  { weight: 2, arbitrary: fc.constant({ do: "take" as const }) },
  { weight: 1, arbitrary: fc.nat(60).map((ms) => ({ do: "pass" as const, ms })) },
  { weight: 1, arbitrary: fc.boolean().map((hasPlain) => ({ do: "plain" as const, hasPlain })) },
);

/** An entry of a datagram, as a receiver has it. */
interface Sent {
  readonly kind: Kind;
  readonly text: string;
  readonly metadata: Metadata | undefined;
}

function entriesOf(datagram: Uint8Array): Sent[] {
  const { prefixes = [], metadata = [] } = decodeExtension(decodePacket(datagram).rest) ?? {};
  const keys = keysOf(datagram);
  return [...keys, ...prefixes].map((text, i) => {
    const attached = metadata.find(({ index }) => index === i);
    if (attached === undefined) return { kind: i < keys.length ? "key" : "prefix", text, metadata: undefined };
    const { index: _index, isForGo, ...rest } = attached;
    const found = Object.keys(rest).length > 0 ? rest : undefined;
    return { kind: isForGo ? "go" : i < keys.length ? "key" : "prefix", text, metadata: found };
  });
}

/** Whether an entry that is sent tells a receiver everything that a publish says. `hasPlain`: a Go node must get it. */
function says(sent: Sent, { kind, text, metadata }: Publish, hasPlain: boolean): boolean {
  const isSame = sent.kind === kind && sent.text === text;
  if (kind === "go" || sent.kind === "go") return isSame;
  if (metadata === undefined) {
    const isGeneral = sent.metadata?.scope !== "local";
    const isCovered = sent.kind === "prefix" && text.startsWith(sent.text) && (kind === "prefix" || !hasPlain);
    return isGeneral && (isSame || isCovered);
  }
  if (!isSame || !isAlike(sent.metadata, metadata)) return false;
  // The clock has grown to at least what was published.
  const counts = sent.metadata?.vectorClock ?? {};
  return Object.entries(metadata.vectorClock ?? {}).every(([writer, count]) => (counts[writer] ?? -1) >= count);
}

const config = fc.record({
  batchInterval: fc.constantFrom(0, 50),
  batchSize: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constantFrom(20, 65_535)),
  queueSize: fc.integer({ min: 1, max: 12 }),
});

describe("with any publishes, and a sender that is slow", () => {
  test("nothing is neither sent nor covered, and awaited entries get the index of what says it", async () => {
    let [sentCount, coveredCount, awaitedCount] = [0, 0, 0];
    await fc.assert(
      fc.asyncProperty(config, fc.array(step, { maxLength: 60, size: "max" }), async (config, steps) => {
        const peers = { hasPlain: false };
        const { batcher, clock } = makeBatcher({ ...config, numbered: true, peers });
        /** What has been accepted and is owed to the peers. */
        let owed: {
          readonly what: Publish;
          readonly hasPlain: boolean;
          readonly at?: { number: number; index: number };
        }[] = [];
        let taken = 0;
        let settled = 0;
        let waited = 0;
        let serial = 0;

        const accept = (what: Publish) => {
          const at = { number: 0, index: -1 };
          const isKey = what.kind === "key" && what.metadata === undefined && !what.isAwaited;
          const entry: Entry = {
            text: what.text,
            isPrefix: what.kind === "prefix",
            isForGo: what.kind === "go",
            metadata: what.metadata,
            awaiter: what.isAwaited
              ? makeAwaiter((number, index) => void Object.assign(at, { number, index }))
              : undefined,
          };
          const { awaiter } = entry;
          // There are two ways to await a plain key.
          const isDirect = awaiter !== undefined && what.kind === "key" && what.metadata === undefined &&
            ++serial % 2 > 0;
          const isRoom = batcher.waiting === 0 && batcher.pending < config.queueSize;
          const { pending, accepted } = batcher;
          const note = () => owed.push({ what, hasPlain: peers.hasPlain, ...what.isAwaited && { at } });
          const isAccepted = isKey
            ? batcher.tryAdd(what.text)
            : isDirect
            ? batcher.tryAddAwaited(what.text, awaiter)
            : batcher.tryAddEntry(entry);
          if (isAccepted) {
            note();
            // Without room it can only be covered by what is pending.
            if (!isRoom) assertEquals([batcher.pending, batcher.accepted], [pending, accepted]);
            if (batcher.accepted === accepted) coveredCount++;
            return;
          }
          assertEquals(isRoom, false);
          waited++;
          batcher.wait(isKey ? what.text : entry).then(() => settled++, () => {});
          // It is accepted within a later `take`, so what is sent from then on says it.
          waiting.push(note);
        };
        const waiting: (() => void)[] = [];

        const take = () => {
          const before = batcher.waiting;
          const datagram = batcher.take(taken + 1);
          if (datagram === undefined) return false;
          taken++;
          assertLessOrEqual(datagram.length, 1400);
          const entries = entriesOf(datagram);
          assertLessOrEqual(entries.length, config.batchSize);
          assert(entries.length > 0);
          sentCount += entries.length;
          owed = owed.filter(({ what, hasPlain, at }) => {
            if (at !== undefined) {
              if (at.number === 0) return true;
              awaitedCount++;
              assertEquals([at.number, says(entries[at.index] as Sent, what, hasPlain)], [taken, true]);
              return false;
            }
            return !entries.some((sent) => says(sent, what, hasPlain));
          });
          // Those that were admitted are owed from now on; they were not in this datagram.
          for (const note of waiting.splice(0, before - batcher.waiting)) note();
          batcher.release();
          return true;
        };

        for (const step of steps) {
          if (step.do === "publish") accept(step.what);
          else if (step.do === "take") take();
          else if (step.do === "pass") await clock.advance(step.ms);
          else peers.hasPlain = step.hasPlain;
        }
        do {
          batcher.hurry();
          while (take());
        } while (batcher.pending > 0);
        await settle();
        assertEquals([owed, batcher.pending, batcher.waiting, settled], [[], 0, 0, waited]);
      }),
      { numRuns: 500 },
    );
    assert(
      sentCount > 1000 && coveredCount > 500 && awaitedCount > 500,
      `${sentCount} ${coveredCount} ${awaitedCount}`,
    );
  });
});
