/**
 * Argument rules: what a bus refuses, and that it publishes nothing then.
 *
 * @module
 */

import type { PublishOptions, SubscribeOptions, SyncBus, Topic } from "../src/pubsub/sync_bus.ts";
import { equal, isTrue, throws } from "./checks.ts";
import { keysOf, type Kit } from "./kit.ts";
import { type Rule, rule } from "./rule.ts";

/** What programs without types may pass: no topic. */
const NO_TOPICS: readonly unknown[] = [undefined, null, 5, {}, [], "\ud800", { prefix: 5 }, { prefix: "a\udc00" }];
/** Options of `publish` that are out of range or of another type. */
const BAD_OPTIONS: readonly unknown[] = [
  5,
  "eu",
  { unheardOf: undefined },
  { regions: "eu" },
  { region: "" },
  { region: "x".repeat(65) },
  { region: "é".repeat(33) },
  { region: "\ud800" },
  { region: 5 },
  { scope: "here" },
  { vectorClock: 5 },
  { vectorClock: [1] },
  { vectorClock: { a: -1 } },
  { vectorClock: { a: 0.5 } },
  { vectorClock: { a: NaN } },
  { vectorClock: { a: 2 ** 53 } },
  { vectorClock: { a: 2n ** 64n } },
  { vectorClock: { a: -1n } },
  { vectorClock: { a: "1" } },
  { vectorClock: { "": 1 } },
  { vectorClock: { ["x".repeat(65)]: 1 } },
  { vectorClock: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`w${i}`, 1])) },
  { self: 1 },
  { goKeys: "k" },
  { goKeys: ["k"] },
  { signal: new AbortController() },
];
const NO_COUNTS: readonly unknown[] = [-1, 0.5, NaN, Infinity, "1", "every", undefined, null];
const BAD_TIMEOUTS: readonly unknown[] = [0, -1, NaN, 86_400_001, "10"];
const BAD_SUBSCRIBE_OPTIONS: readonly unknown[] = [
  { unheardOf: undefined },
  { capacity: 0 },
  { capacity: 1.5 },
  { capacity: "5" },
  { self: 1 },
  { deliveredWhen: "sent" },
  { settleTimeout: 0 },
  { settleTimeout: 600_001 },
  { signal: new AbortController() },
];
const MISUSE = ["TypeError", "RangeError"] as const;

