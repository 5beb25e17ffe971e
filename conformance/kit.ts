/**
 * Kit: what the rules share, which waits for events and promises, on real time or a virtual clock.
 *
 * @module
 */

import type { SubscribeOptions, Subscription, SyncBus, SyncEvent, Topic } from "../src/pubsub/sync_bus.ts";
import { isNamed, textOf } from "./checks.ts";

/** Most steps that anything is waited for. */
const MAX_STEPS = 10_000;
/** Steps after a marker: what was published before it may come a little later. */
const STEPS_AFTER = 3;
/** Begins the keys that only show that all before them has arrived. */
const MARKER = "\u0000conformance marker ";

/** A promise, as far as it has come. */
export interface Watched<T> {
  state: "pending" | "fulfilled" | "rejected";
  value?: T;
  reason?: unknown;
}

/** Opened buses, and the waits of a rule. */
export class Kit {
  /** The longest key, in bytes of UTF-8. */
  readonly longestKey: number;
  readonly #buses: readonly SyncBus[];
  readonly #settle: () => Promise<void>;
  #markers = 0;

  constructor(buses: readonly SyncBus[], settle: (() => Promise<void>) | undefined, longestKey: number | undefined) {
    this.#buses = buses;
    this.#settle = settle ?? (() => new Promise((resolve) => void setTimeout(resolve, 1)));
    this.longestKey = longestKey ?? 1366;
  }

  /** Lets a little time pass. */
  async step(times = 1): Promise<void> {
    for (let i = 0; i < times; i++) await this.#settle();
  }

  /** Lets time pass until `condition` holds. Throws after 10,000 steps; `show` gives the value to name then. */
  async until(condition: () => boolean, what: string, show?: () => unknown): Promise<void> {
    for (let steps = 0; !condition(); steps++) {
      if (steps >= MAX_STEPS) {
        const value = show === undefined ? "" : `: current value is ${textOf(show())}`;
        throw new Error(`it did not come true that ${what}${value}`);
      }
      await this.#settle();
    }
  }

  /** Calls, and lets time pass until the promise settles. Settles the same way. */
  async done<T>(call: () => Promise<T>, what = "the promise settles"): Promise<T> {
    const promise = call();
    const watched = watch(promise);
    await this.until(() => watched.state !== "pending", what);
    return await promise;
  }

  /** Resolves with what the promise rejects with. Throws when it is fulfilled. */
  async reasonOf(call: () => Promise<unknown>, what: string): Promise<unknown> {
    let value: unknown;
    try {
      value = await this.done(call, `${what} settles`);
    } catch (error) {
      return error;
    }
    throw new Error(`${what} must be rejected: it was fulfilled with ${textOf(value)}`);
  }

  /** The same, and the error must have one of these names. */
  async rejects(call: () => Promise<unknown>, what: string, ...names: readonly string[]): Promise<unknown> {
    const reason = await this.reasonOf(call, what);
    isNamed(reason, what, names);
    return reason;
  }

  /**
   * Subscribes, and keeps the events of what is published. Gaps are left out, which a mesh may send at any time, and so
   * are markers.
   */
  listen(bus: SyncBus, topic: Topic, options?: SubscribeOptions): SyncEvent[] {
    const events: SyncEvent[] = [];
    bus.subscribe(topic, (event) => {
      if (event.cause === "publish" && !event.key.startsWith(MARKER)) events.push(event);
    }, options);
    return events;
  }

  /** Publishes, and lets time pass until it has arrived, were it to arrive. */
  async publish(bus: SyncBus, topic: Topic, options?: Parameters<SyncBus["publish"]>[1]): Promise<void> {
    await this.done(() => bus.publish(topic, options), "publish resolves");
    await this.arrived(bus);
  }

  /** Lets time pass until all that `from` has published by now has arrived at all others that are open. */
  async arrived(from: SyncBus): Promise<void> {
    const key = `${MARKER}${++this.#markers}`;
    let missing = 0;
    const subscriptions: Subscription[] = [];
    for (const bus of this.#buses) {
      if (bus === from || !bus.isHealthy()) continue;
      missing++;
      let isThere = false;
      subscriptions.push(bus.subscribe(key, () => {
        if (!isThere) missing--;
        isThere = true;
      }));
    }
    await this.done(() => from.publish(key, { self: false }), "publish resolves");
    await this.until(() => missing === 0, "what is published arrives at the other replicas", () => missing);
    for (const subscription of subscriptions) subscription.close();
    await this.step(STEPS_AFTER);
  }

  /** Closes all buses. */
  async closeAll(): Promise<void> {
    await this.done(() => Promise.all(this.#buses.map((bus) => bus.close())), "close resolves");
  }
}

/** Watches a promise, which never counts as unhandled then. */
export function watch<T>(promise: Promise<T>): Watched<T> {
  const watched: Watched<T> = { state: "pending" };
  promise.then(
    (value) => {
      watched.state = "fulfilled";
      watched.value = value;
    },
    (reason) => {
      watched.state = "rejected";
      watched.reason = reason;
    },
  );
  return watched;
}

/** What an event says: the members of a `SyncEvent`, and none that a bus may add. */
export function said({ cause, key, prefix, region, scope, vectorClock }: SyncEvent): SyncEvent {
  return { cause, key, prefix, region, scope, vectorClock };
}

/** The keys of events. */
export function keysOf(events: readonly SyncEvent[]): string[] {
  return events.map(({ key }) => key);
}
