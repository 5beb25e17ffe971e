/**
 * Subscriptions: finds the subscribers of a key and delivers events to them.
 *
 * @module
 */

import { KeyTooLongError, misuse, show } from "../errors.ts";
import { checkSignal } from "../platform/abort_signal.ts";
import type { Clock } from "../platform/clock.ts";
import type { Contexts, EnterContext } from "../platform/contexts.ts";
import { checkKnown, knownOptions } from "../platform/known_options.ts";
import { KeyBytes } from "../wire/key_bytes.ts";
import { MAX_KEY } from "../wire/layout.ts";
import { ILL_FORMED, utf8Length } from "../wire/utf8.ts";
import { type EntryReceipt, SettleWaits } from "./delivery_receipt.ts";
import { call, Subscriber, type SubscriberKind } from "./subscriber.ts";
import { isGroup, type Recipients, SubscriberTable } from "./subscriber_table.ts";
import type { SubscribeOptions, Subscription, SyncCallback, SyncEvent, Topic } from "./sync_bus.ts";

/** Default number of events that an iterated subscription holds: the capacity of a subscriber's channel in go-warp. */
const DEFAULT_CAPACITY = 32;

const SUBSCRIBE_OPTIONS = knownOptions<SubscribeOptions>({
  capacity: true,
  self: true,
  deliveredWhen: true,
  settleTimeout: true,
  signal: true,
});
const TOPIC = knownOptions<Exclude<Topic, string>>({ prefix: true });

/** Default and most of `settleTimeout`, in milliseconds. The default is half of that for the publisher. */
const SETTLE_TIMEOUT = { default: 5000, most: 600_000 };

/** Entries of a table that are looked at in a row for a published prefix, before the caller may check the time. */
const WALK_STRIDE = 256;

/** The order of delivery: callbacks come first, so that they have run when an iterator gets the event. */
const CALLBACKS_FIRST = [false, true] as const;

/** The metadata that a publisher attached to a key. */
export type EventMetadata = Omit<SyncEvent, "key" | "cause" | "prefix">;

/** Counters of {@linkcode Subscriptions}. */
export interface SubscriptionCounts {
  /** Events given to callbacks and queues, including merged ones and gap events. */
  events: number;
  /** Events merged into an undelivered one, or covered by one. */
  merged: number;
  /** Overflow events: how often a subscription was too slow. */
  overflows: number;
}

/**
 * Subscribers by key and by prefix. Delivering a key costs one look-up for the key and one for each distinct length of
 * the prefixes, however many subscribers there are.
 */
export class Subscriptions {
  /** Counts since the start. */
  readonly counts: SubscriptionCounts = { events: 0, merged: 0, overflows: 0 };
  /** Number of subscriptions that get what their own bus publishes. */
  selfish = 0;
  /** Number of iterated subscriptions. */
  #iterated = 0;
  readonly #onThrow: (error: unknown) => void;
  readonly #onPattern: (error: Error) => void;
  readonly #limit: number;
  readonly #contexts: Contexts | undefined;
  readonly #seed: number;
  readonly #byKey: SubscriberTable;
  /**
   * Tables by length of the prefix. They are few and walked for each key, which takes a third of the time of a `Map`.
   * The array is replaced when a length comes or goes, as a callback may cause that during a walk.
   */
  #prefixes: readonly (readonly [length: number, table: SubscriberTable])[] = [];
  /** The key encoder, unless it is in use. */
  #spare: KeyBytes | undefined;
  /** Number of callbacks that run in each context. */
  readonly #entries = new Map<EnterContext, number>();
  /** The subscribers that `deliverOne` last delivered to. */
  lastRecipients: Recipients | undefined;
  /**
   * The context of all callbacks: `undefined` where contexts are not kept apart, null when callbacks have different
   * ones.
   */
  #common: EnterContext | null | undefined;
  /** The context that was entered for all current deliveries. */
  #entered: EnterContext | undefined;
  readonly #waits: SettleWaits;
  /** The kind of the last subscriber that was added. */
  #kind: SubscriberKind | undefined;
  #serial = 0;
  #stopped = false;