/** The rules of arguments. */
export const argumentRules: readonly Rule[] = [
  rule(
    "To publish what is no well-formed string and no prefix is a `TypeError`, and publishes nothing.",
    {},
    (kit, a, b) =>
      publishesNothing(kit, a, b, async () => {
        for (const [name, publish] of Object.entries(WAYS)) {
          for (const topic of NO_TOPICS) {
            await kit.rejects(() => publish(a, topic as Topic), `${name} of ${shown(topic)}`, "TypeError");
          }
        }
      }),
  ),
  rule(
    "To publish a key that is too long is a `KeyTooLongError`, and publishes nothing.",
    {},
    (kit, a, b) =>
      publishesNothing(kit, a, b, async () => {
        const key = "x".repeat(kit.longestKey + 1);
        for (const [name, publish] of Object.entries(WAYS)) {
          await kit.rejects(() => publish(a, key), `${name} of ${key.length} bytes`, "KeyTooLongError");
        }
        await kit.rejects(() => a.revokeLease(key), "revokeLease of as many bytes", "KeyTooLongError");
      }),
  ),
  rule(
    "An unknown option of `publish`, or one out of range, is a `TypeError` or `RangeError`, and publishes nothing.",
    {},
    (
      kit,
      a,
      b,
    ) =>
      publishesNothing(kit, a, b, async () => {
        for (const [name, publish] of Object.entries(WAYS)) {
          for (const options of BAD_OPTIONS) {
            await kit.rejects(
              () => publish(a, "k", options as PublishOptions),
              `${name} with ${shown(options)}`,
              ...MISUSE,
            );
          }
        }
      }),
  ),
  rule(
    'What is awaited is an integer from 0, or `"all"` for replicas; else nothing is published.',
    {},
    (kit, a, b) =>
      publishesNothing(kit, a, b, async () => {
        for (const count of NO_COUNTS) {
          const number = count as number;
          await kit.rejects(() => a.publishAndAwait("k", number), `to await ${shown(count)} replicas`, ...MISUSE);
          await kit.rejects(() => a.publishAndAwaitTopology("k", number), `to await ${shown(count)} zones`, ...MISUSE);
        }
        const all = "all" as unknown as number;
        await kit.rejects(() => a.publishAndAwaitTopology("k", all), 'to await "all" zones', ...MISUSE);
      }),
  ),
  rule("`timeout` is a number from 1 to 86,400,000, and `ownZone` a boolean; else nothing is published.", {}, (
    kit,
    a,
    b,
  ) =>
    publishesNothing(kit, a, b, async () => {
      for (const value of BAD_TIMEOUTS) {
        const [timeout, what] = [value as number, `a timeout of ${shown(value)}`];
        await kit.rejects(() => a.publishAndAwait("k", 0, { timeout }), what, ...MISUSE);
        await kit.rejects(() => a.publishAndAwaitTopology("k", 0, { timeout }), what, ...MISUSE);
      }
      const ownZone = "own" as unknown as boolean;
      await kit.rejects(() => a.publishAndAwaitTopology("k", 0, { ownZone }), "an `ownZone` of text", "TypeError");
    })),
  rule(
    "With a signal that has aborted, publishing rejects with its reason, and publishes nothing.",
    {},
    (kit, a, b) =>
      publishesNothing(kit, a, b, async () => {
        const reason = new Error("enough");
        const signal = AbortSignal.abort(reason);
        for (const [name, publish] of Object.entries(WAYS)) {
          const error = await kit.reasonOf(() => publish(a, "k", { signal }), name);
          isTrue(error === reason, `${name} rejects with the reason of the signal`);
        }
      }),
  ),
  rule(
    "To subscribe to what no key can equal or begin with is a `TypeError` or `KeyTooLongError`.",
    {},
    async (kit, a) => {
      for (const topic of NO_TOPICS) {
        throws(
          () => a.subscribe(topic as Topic),
          `to subscribe to ${shown(topic)}`,
          "TypeError",
        );
      }
      const text = "x".repeat(kit.longestKey + 1);
      for (const topic of [text, { prefix: text }]) {
        throws(() => a.subscribe(topic), `to subscribe to ${text.length} bytes`, "KeyTooLongError");
      }
    },
  ),
  rule("An unknown option of `subscribe`, or one out of range, is a `TypeError` or `RangeError`.", {}, async (_, a) => {
    for (const bad of BAD_SUBSCRIBE_OPTIONS) {
      const options = bad as SubscribeOptions;
      throws(() => a.subscribe("k", options), `to subscribe with ${shown(bad)}`, ...MISUSE);
      throws(() => a.subscribe("k", () => {}, options), `to subscribe a callback with ${shown(bad)}`, ...MISUSE);
      throws(() => a.subscribeLease("k", options), `to subscribe to a lease with ${shown(bad)}`, ...MISUSE);
    }
  }),
  rule("A callback that is no function is a `TypeError`.", {}, async (_, a) => {
    for (const bad of [null, 5, "callback", true]) {
      const callback = bad as unknown as () => void;
      throws(() => a.subscribe("k", callback), `to subscribe the callback ${shown(bad)}`, "TypeError");
    }
    const swapped = { capacity: 3 } as unknown as () => void;
    throws(
      () => a.subscribe("k", swapped, (() => {}) as SubscribeOptions),
      "to swap callback and options",
      "TypeError",
    );
  }),
  rule(
    "The id of a lease that is no string is a `TypeError`, and publishes nothing.",
    {},
    (kit, a, b) =>
      publishesNothing(kit, a, b, async () => {
        for (const bad of [undefined, null, 5, { prefix: "k" }]) {
          const id = bad as unknown as string;
          await kit.rejects(() => a.revokeLease(id), `revokeLease of ${shown(bad)}`, "TypeError");
          throws(() => a.subscribeLease(id), `subscribeLease of ${shown(bad)}`, "TypeError");
        }
      }),
  ),
  rule("To guard what nobody can publish is a `TypeError` or `KeyTooLongError`.", {}, async (kit, a) => {
    for (const bad of [undefined, null, 5, {}, "\ud800"]) {
      throws(() => a.guard(bad as string), `to guard ${shown(bad)}`, "TypeError");
    }
    throws(() => a.guard("x".repeat(kit.longestKey + 1)), "to guard a key that is too long", "KeyTooLongError");
  }),
];

/** The ways to publish, each without an acknowledgement. */
const WAYS: Readonly<Record<string, (bus: SyncBus, topic: Topic, options?: PublishOptions) => Promise<unknown>>> = {
  publish: (bus, topic, options) => bus.publish(topic, options),
  publishAndAwait: (bus, topic, options) => bus.publishAndAwait(topic, 0, options),
  publishAndAwaitTopology: (bus, topic, options) => bus.publishAndAwaitTopology(topic, 0, options),
};

async function publishesNothing(kit: Kit, from: SyncBus, to: SyncBus, body: () => Promise<void>): Promise<void> {
  const heard = [kit.listen(to, { prefix: "" }), kit.listen(from, { prefix: "" }, { self: true })];
  await body();
  await kit.arrived(from);
  equal(heard.map(keysOf), [[], []], "what is published");
}

function shown(value: unknown): string {
  const text = typeof value === "object" && value !== null
    ? JSON.stringify(value, (_, part) => typeof part === "bigint" ? `${part}n` : part)
    : String(value);
  return text.slice(0, 80);
}
