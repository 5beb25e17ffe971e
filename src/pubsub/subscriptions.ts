/**
 * Who wants to hear of which key.
 *
 * @module
 */

import { KeyTooLongError, misuse, show } from "../errors.ts";
import { checkSignal } from "../platform/abort_signal.ts";
import type { Contexts, EnterContext } from "../platform/contexts.ts";
import { checkKnown, knownOptions } from "../platform/known_options.ts";
import { KeyBytes } from "../wire/key_bytes.ts";
import { MAX_KEY } from "../wire/layout.ts";
import { ILL_FORMED, utf8Length } from "../wire/utf8.ts";
import { call, Subscriber, type SubscriberKind } from "./subscriber.ts";
import { type Hearers, isGroup, SubscriberTable } from "./subscriber_table.ts";
import type { SubscribeOptions, Subscription, SyncCallback, SyncEvent, Topic } from "./sync_bus.ts";

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
  readonly #onThrow: (error: unknown) => void;
  readonly #onPattern: (error: Error) => void;
  readonly #limit: number;
  readonly #contexts: Contexts | undefined;
  readonly #seed: number;
  readonly #byKey: SubscriberTable;
  /**
   * By length of the prefix: few, and walked for each key, which takes a third of what a `Map` takes. Another array when a length
   * comes or goes, as callbacks may bring that about.
   */
  #prefixes: readonly (readonly [length: number, table: SubscriberTable])[] = [];
  /** What makes bytes of a text, unless it is in use. */
  #spare: KeyBytes | undefined;
  /** How many callbacks run in which context. */
  readonly #entries = new Map<EnterContext, number>();
  /** Who was handed a key last by `deliverOne`. */
  hearer: Hearers | undefined;
  /** The context of all callbacks: `undefined` where contexts are not kept apart, and null when it is not the same for all. */
  #common: EnterContext | null | undefined;
  /** The context that was entered for all that is delivered now. */
  #entered: EnterContext | undefined;
  /** That of the last subscriber. */
  #kind: SubscriberKind | undefined;
  #serial = 0;
  #stopped = false;

  /**
   * `onCallbackError` gets what a callback threw or rejected with; `limit` is the longest key, in bytes of UTF-8. With
   * `contexts` callbacks run in the context of whoever subscribed. `onPattern` gets an error when a topic looks like a pattern.
   * `seed` makes hashes of keys that others cannot foresee.
   */
  constructor(
    onCallbackError: (error: unknown) => void,
    contexts?: Contexts,
    limit: number = MAX_KEY,
    onPattern: (error: Error) => void = () => {},
    seed = 0,
  ) {
    this.#onPattern = onPattern;
    this.#onThrow = onCallbackError;
    this.#seed = seed;
    this.#byKey = new SubscriberTable(seed);
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
      throw misuse("subscribe", "the callback must be a function", first);
    }
    if (typeof topic !== "string") checkKnown("subscribe", topic, TOPIC, besideTopic);
    checkKnown("subscribe", options, SUBSCRIBE_OPTIONS, ofTopic);
    const capacity = options?.capacity ?? DEFAULT_CAPACITY;
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw misuse("subscribe", "`capacity` must be an integer from 1", capacity, true);
    }
    const signal = options?.signal;
    if (signal !== undefined) checkSignal("subscribe", signal);
    const self = options?.self ?? false;
    if (typeof self !== "boolean") {
      throw misuse("subscribe", "`self` must be a boolean", self);
    }
    // Before it is there: what is told of this may throw.
    if (textOf(topic).endsWith("*")) this.#onPattern(noPattern(textOf(topic)));
    const enter = callback && this.#contexts?.capture();
    // A copy: it is found by its topic again when it closes, whatever the caller does with the object.
    const own = typeof topic === "string" ? topic : { prefix: topic.prefix };
    const subscriber = new Subscriber(own, ++this.#serial, callback, this.#kindOf(enter, capacity, self));
    this.#insert(subscriber);
    if (self) this.selfish++;
    if (subscriber.isIterated) this.#iterated++;
    if (enter !== undefined) this.#enterOne(enter);
    if (signal !== undefined) subscriber.closeOn(signal);
    return subscriber;
  }

  /** Closes `subscription` if it is one of `topic`. */
  remove(topic: Topic, subscription: Subscription): void {
    checkTopic("unsubscribe", topic, this.#limit);
    if (!(subscription instanceof Subscriber)) {
      throw misuse("unsubscribe", "it takes what `subscribe` returned", subscription);
    }
    if (this.#tableOf(topic)?.holds(this.#encode(textOf(topic)), subscription)) subscription.close();
  }

  /** How many subscribers an event of `key` would reach. */
  count(key: string): number {
    let count = 0;
    for (const hearers of this.#hearersOf(this.#encode(key))) count += isGroup(hearers) ? hearers.subscribers.size : 1;
    return count;
  }

  /** How many of them hear what their own bus publishes. */
  countSelfish(key: string): number {
    if (this.selfish === 0) return 0;
    let count = 0;
    for (const hearers of this.#hearersOf(this.#encode(key))) {
      for (const { self } of each(hearers)) count += self ? 1 : 0;
    }
    return count;
  }

  /**
   * Hands the event of a published key to its subscribers, those that were there when `newest` was the newest: a callback
   * may subscribe, and what was not there when the event came is not called with it. With `isOwn` to those only who hear what
   * their own bus publishes. Returns how many took it: all but the queues of prefixes that overflow, or hold a gap or
   * overflow event that covers it.
   */
  deliver(key: string | KeyBytes, metadata?: EventMetadata, newest: number = this.#serial, isOwn = false): number {
    if (typeof key !== "string") return this.#deliver(key, metadata, newest, isOwn);
    const bytes = this.#encode(key);
    // A callback may deliver another key before this one is done.
    this.#spare = undefined;
    const taken = this.#deliver(bytes, metadata, newest, isOwn);
    this.#spare = bytes;
    return taken;
  }

  #deliver(key: KeyBytes, metadata: EventMetadata | undefined, newest: number, isOwn: boolean): number {
    let taken = 0;
    const table = this.#byKey;
    const place = table.size === 0 ? -1 : table.find(key, key.end);
    if (place >= 0) taken += this.#hand(table, place, publish(table.textAt(place), metadata), newest, isOwn);
    const prefixes = this.#prefixes;
    for (let i = 0; i < prefixes.length; i++) {
      const [length, table] = prefixes[i] as typeof prefixes[number];
      const place = findPrefix(table, key, length);
      if (place >= 0) taken += this.#hand(table, place, publish(key.ownText, metadata), newest, isOwn);
    }
    return taken;
  }

  #hand(table: SubscriberTable, place: number, event: SyncEvent, newest: number, isOwn: boolean): number {
    const callback = table.shortAt(place);
    // Most often whoever is there may have it, and nothing has to be entered: then not even the subscriber is read, which costs
    // 200 ns when it is in none of the processor's caches.
    if (callback === undefined || newest !== this.#serial || isOwn || !this.#isEntered()) {
      return this.#offer(table.valueAt(place), event, newest, isOwn);
    }
    call(callback, event, this.#onThrow);
    this.counts.events++;
    return 1;
  }

  /** Whether callbacks can be called as they are. */
  #isEntered(): boolean {
    return this.#common === this.#entered && !this.#stopped;
  }

  /**
   * Runs what delivers many keys. When all callbacks run in one context, it is entered once for all the keys: it costs up to
   * 700 ns.
   */
  within<R>(deliver: () => R): R {
    const enter = this.#common ?? undefined;
    return enter === undefined ? this.#inside(undefined, deliver) : enter(() => this.#inside(enter, deliver));
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
   * The same, for whoever has to look at the time in between: when several hear of the key nothing is done and -1 returned, and
   * {@linkcode Subscriptions.offer} hands it to them.
   */
  deliverOne(key: string | KeyBytes, newest: number, isOwn: boolean): number {
    const bytes = typeof key === "string" ? this.#encode(key) : key;
    let table: SubscriberTable | undefined;
    let place = this.#byKey.size === 0 ? -1 : this.#byKey.find(bytes, bytes.end);
    if (place >= 0) table = this.#byKey;
    const prefixes = this.#prefixes;
    for (let i = 0; i < prefixes.length; i++) {
      const [length, other] = prefixes[i] as typeof prefixes[number];
      const found = findPrefix(other, bytes, length);
      if (found < 0) continue;
      if (table !== undefined) return -1;
      table = other;
      place = found;
    }
    if (table === undefined) return 0;
    const hearers = table.valueAt(place);
    if (table.shortAt(place) === undefined && isGroup(hearers)) return -1;
    this.hearer = hearers;
    const event = publish(table === this.#byKey ? table.textAt(place) : bytes.ownText, undefined);
    return this.#hand(table, place, event, newest, isOwn);
  }

  /** Hands the event of a key to its subscribers in steps, callbacks first: each comes out when it has it. They may come and go in between. */
  offer(key: string | KeyBytes, newest: number, isOwn: boolean): Generator<Subscriber, void, undefined> {
    const bytes = typeof key === "string" ? this.#encode(key) : key;
    const offers = this.#hearersOf(bytes).map((hearers) => [hearers, eventOf(hearers, bytes)] as const);
    return this.#inSteps(offers, newest, isOwn);
  }

  *#inSteps(
    offers: readonly (readonly [Hearers, SyncEvent])[],
    newest: number,
    isOwn: boolean,
  ): Generator<Subscriber, void, undefined> {
    for (const isIterated of CALLBACKS_FIRST) {
      for (const [hearers, event] of offers) yield* this.#offers(hearers, event, newest, isOwn, isIterated);
    }
  }

  /** Tells all, in steps, that events were lost: each gets one for its own key or prefix. */
  *tell(cause: "gap" | "overflow"): Generator<Subscriber, void, undefined> {
    // Tables are walked while callbacks subscribe: what they add is not met, or left out, so the walk ends.
    const newest = this.#serial;
    for (const isIterated of CALLBACKS_FIRST) {
      if (isIterated && this.#iterated === 0) continue;
      for (const hearers of this.#all()) {
        yield* this.#offers(hearers, { key: textOf(hearers.topic), cause }, newest, false, isIterated);
      }
    }
  }

  /** From now on nothing is delivered, not even to those whose turn was still to come. */
  stop(): void {
    this.#stopped = true;
  }

  /** Closes all. */
  closeAll(): void {
    for (const hearers of this.#all()) for (const subscriber of each(hearers)) subscriber.close();
  }

  *#all(): Generator<Hearers, void, undefined> {
    yield* this.#byKey.values();
    for (const [, table] of this.#prefixes) yield* table.values();
  }

  /** Those who hear of a key: its own, and those of prefixes. */
  #hearersOf(key: KeyBytes): Hearers[] {
    const found: Hearers[] = [];
    const place = this.#byKey.size === 0 ? -1 : this.#byKey.find(key, key.end);
    if (place >= 0) found.push(this.#byKey.valueAt(place));
    for (const [length, table] of this.#prefixes) {
      const place = findPrefix(table, key, length);
      if (place >= 0) found.push(table.valueAt(place));
    }
    return found;
  }

  #offer(hearers: Hearers, event: SyncEvent, newest: number, isOwn: boolean): number {
    if (!isGroup(hearers)) return this.#offerOne(hearers, event, newest, isOwn) ?? 0;
    let taken = 0;
    for (const subscriber of hearers.subscribers) taken += this.#offerOne(subscriber, event, newest, isOwn) ?? 0;
    return taken;
  }

  /** Whether it took the event, as 0 or 1; `undefined` when it is not for it. */
  #offerOne(subscriber: Subscriber, event: SyncEvent, newest: number, isOwn: boolean): number | undefined {
    if (this.#stopped || subscriber.serial > newest || isOwn && !subscriber.self) return undefined;
    const offered = subscriber.offer(event, this.#entered);
    this.counts.events++;
    if (offered === "merged" || offered === "covered") this.counts.merged++;
    if (offered === "overflow" || event.cause === "overflow") this.counts.overflows++;
    return offered === "queued" || offered === "merged" ? 1 : 0;
  }

  *#offers(
    hearers: Hearers,
    event: SyncEvent,
    newest: number,
    isOwn: boolean,
    isIterated: boolean,
  ): Generator<Subscriber, void, undefined> {
    for (const subscriber of each(hearers)) {
      if (subscriber.closed || subscriber.isIterated !== isIterated) continue;
      if (this.#offerOne(subscriber, event, newest, isOwn) !== undefined) yield subscriber;
    }
  }

  /** One object for as many as are alike in a row. */
  #kindOf(enter: EnterContext | undefined, capacity: number, self: boolean): SubscriberKind {
    const last = this.#kind;
    if (last !== undefined && last.enter === enter && last.capacity === capacity && last.self === self) return last;
    return this.#kind = { enter, capacity, self, onClose: this.#onClose, onThrow: this.#onThrow };
  }

  #tableOf(topic: Topic): SubscriberTable | undefined {
    if (typeof topic === "string") return this.#byKey;
    return this.#prefixes.find(([length]) => length === topic.prefix.length)?.[1];
  }

  #insert(subscriber: Subscriber): void {
    const { topic } = subscriber;
    const text = textOf(topic);
    let table = this.#tableOf(topic);
    if (table === undefined) {
      table = new SubscriberTable(this.#seed);
      this.#prefixes = [...this.#prefixes, [text.length, table]];
    }
    table.insert(this.#encode(text), text, subscriber);
  }

  #encode(text: string): KeyBytes {
    return (this.#spare ??= new KeyBytes()).encode(text);
  }

  /** One callback more runs in it. */
  #enterOne(enter: EnterContext): void {
    this.#entries.set(enter, (this.#entries.get(enter) ?? 0) + 1);
    this.#findCommon();
  }

  /** One callback less runs in it. */
  #leave(enter: EnterContext | undefined): void {
    if (enter === undefined) return;
    const others = (this.#entries.get(enter) ?? 0) - 1;
    if (others > 0) this.#entries.set(enter, others);
    else this.#entries.delete(enter);
    this.#findCommon();
  }

  #findCommon(): void {
    const { size } = this.#entries;
    const [enter] = size === 1 ? this.#entries.keys() : [];
    this.#common = size > 1 ? null : enter;
  }

  readonly #onClose = (subscriber: Subscriber): void => {
    const { topic } = subscriber;
    if (subscriber.self) this.selfish--;
    if (subscriber.isIterated) this.#iterated--;
    this.#leave(subscriber.enter);
    const table = this.#tableOf(topic);
    if (table === undefined) return;
    table.remove(this.#encode(textOf(topic)), subscriber);
    if (table !== this.#byKey && table.size === 0) {
      this.#prefixes = this.#prefixes.filter((other) => other[1] !== table);
    }
  };
}

/** The place of the prefix of `key` that has that length, or -1. */
function findPrefix(table: SubscriberTable, key: KeyBytes, length: number): number {
  const end = key.endOf(length);
  return end < 0 ? -1 : table.find(key, end);
}

function each(hearers: Hearers): Iterable<Subscriber> {
  return isGroup(hearers) ? hearers.subscribers : [hearers];
}

function eventOf({ topic }: Hearers, key: KeyBytes): SyncEvent {
  return publish(typeof topic === "string" ? topic : key.ownText, undefined);
}

function publish(key: string, metadata: EventMetadata | undefined): SyncEvent {
  return metadata === undefined ? { key, cause: "publish" } : { ...metadata, key, cause: "publish" };
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
    throw misuse(action, "the topic must be a well-formed string or { prefix: string }", topic);
  }
  if (bytes > limit) throw new KeyTooLongError(text, bytes, limit, action);
}