  /**
   * `onCallbackError` gets what a callback threw or rejected with. `limit` is the longest key in bytes of UTF-8. With
   * `contexts` callbacks run in the context of the caller of `subscribe`. `onPattern` gets an error when a topic looks
   * like a pattern. `seed` makes the hashes of keys unpredictable to others. `clock` limits how long promises of
   * callbacks are waited for.
   */
  constructor(
    onCallbackError: (error: unknown) => void,
    contexts?: Contexts,
    limit: number = MAX_KEY,
    onPattern: (error: Error) => void = () => {},
    seed = 0,
    clock: Pick<Clock, "setTimer"> | undefined = undefined,
  ) {
    this.#onPattern = onPattern;
    this.#onThrow = onCallbackError;
    this.#seed = seed;
    this.#byKey = new SubscriberTable(seed);
    this.#limit = limit;
    this.#contexts = contexts;
    this.#waits = new SettleWaits(clock);
  }

  /** Adds a subscriber; the arguments are those of `SyncBus.subscribe`. */
  add(topic: Topic, first?: SyncCallback | SubscribeOptions, second?: SubscribeOptions): Subscription {
    checkTopic("subscribe", topic, this.#limit);
    const callback = typeof first === "function" ? first : undefined;
    const options = typeof first === "object" && first !== null ? first : second;
    // `undefined` and options may come first; an argument after options is a callback in the wrong place.
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
    const settleTimeout = checkSettling(options);
    // Before the subscription is added, as `onPattern` may throw.
    if (textOf(topic).endsWith("*")) this.#onPattern(noPattern(textOf(topic)));
    const enter = callback && this.#contexts?.capture();
    // A copy: closing finds the subscription by its topic, whatever the caller does with the object meanwhile.
    const own = typeof topic === "string" ? topic : { prefix: topic.prefix };
    const subscriber = new Subscriber(
      own,
      ++this.#serial,
      callback,
      this.#kindOf(enter, capacity, self, settleTimeout),
    );
    this.#insert(subscriber);
    if (self) this.selfish++;
    if (subscriber.isIterated) this.#iterated++;
    if (enter !== undefined) this.#enterOne(enter);
    if (signal !== undefined) subscriber.closeOn(signal);
    return subscriber;
  }

  /** Closes `subscription` if it subscribes to `topic`. */
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
    for (const recipients of this.#recipientsOf(this.#encode(key))) {
      count += isGroup(recipients) ? recipients.subscribers.size : 1;
    }
    return count;
  }

  /** How many of these get what their own bus publishes. */
  countSelfish(key: string): number {
    if (this.selfish === 0) return 0;
    let count = 0;
    for (const recipients of this.#recipientsOf(this.#encode(key))) {
      for (const { self } of each(recipients)) count += self ? 1 : 0;
    }
    return count;
  }

  /**
   * Delivers the event of a published key to its subscribers whose serial is at most `newest`. A callback may
   * subscribe, and a subscription made after the event came does not get it. With `isOwn` only subscriptions with
   * `self: true` get it. Returns how many took it: all but the queues of prefixes that overflow, or hold a gap or
   * overflow event that covers it. `receipt` is given when the delivery is awaited.
   */
  deliver(
    key: string | KeyBytes,
    metadata?: EventMetadata,
    newest: number = this.#serial,
    isOwn: boolean = false,
    receipt: EntryReceipt | undefined = undefined,
  ): number {
    if (typeof key !== "string") return this.#deliver(key, metadata, newest, isOwn, receipt);
    const bytes = this.#encode(key);
    // A callback may deliver another key before this one is done.
    this.#spare = undefined;
    const taken = this.#deliver(bytes, metadata, newest, isOwn, receipt);
    this.#spare = bytes;
    return taken;
  }

