/**
 * Metadata rules: what reaches subscribers of the region, the vector clock and the scope of an event.
 *
 * @module
 */

import type { PublishOptions } from "../src/pubsub/sync_bus.ts";
import { equal } from "./checks.ts";
import { keysOf, said } from "./kit.ts";
import { type Rule, rule } from "./rule.ts";

const NEEDS = { needs: ["metadata"] } as const;
/** Of the publisher, of another replica there, of one elsewhere, and of one that is in no region. */
const REGIONS = [{ region: "eu" }, { region: "eu" }, { region: "us" }, {}] as const;

/** The rules of metadata. */
export const metadataRules: readonly Rule[] = [
  rule("An event has the region, the vector clock and the scope that its publisher gave, and no others.", NEEDS, async (
    kit,
    a,
    b,
  ) => {
    const given: readonly PublishOptions[] = [
      { region: "eu", vectorClock: { a: 1, b: 2 }, scope: "local" },
      { region: "é".repeat(32) },
      { vectorClock: { a: 0 } },
      { vectorClock: {} },
      { scope: "global" },
      {},
    ];
    const heard = [kit.listen(b, { prefix: "k" })];
    for (const [i, options] of given.entries()) await kit.publish(a, `k${i}`, options);
    const expected = given.map((options, i) => ({ ...options, key: `k${i}`, cause: "publish" }));
    equal(heard.map((events) => events.map(said)), [expected], "the events");
  }),
  rule(
    "A count of a vector clock up to 2^53 - 1 arrives as a number, and a higher one as a bigint, also at home.",
    NEEDS,
    async (
      kit,
      a,
      b,
    ) => {
      const heard = [kit.listen(b, "k"), kit.listen(a, "k", { self: true })];
      const vectorClock = { low: 7n, safe: 2 ** 53 - 1, above: 2n ** 53n, most: 2n ** 64n - 1n, zero: 0 };
      const expected = { ...vectorClock, low: 7 };
      await kit.publish(a, "k", { vectorClock });
      equal(
        heard.map((events) => events.map((event) => event.vectorClock)),
        [[expected], [expected]],
        "the vector clocks at another replica, and at its own",
      );
    },
  ),
  rule("A vector clock is read when it is published: the publisher may change the object later.", NEEDS, async (
    kit,
    a,
    b,
  ) => {
    const heard = kit.listen(b, { prefix: "k" });
    const vectorClock = { me: 1 };
    const publishing = a.publish("k1", { vectorClock });
    vectorClock.me = 2;
    await kit.done(() => publishing);
    await kit.publish(a, "k2", { vectorClock });
    vectorClock.me = 3;
    equal(heard.map((event) => event.vectorClock), [{ me: 1 }, { me: 2 }], "the vector clocks");
  }),
  rule("A published prefix carries metadata as a key does.", { needs: ["metadata", "prefixes"] }, async (kit, a, b) => {
    const heard = [kit.listen(b, "user:42"), kit.listen(b, { prefix: "" })];
    const options: PublishOptions = { region: "eu", vectorClock: { a: 2n ** 60n }, scope: "global" };
    await kit.publish(a, { prefix: "user:" }, options);
    const common = { ...options, cause: "publish", prefix: "user:" };
    const expected = [[{ ...common, key: "user:42" }], [{ ...common, key: "user:" }]];
    equal(heard.map((events) => events.map(said)), expected, "the events");
  }),
  rule(
    'With the scope `"local"` an event stays in its region; a replica without a region gets it.',
    { ...NEEDS, places: REGIONS },
    async (kit, a, ...others) => {
      const heard = others.map((bus) => kit.listen(bus, "k"));
      await kit.publish(a, "k", { scope: "local", region: "eu" });
      equal(heard.map(keysOf), [["k"], [], ["k"]], "the events in the region, elsewhere, and at no region");
      await kit.publish(a, "k", { scope: "local", region: "us" });
      equal(heard.map((events) => events.length), [1, 1, 2], "the number of events with those of another region");
    },
  ),
  rule(
    'With the scope `"local"` and no region, the region is that of the publisher.',
    { ...NEEDS, places: REGIONS },
    async (kit, a, ...others) => {
      const heard = others.map((bus) => kit.listen(bus, "k"));
      await kit.publish(a, "k", { scope: "local" });
      equal(heard.map(keysOf), [["k"], [], ["k"]], "the events in the region, elsewhere, and at no region");
      equal(heard[0]?.map(({ region }) => region), ["eu"], "the region of the event");
    },
  ),
  rule(
    'With the scope `"global"`, and without a scope, an event goes to all regions.',
    { ...NEEDS, places: REGIONS },
    async (kit, a, ...others) => {
      const heard = others.map((bus) => kit.listen(bus, { prefix: "k" }));
      await kit.publish(a, "k1", { scope: "global" });
      await kit.publish(a, "k2", { region: "eu" });
      equal(heard.map(keysOf), others.map(() => ["k1", "k2"]), "the events of each region");
    },
  ),
  rule("Events that are merged have the highest count of each writer in their vector clocks.", NEEDS, async (
    kit,
    a,
    b,
  ) => {
    const iterator = b.subscribe("k")[Symbol.asyncIterator]();
    await kit.publish(a, "k", { vectorClock: { a: 5, b: 1 } });
    await kit.publish(a, "k", { vectorClock: { a: 4, b: 2, c: 3 } });
    const { value } = await kit.done(() => iterator.next(), "the merged event comes");
    equal(value?.vectorClock, { a: 5, b: 2, c: 3 }, "the vector clock of the merged event");
  }),
];
