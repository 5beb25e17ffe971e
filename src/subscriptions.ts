/**
 * Who wants to hear of which key.
 *
 * @module
 */

import type { Contexts, EnterContext } from "./contexts.ts";
import { KeyTooLongError, show } from "./errors.ts";
import { checkKnown, knownOptions } from "./known_options.ts";
import { checkSignal } from "./signal.ts";
import { Subscriber } from "./subscriber.ts";
import type { SubscribeOptions, Subscription, SyncCallback, SyncEvent, Topic } from "./sync_bus.ts";
import { MAX_KEY } from "./wire/layout.ts";
import { ILL_FORMED, utf8Length } from "./wire/utf8.ts";

/** Events that an iterated subscription holds, unless told otherwise: what a channel of the original holds. */
export const DEFAULT_CAPACITY = 32;

const SUBSCRIBE_OPTIONS = knownOptions<SubscribeOptions>({ capacity: true, self: true, signal: true });
const TOPIC = knownOptions<Exclude<Topic, string>>({ prefix: true });

/** Whether a subscription is iterated: what a loop is told of, the callbacks beside it have done their part of. */
const CALLBACKS_FIRST = [false, true] as const;

/** What a publisher said of a key besides its name. */
export type EventMetadata = Omit<SyncEvent, "key" | "cause">;

/** Counts that {@linkcode Subscriptions} keeps. */
export interface SubscriptionCounts {
  /** Events given to callbacks and queues, merged ones and those of gaps included. */
  events: number;
  /** Events merged into one that was still undelivered, or covered by one. */
  merged: number;
  /** Overflow events: how often a subscription was too slow. */
  overflows: number;
}

/** Subscribers of one key or prefix. */
interface Group {
  readonly text: string;
  readonly subscribers: Set<Subscriber>;
}

/**
 * Subscribers by key and by prefix. Delivering a key costs one look-up for the key and one for each distinct length of
 * the prefixes, however many subscribers there are.
 */
export class Subscriptions {
  /** Counts since the beginning. */
  readonly counts: SubscriptionCounts = { events: 0, merged: 0, overflows: 0 };
  /** Subscriptions that hear what their own bus publishes. */
  selfish = 0;
  /** Those that are iterated. */
  #iterated = 0;
  readonly #onCallbackError: (error: unknown) => void;
  readonly #onPattern: (error: Error) => void;
  readonly #limit: number;
  readonly #contexts: Contexts | undefined;
  readonly #byKey = new Map<string, Group>();
  readonly #byPrefix = new Map<number, Map<string, Group>>();
  /** How many callbacks run in which context. */
  readonly #entries = new Map<EnterContext, number>();
  /** The context that was entered for all that is delivered now. */
  #entered: EnterContext | undefined;
  #serial = 0;
  #stopped = false;

  /**
   * `onCallbackError` gets what a callback threw or rejected with; `limit` is the longest key, in bytes of UTF-8. With
   * `contexts` callbacks run in the context of whoever subscribed. `onPattern` gets an error when a topic looks like a pattern.
   */
  constructor(
    onCallbackError: (error: unknown) => void,
    contexts?: Contexts,
    limit: number = MAX_KEY,
    onPattern: (error: Error) => void = () => {},
  ) {
    this.#onPattern = onPattern;
    this.#onCallbackError = onCallbackError;
    this.#limit = limit;
    this.#contexts = contexts;
  }