  #deliver(
    key: KeyBytes,
    metadata: EventMetadata | undefined,
    newest: number,
    isOwn: boolean,
    receipt?: EntryReceipt,
  ): number {
    let taken = 0;
    const table = this.#byKey;
    const place = table.size === 0 ? -1 : table.find(key, key.end);
    if (place >= 0) taken += this.#hand(table, place, publish(table.textAt(place), metadata), newest, isOwn, receipt);
    const prefixes = this.#prefixes;
    for (let i = 0; i < prefixes.length; i++) {
      const [length, table] = prefixes[i] as typeof prefixes[number];
      const place = findPrefix(table, key, length);
      if (place >= 0) taken += this.#hand(table, place, publish(key.ownText, metadata), newest, isOwn, receipt);
    }
    return taken;
  }

  #hand(
    table: SubscriberTable,
    place: number,
    event: SyncEvent,
    newest: number,
    isOwn: boolean,
    receipt?: EntryReceipt,
  ): number {
    const callback = table.shortAt(place);
    // The common case needs no check of serials and no context. Not even the subscriber is read, which costs 200 ns
    // when it is in no processor cache.
    const isCommon = newest === this.#serial && !isOwn && receipt === undefined;
    if (callback === undefined || !isCommon || !this.#isEntered()) {
      return this.#offer(table.valueAt(place), event, newest, isOwn, receipt);
    }
    call(callback, event, this.#onThrow);
    this.counts.events++;
    return 1;
  }

  /** Whether callbacks can be called in the current context. */
  #isEntered(): boolean {
    return this.#common === this.#entered && !this.#stopped;
  }

  /**
   * Runs a function that delivers many keys. When all callbacks share one context, it is entered once for all the keys:
   * entering costs up to 700 ns.
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

  /** Serial of the newest subscription. */
  get newest(): number {
    return this.#serial;
  }

  /**
   * As `deliver`, for a caller that has to check the time between callbacks. When a key has several subscribers,
   * nothing is done and -1 returned: {@linkcode Subscriptions.offer} delivers to them one by one.
   */
  deliverOne(
    key: string | KeyBytes,
    newest: number,
    isOwn: boolean,
    metadata?: EventMetadata,
    receipt?: EntryReceipt,
  ): number {
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
    const recipients = table.valueAt(place);
    if (table.shortAt(place) === undefined && isGroup(recipients)) return -1;
    this.lastRecipients = recipients;
    const event = publish(table === this.#byKey ? table.textAt(place) : bytes.ownText, metadata);
    return this.#hand(table, place, event, newest, isOwn, receipt);
  }

  /**
   * Delivers the event of a key to its subscribers in steps, callbacks first, and yields each subscriber after it got
   * the event. Subscribers may come and go in between.
   */
  offer(
    key: string | KeyBytes,
    newest: number,
    isOwn: boolean,
    metadata?: EventMetadata,
    receipt?: EntryReceipt,
  ): Generator<Subscriber, void, undefined> {
    const bytes = typeof key === "string" ? this.#encode(key) : key;
    const recipients = this.#recipientsOf(bytes);
    const offers = recipients.map((recipients) => [recipients, eventOf(recipients, bytes, metadata)] as const);
    return this.#inSteps(offers, newest, isOwn, receipt);
  }

  *#inSteps(
    offers: readonly (readonly [Recipients, SyncEvent])[],
    newest: number,
    isOwn: boolean,
    receipt?: EntryReceipt,
  ): Generator<Subscriber, void, undefined> {
    for (const isIterated of CALLBACKS_FIRST) {
      for (const [recipients, event] of offers) {
        yield* this.#offers(recipients, event, newest, isOwn, isIterated, receipt);
      }
    }
  }

  /**
   * The same for a published prefix: each subscriber of a key that begins with it, or of a prefix that has keys with it
   * in common, gets one event. All tables are walked, and `undefined` is yielded now and then, so that the caller can
   * check the time.
   */
  *offerPrefix(
    prefix: string,
    newest: number,
    isOwn: boolean,
    metadata?: EventMetadata,
    receipt?: EntryReceipt,
  ): Generator<Subscriber | undefined, void, undefined> {
    let looked = 0;
    for (const isIterated of CALLBACKS_FIRST) {
      if (isIterated && this.#iterated === 0) continue;
      for (const recipients of this.#all()) {
        if (++looked % WALK_STRIDE === 0) yield undefined;
        const key = overlap(recipients.topic, prefix);
        if (key === undefined) continue;
        const event: SyncEvent = { ...metadata, key, cause: "publish", prefix };
        yield* this.#offers(recipients, event, newest, isOwn, isIterated, receipt);
      }
    }
  }

  /** The same at once. Returns how many took it, as {@linkcode Subscriptions.deliver} does. */
  deliverPrefix(
    prefix: string,
    metadata?: EventMetadata,
    newest: number = this.#serial,
    isOwn: boolean = false,
    receipt: EntryReceipt | undefined = undefined,
  ): number {
    let taken = 0;
    for (const subscriber of this.offerPrefix(prefix, newest, isOwn, metadata, receipt)) {
      if (subscriber !== undefined) taken++;
    }
    return taken;
  }

  /** Whether there are no subscriptions. */
  get isEmpty(): boolean {
    return this.#byKey.size === 0 && this.#prefixes.length === 0;
  }

  /** Notifies all subscriptions, in steps, that events were lost: each gets an event for its own key or prefix. */
  *notify(cause: "gap" | "overflow"): Generator<Subscriber, void, undefined> {
    // Callbacks may subscribe while the tables are walked. Newer subscriptions are skipped, so the walk ends.
    const newest = this.#serial;
    for (const isIterated of CALLBACKS_FIRST) {
      if (isIterated && this.#iterated === 0) continue;
      for (const recipients of this.#all()) {
        yield* this.#offers(recipients, { key: textOf(recipients.topic), cause }, newest, false, isIterated, undefined);
      }
    }
  }

  /** Ends all deliveries, including those to subscribers whose turn was still to come. */
  stop(): void {
    this.#stopped = true;
    this.#waits.close();
  }

  /** Closes all subscriptions. */
  closeAll(): void {
    this.#waits.close();
    for (const recipients of this.#all()) for (const subscriber of each(recipients)) subscriber.close();
  }

  *#all(): Generator<Recipients, void, undefined> {
    yield* this.#byKey.values();
    for (const [, table] of this.#prefixes) yield* table.values();
  }

  /** The subscribers of a key: its own, and those of its prefixes. */
  #recipientsOf(key: KeyBytes): Recipients[] {
    const found: Recipients[] = [];
    const place = this.#byKey.size === 0 ? -1 : this.#byKey.find(key, key.end);
    if (place >= 0) found.push(this.#byKey.valueAt(place));
    for (const [length, table] of this.#prefixes) {
      const place = findPrefix(table, key, length);
      if (place >= 0) found.push(table.valueAt(place));
    }
    return found;
  }

  #offer(recipients: Recipients, event: SyncEvent, newest: number, isOwn: boolean, receipt?: EntryReceipt): number {
    if (!isGroup(recipients)) return this.#offerOne(recipients, event, newest, isOwn, receipt) ?? 0;
    let taken = 0;
    for (const subscriber of recipients.subscribers) {
      taken += this.#offerOne(subscriber, event, newest, isOwn, receipt) ?? 0;
    }
    return taken;
  }

  /** Returns 1 or 0 for whether the subscriber took the event; `undefined` when the event is not for it. */
  #offerOne(
    subscriber: Subscriber,
    event: SyncEvent,
    newest: number,
    isOwn: boolean,
    receipt?: EntryReceipt,
  ): number | undefined {
    if (this.#stopped || subscriber.serial > newest || isOwn && !subscriber.self) return undefined;
    const offered = subscriber.offer(event, this.#entered, receipt);
    receipt?.take();
    this.counts.events++;
    if (offered === "merged" || offered === "covered") this.counts.merged++;
    if (offered === "overflow" || event.cause === "overflow") this.counts.overflows++;
    return offered === "queued" || offered === "merged" ? 1 : 0;
  }

  *#offers(
    recipients: Recipients,
    event: SyncEvent,
    newest: number,
    isOwn: boolean,
    isIterated: boolean,
    receipt: EntryReceipt | undefined,
  ): Generator<Subscriber, void, undefined> {
    for (const subscriber of each(recipients)) {
      if (subscriber.closed || subscriber.isIterated !== isIterated) continue;
      if (this.#offerOne(subscriber, event, newest, isOwn, receipt) !== undefined) yield subscriber;
    }
  }

  /** One object for subscribers in a row that are alike. */
  #kindOf(
    enter: EnterContext | undefined,
    capacity: number,
    self: boolean,
    settleTimeout: number | undefined,
  ): SubscriberKind {
    const last = this.#kind;
    const isSame = last !== undefined && last.enter === enter && last.capacity === capacity && last.self === self &&
      last.settleTimeout === settleTimeout;
    if (isSame) return last;
    const [onClose, onThrow, waits] = [this.#onClose, this.#onThrow, this.#waits];
    return this.#kind = { enter, capacity, self, settleTimeout, waits, onClose, onThrow };
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

  /** One more callback runs in `enter`. */
  #enterOne(enter: EnterContext): void {
    this.#entries.set(enter, (this.#entries.get(enter) ?? 0) + 1);
    this.#findCommon();
  }

  /** One callback less runs in `enter`. */
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

/** The place of the prefix of `key` with that length, or -1. */
function findPrefix(table: SubscriberTable, key: KeyBytes, length: number): number {
  const end = key.endOf(length);
  return end < 0 ? -1 : table.find(key, end);
}

function each(recipients: Recipients): Iterable<Subscriber> {
  return isGroup(recipients) ? recipients.subscribers : [recipients];
}

function eventOf({ topic }: Recipients, key: KeyBytes, metadata: EventMetadata | undefined): SyncEvent {
  return publish(typeof topic === "string" ? topic : key.ownText, metadata);
}

/** What a topic and a published prefix have in common: a key, or the longer of two prefixes. */
function overlap(topic: Topic, prefix: string): string | undefined {
  const text = textOf(topic);
  if (text.startsWith(prefix)) return text;
  return typeof topic !== "string" && prefix.startsWith(text) ? prefix : undefined;
}

function publish(key: string, metadata: EventMetadata | undefined): SyncEvent {
  return metadata === undefined ? { key, cause: "publish" } : { ...metadata, key, cause: "publish" };
}

function checkSettling(options: SubscribeOptions | undefined): number | undefined {
  const { deliveredWhen, settleTimeout } = options ?? {};
  const { default: byDefault, most } = SETTLE_TIMEOUT;
  const isWhen = deliveredWhen === undefined || deliveredWhen === "returned" || deliveredWhen === "settled";
  if (!isWhen) throw misuse("subscribe", '`deliveredWhen` must be "returned" or "settled"', deliveredWhen);
  const isTimeout = typeof settleTimeout === "number" && settleTimeout >= 1 && settleTimeout <= most;
  if (settleTimeout !== undefined && !isTimeout) {
    throw misuse("subscribe", `\`settleTimeout\` must be a number from 1 to ${most}`, settleTimeout, true);
  }
  return deliveredWhen === "settled" ? settleTimeout ?? byDefault : undefined;
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

/** The topic is valid, as keys may end in `*`, but it is nearly always a mistake. */
function noPattern(text: string): Error {
  const prefix = show(text.replace(/\*+$/, ""));
  return new TypeError(
    `Cannot match keys by a pattern as \`*\` is no wildcard: current value is ${show(text)} ` +
      `(did you mean { prefix: ${prefix} }?)`,
  );
}

/** Refuses a topic that no key can equal or begin with. */
function checkTopic(action: string, topic: Topic, limit: number): void {
  const text: unknown = typeof topic === "object" && topic !== null ? topic.prefix : topic;
  const bytes = typeof text === "string" ? utf8Length(text) : ILL_FORMED;
  if (typeof text !== "string" || bytes === ILL_FORMED) {
    throw misuse(action, "the topic must be a well-formed string or { prefix: string }", topic);
  }
  if (bytes > limit) throw new KeyTooLongError(text, bytes, limit, action);
}
