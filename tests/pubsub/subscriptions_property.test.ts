// Subscriptions against a simple model: a list that is searched from end to end.
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { Subscriptions } from "../../src/pubsub/subscriptions.ts";
import type { Subscription, SyncEvent, Topic } from "../../src/pubsub/sync_bus.ts";
import { anyKey } from "../support/arbitraries.ts";
import { settle } from "../support/outcome.ts";
import { notifyGap } from "../support/notify_gap.ts";

const text = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom("", "a", "ab", "abc", "b", "ba", "é", "éa") },
  { weight: 1, arbitrary: anyKey },
);
const topic: fc.Arbitrary<Topic> = fc.oneof(text, text.map((prefix) => ({ prefix })));
const region = fc.option(fc.constantFrom("eu", "us"), { nil: undefined });

type Step =
  | { readonly do: "subscribe"; readonly topic: Topic; readonly capacity: number; readonly iterated: boolean }
  | { readonly do: "unsubscribe"; readonly which: number; readonly topic?: Topic }
  | { readonly do: "leave"; readonly which: number }
  | { readonly do: "next"; readonly which: number }
  | { readonly do: "deliver"; readonly key: string; readonly region: string | undefined }
  | { readonly do: "gap" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("subscribe" as const),
      topic,
      capacity: fc.integer({ min: 1, max: 3 }),
      iterated: fc.boolean(),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("deliver" as const), key: text, region }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("gap" as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("next" as const), which: fc.nat(9) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("unsubscribe" as const), which: fc.nat(9), topic }, {
      requiredKeys: ["do", "which"],
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("leave" as const), which: fc.nat(9) }) },
);

/** An event, a "done" or what it is not yet. */
type Got = SyncEvent | "done" | "waiting";

/** One subscription of the model, beside the real one. */
class Model {
  readonly real: Subscription;
  readonly topic: Topic;
  readonly iterated: boolean;
  readonly got: Got[];
  readonly expected: Got[] = [];
  readonly #capacity: number;
  #held: SyncEvent[] = [];
  open = true;

  constructor(real: Subscription, { topic, capacity, iterated }: Step & { do: "subscribe" }, got: Got[]) {
    this.real = real;
    this.topic = topic;
    this.iterated = iterated;
    this.got = got;
    this.#capacity = capacity;
  }

  wants(key: string): boolean {
    return this.open && (typeof this.topic === "string" ? this.topic === key : key.startsWith(this.topic.prefix));
  }

  /** Whether it takes the event. */
  offer(event: SyncEvent): boolean {
    if (!this.iterated) return this.expected.push(event) > 0;
    const waiting = this.expected.indexOf("waiting");
    if (waiting >= 0) {
      this.expected[waiting] = event;
      return true;
    }
    if (this.#held.some(({ cause }) => cause !== "publish")) return typeof this.topic === "string";
    const same = this.#held.findIndex(({ key }) => key === event.key);
    if (same >= 0) this.#held[same] = { ...this.#held[same], ...event };
    else if (this.#held.length < this.#capacity) this.#held.push(event);
    else this.#held.push({ key: this.#name, cause: "overflow" });
    return this.#held.at(-1)?.cause !== "overflow";
  }

  gap(): void {
    const event: SyncEvent = { key: this.#name, cause: "gap" };
    if (!this.iterated || this.expected.includes("waiting")) this.offer(event);
    else if (typeof this.topic === "string") this.#held = [event];
    else this.#held = [...this.#held.filter(({ cause }) => cause === "publish"), event];
  }

  get #name(): string {
    return typeof this.topic === "string" ? this.topic : this.topic.prefix;
  }

  next(): void {
    const i = this.got.push("waiting") - 1;
    void this.real[Symbol.asyncIterator]().next().then(({ done, value }) => this.got[i] = done ? "done" : value);
    this.expected.push(this.#held.shift() ?? (this.open ? "waiting" : "done"));
  }

  close(): void {
    this.open = false;
    this.expected.forEach((got, i) => this.expected[i] = got === "waiting" ? "done" : got);
  }

  leave(): void {
    void this.real[Symbol.asyncIterator]().return?.();
    this.#held = [];
    this.close();
  }
}

describe("subscriptions", () => {
  test("agree with the model", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60, size: "max" }), async (steps) => {
        const subscriptions = new Subscriptions((error) => {
          throw error;
        });
        const models: Model[] = [];
        const calls: Topic[] = [];
        const find = (which: number) => models[which % models.length];

        const run: { readonly [K in Step["do"]]: (step: Step & { do: K }) => void } = {
          subscribe(step) {
            const { topic, capacity, iterated } = step;
            const got: Got[] = [];
            const callback = (event: SyncEvent) => {
              got.push(event);
              calls.push(topic);
            };
            const real = iterated ? subscriptions.add(topic, { capacity }) : subscriptions.add(topic, callback);
            models.push(new Model(real, step, got));
          },
          unsubscribe({ which, topic }) {
            const model = find(which);
            if (model === undefined) return;
            subscriptions.remove(topic ?? model.topic, model.real);
            if (topic === undefined || JSON.stringify(topic) === JSON.stringify(model.topic)) model.close();
          },
          leave({ which }) {
            const model = find(which);
            if (model?.iterated) model.leave();
          },
          next({ which }) {
            const model = find(which);
            if (model?.iterated) model.next();
          },
          deliver({ key, region }) {
            const metadata = region === undefined ? undefined : { region };
            const interested = models.filter((model) => model.wants(key));
            assertEquals(subscriptions.count(key), interested.length);
            const taken = interested.filter((model) => model.offer({ ...metadata, key, cause: "publish" }));
            calls.length = 0;
            assertEquals(subscriptions.deliver(key, metadata), taken.length);
            // Within one topic, callbacks are called in the order of their subscriptions; got[] holds each one's own.
            const called = interested.filter(({ iterated }) => !iterated).map(({ topic }) => topic);
            assertEquals(
              calls.map((each) => JSON.stringify(each)).sort(),
              called.map((each) => JSON.stringify(each)).sort(),
            );
          },
          gap() {
            for (const model of models) if (model.open) model.gap();
            notifyGap(subscriptions);
          },
        };
        for (const step of steps) (run[step.do] as (step: Step) => void)(step);
        await settle();
        for (const { real, open, got, expected } of models) assertEquals([real.closed, got], [!open, expected]);

        // What is held comes out to the end after all are closed.
        subscriptions.closeAll();
        for (const model of models) {
          model.close();
          if (model.iterated) { for (let i = 0; i < 5; i++) model.next(); }
        }
        await settle();
        for (const { real, got, expected } of models) assertEquals([real.closed, got], [true, expected]);
        assertEquals(["", "a", "ab", "é"].map((key) => subscriptions.count(key)), [0, 0, 0, 0]);
      }),
      { numRuns: 300 },
    );
  });
});