  /** Adds a subscriber; the arguments are those of `SyncBus.subscribe`. */
  add(topic: Topic, first?: SyncCallback | SubscribeOptions, second?: SubscribeOptions): Subscription {
    checkTopic("subscribe", topic, this.#limit);
    const callback = typeof first === "function" ? first : undefined;
    const options = typeof first === "object" && first !== null ? first : second;
    // `undefined` and options may stand first; what follows options is a callback in the wrong place.
    if (callback === undefined && first !== undefined && (first !== options || second !== undefined)) {
      throw new TypeError(`Cannot subscribe as the callback must be a function: current value is ${show(first)}`);
    }
    if (typeof topic !== "string") checkKnown("subscribe", topic, TOPIC, besideTopic);
    checkKnown("subscribe", options, SUBSCRIBE_OPTIONS, ofTopic);
    const capacity = options?.capacity ?? DEFAULT_CAPACITY;
    if (!Number.isInteger(capacity) || capacity < 1) {
      const type = typeof capacity === "number" ? RangeError : TypeError;
      throw new type(`Cannot subscribe as \`capacity\` must be an integer from 1: current value is ${show(capacity)}`);
    }
    const signal = options?.signal;
    if (signal !== undefined) checkSignal("subscribe", signal);
    const self = options?.self ?? false;
    if (typeof self !== "boolean") {
      throw new TypeError(`Cannot subscribe as \`self\` must be a boolean: current value is ${show(self)}`);
    }
    // Before it is there: what is told of this may throw.
    if (textOf(topic).endsWith("*")) this.#onPattern(noPattern(textOf(topic)));
    const subscriber = new Subscriber({
      // A copy: it is found by its topic again when it closes, whatever the caller does with the object.
      topic: typeof topic === "string" ? topic : { prefix: topic.prefix },
      serial: ++this.#serial,
      callback,
      enter: callback && this.#contexts?.capture(),
      capacity,
      self,
      onClose: this.#onClose,
      onThrow: this.#onCallbackError,
    });
    this.#insert(subscriber);
    if (self) this.selfish++;
    if (subscriber.isIterated) this.#iterated++;
    const { enter } = subscriber;
    if (enter !== undefined) this.#entries.set(enter, (this.#entries.get(enter) ?? 0) + 1);
    if (signal !== undefined) subscriber.closeOn(signal);
    return subscriber;
  }

  /** Closes `subscription` if it is one of `topic`. */
  remove(topic: Topic, subscription: Subscription): void {
    checkTopic("unsubscribe", topic, this.#limit);
    if (!(subscription instanceof Subscriber)) {
      throw new TypeError(
        `Cannot unsubscribe as it takes what \`subscribe\` returned: current value is ${show(subscription)}`,
      );
    }
    if (this.#find(topic)?.subscribers.has(subscription)) subscription.close();
  }

  /** How many subscribers an event of `key` would reach. */
  count(key: string): number {
    let count = this.#byKey.get(key)?.subscribers.size ?? 0;
    for (const [length, table] of this.#byPrefix) {
      if (length <= key.length) count += table.get(key.substring(0, length))?.subscribers.size ?? 0;
    }
    return count;
  }

  /** How many of them hear what their own bus publishes. */
  countSelfish(key: string): number {
    if (this.selfish === 0) return 0;
    let count = selfishIn(this.#byKey.get(key));
    for (const [length, table] of this.#byPrefix) {
      if (length <= key.length) count += selfishIn(table.get(key.substring(0, length)));
    }
    return count;
  }

  /** The topic of a subscription that an event of `key` would reach. */
  topicOf(key: string): Topic | undefined {
    if (this.#byKey.has(key)) return key;
    for (const [length, table] of this.#byPrefix) {
      const prefix = key.substring(0, length);
      if (length <= key.length && table.has(prefix)) return { prefix };
    }
    return undefined;
  }

  /**
   * Hands the event of a published key to its subscribers, those that were there when `newest` was the newest: a callback
   * may subscribe, and what was not there when the event came is not called with it. With `isOwn` to those only who hear what
   * their own bus publishes. Returns how many took it: all but the queues of prefixes that overflow, or hold a gap or
   * overflow event that covers it.
   */
  deliver(key: string, metadata?: EventMetadata, before?: number, isOwn = false): number {
    const newest = before ?? this.#serial;
    let taken = 0;
    // A key fresh from a datagram has no hash yet: looking it up in an empty map would make one.
    const exact = this.#byKey.size === 0 ? undefined : this.#byKey.get(key);
    if (exact !== undefined) taken += this.#offer(exact, publish(exact.text, metadata), newest, isOwn);
    if (this.#byPrefix.size === 0) return taken;
    for (const [length, table] of this.#byPrefix) {
      if (length > key.length) continue;
      const group = table.get(key.substring(0, length));
      if (group !== undefined) taken += this.#offer(group, publish(detach(key), metadata), newest, isOwn);
    }
    return taken;
  }

  /**
   * Runs what delivers many keys. When all callbacks run in one context, it is entered once for all the keys: it costs 70 to
   * 500 ns.
   */
  within<R>(deliver: () => R): R {
    if (this.#entries.size !== 1) return this.#inside(undefined, deliver);
    const [enter] = this.#entries.keys();
    return enter === undefined ? deliver() : enter(() => this.#inside(enter, deliver));
  }

  #inside<R>(entered: EnterContext | undefined, deliver: () => R): R {
    const outer = this.#entered;
    this.#entered = entered;
    try {
      return deliver();
    } finally {
      this.#entered = outer;
    }
  }

  /** The newest subscription: they are counted. */
  get newest(): number {
    return this.#serial;
  }

  /**
   * The same in steps: each subscriber comes out when it has the event, callbacks first. Subscriptions may come and go in
   * between.
   */
  *offers(key: string, newest: number, isOwn = false): Generator<Subscriber, void, undefined> {
    const offers: [Group, SyncEvent][] = [];
    const exact = this.#byKey.get(key);
    if (exact !== undefined) offers.push([exact, publish(exact.text, undefined)]);
    for (const [length, table] of this.#byPrefix) {
      const group = length > key.length ? undefined : table.get(key.substring(0, length));
      if (group !== undefined) offers.push([group, publish(detach(key), undefined)]);
    }
    for (const isIterated of CALLBACKS_FIRST) {
      for (const [group, event] of offers) yield* this.#offers(group, event, newest, isOwn, isIterated);
    }
  }

  /** Tells all, in steps, that events were lost: each gets one for its own key or prefix. */
  *tell(cause: "gap" | "overflow"): Generator<Subscriber, void, undefined> {
    // Maps are walked while callbacks subscribe: what they add is met and left out, so the walk ends.
    const newest = this.#serial;
    for (const isIterated of CALLBACKS_FIRST) {
      if (isIterated && this.#iterated === 0) continue;
      for (const group of this.#groups()) {
        yield* this.#offers(group, { key: group.text, cause }, newest, false, isIterated);
      }
    }
  }

  /** Tells all of a gap at once. */
  gap(): void {
    for (const _ of this.tell("gap")) { /* They have it. */ }
  }

  /** From now on nothing is delivered, not even to those whose turn was still to come. */
  stop(): void {
    this.#stopped = true;
  }

  /** Closes all. */
  closeAll(): void {
    for (const { subscribers } of this.#groups()) {
      for (const subscriber of subscribers) subscriber.close();
    }
  }

  *#groups(): Generator<Group, void, undefined> {
    yield* this.#byKey.values();
    for (const table of this.#byPrefix.values()) yield* table.values();
  }

  #offer(group: Group, event: SyncEvent, newest: number, isOwn: boolean): number {
    let taken = 0;
    // What is published by this bus is delivered at once when nothing else is, in the context of whoever publishes.
    const entered = isOwn ? undefined : this.#entered;
    for (const subscriber of group.subscribers) {
      if (this.#stopped) break;
      if (subscriber.serial > newest || isOwn && !subscriber.self) continue;
      const offered = subscriber.offer(event, entered);
      this.counts.events++;
      if (offered === "merged" || offered === "covered") this.counts.merged++;
      if (offered === "overflow") this.counts.overflows++;
      if (offered === "queued" || offered === "merged") taken++;
    }
    return taken;
  }

  *#offers(
    group: Group,
    event: SyncEvent,
    newest: number,
    isOwn: boolean,
    isIterated: boolean,
  ): Generator<Subscriber, void, undefined> {
    for (const subscriber of group.subscribers) {
      if (this.#stopped) break;
      if (subscriber.isIterated !== isIterated || subscriber.serial > newest || isOwn && !subscriber.self) continue;
      const offered = subscriber.offer(event, this.#entered);
      this.counts.events++;
      if (offered === "merged" || offered === "covered") this.counts.merged++;
      if (offered === "overflow" || event.cause === "overflow") this.counts.overflows++;
      yield subscriber;
    }
  }

  #find(topic: Topic): Group | undefined {
    if (typeof topic === "string") return this.#byKey.get(topic);
    return this.#byPrefix.get(topic.prefix.length)?.get(topic.prefix);
  }

  #insert(subscriber: Subscriber): void {
    const { topic } = subscriber;
    const group = this.#find(topic);
    if (group !== undefined) {
      group.subscribers.add(subscriber);
      return;
    }
    const text = textOf(topic);
    const table = typeof topic === "string" ? this.#byKey : this.#byPrefix.get(text.length) ?? new Map<string, Group>();
    if (typeof topic !== "string") this.#byPrefix.set(text.length, table);
    table.set(text, { text, subscribers: new Set([subscriber]) });
  }

  /** One callback less runs in it. */
  #leave(enter: EnterContext | undefined): void {
    if (enter === undefined) return;
    const others = (this.#entries.get(enter) ?? 0) - 1;
    if (others > 0) this.#entries.set(enter, others);
    else this.#entries.delete(enter);
  }

  readonly #onClose = (subscriber: Subscriber): void => {
    const { topic } = subscriber;
    if (subscriber.self) this.selfish--;
    if (subscriber.isIterated) this.#iterated--;
    this.#leave(subscriber.enter);
    const group = this.#find(topic);
    if (group === undefined) return;
    group.subscribers.delete(subscriber);
    if (group.subscribers.size > 0) return;
    if (typeof topic === "string") {
      this.#byKey.delete(topic);
      return;
    }
    const table = this.#byPrefix.get(topic.prefix.length);
    table?.delete(topic.prefix);
    if (table?.size === 0) this.#byPrefix.delete(topic.prefix.length);
  };
}

function publish(key: string, metadata: EventMetadata | undefined): SyncEvent {
  return metadata === undefined ? { key, cause: "publish" } : { ...metadata, key, cause: "publish" };
}

function selfishIn(group: Group | undefined): number {
  let count = 0;
  for (const { self } of group?.subscribers ?? []) count += self ? 1 : 0;
  return count;
}

function ofTopic(name: string): string | undefined {
  return TOPIC[name] && "it belongs to the topic";
}

function besideTopic(name: string): string | undefined {
  return SUBSCRIBE_OPTIONS[name] && "it is an option, and these have an object of their own";
}

function textOf(topic: Topic): string {
  return typeof topic === "string" ? topic : topic.prefix;
}

/** Nearly always a mistake, and keys may end in `*` all the same. */
function noPattern(text: string): Error {
  const prefix = show(text.replace(/\*+$/, ""));
  return new TypeError(
    `Cannot match keys by a pattern as \`*\` is no wildcard: current value is ${show(text)} ` +
      `(did you mean { prefix: ${prefix} }?)`,
  );
}

/** Refuses what no key can be, or begin with. */
function checkTopic(action: string, topic: Topic, limit: number): void {
  const text: unknown = typeof topic === "object" && topic !== null ? topic.prefix : topic;
  const bytes = typeof text === "string" ? utf8Length(text) : ILL_FORMED;
  if (typeof text !== "string" || bytes === ILL_FORMED) {
    throw new TypeError(
      `Cannot ${action} as the topic must be a well-formed string or { prefix: string }: current value is ${
        show(topic)
      }`,
    );
  }
  if (bytes > limit) throw new KeyTooLongError(text, bytes, limit, action);
}

/**
 * A key that was cut from a datagram's text keeps all of that text alive, 1,400 bytes for 16, in V8 and in
 * JavaScriptCore. A subscriber may keep keys, so it gets a text of its own: 40 to 60 ns.
 */
function detach(key: string): string {
  return (key + " ").slice(0, -1);
}
