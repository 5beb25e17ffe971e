/**
 * Subscriber: one subscription, with the callback or the event queue that its events go to.
 *
 * @module
 */

import { onAbort, type Signal } from "../platform/abort_signal.ts";
import type { EnterContext } from "../platform/contexts.ts";
import { isThenable } from "../platform/thenable.ts";
import type { EntryReceipt, SettleWaits } from "./delivery_receipt.ts";
import { EventQueue, type Offered } from "./event_queue.ts";
import type { Subscription, SyncCallback, SyncEvent, Topic } from "./sync_bus.ts";

/**
 * The part of a {@linkcode Subscriber} that many share: most subscriptions of a bus differ only in topic and callback.
 */
export interface SubscriberKind {
  /** The async context of the caller of `subscribe`, where contexts are kept apart. */
  readonly enter: EnterContext | undefined;
  /** Largest number of undelivered events in a queue. */
  readonly capacity: number;
  /** Whether it gets what its own bus publishes. */
  readonly self: boolean;
  /** Called once, when the subscription closes. */
  readonly onClose: (subscriber: Subscriber) => void;
  /**
   * How long the promise of the callback is waited for, in milliseconds, before an event counts as delivered. Absent
   * when it is not.
   */
  readonly settleTimeout: number | undefined;
  readonly waits: SettleWaits;
  /** Gets what the callback threw or rejected with. */
  readonly onThrow: (error: unknown) => void;
}

/**
 * The {@linkcode Subscription} that users hold, with the side that only {@linkcode Subscriptions} uses. There may be a
 * million: until an event is queued it consists of its fields alone, 80 bytes on Node.
 */
export class Subscriber implements Subscription {
  readonly topic: Topic;
  readonly serial: number;
  readonly #callback: SyncCallback | undefined;
  readonly #kind: SubscriberKind;
  #queue: EventQueue | undefined;
  #detach: (() => void) | undefined;
  #closed = false;

  /**
   * `serial` counts up from subscription to subscription. `callback` gets the events; without it they are queued for an
   * iterator.
   */
  constructor(topic: Topic, serial: number, callback: SyncCallback | undefined, kind: SubscriberKind) {
    this.topic = topic;
    this.serial = serial;
    this.#callback = callback;
    this.#kind = kind;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Closes the subscription when `signal` aborts, or now if it already has. */
  closeOn(signal: Signal): void {
    if (signal.aborted) this.close();
    else this.#detach = onAbort(signal, () => this.close());
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#detach?.();
    this.#kind.onClose(this);
    this.#queue?.end();
  }

  /** Whether its events are queued for an iterator. */
  get isIterated(): boolean {
    return this.#callback === undefined;
  }

  /** The callback that gets its events; `undefined` when it is iterated. */
  get callback(): SyncCallback | undefined {
    return this.#callback;
  }

  /** The context that its callback runs in, where contexts are kept apart. */
  get enter(): EnterContext | undefined {
    return this.#kind.enter;
  }

  /** Whether it gets what its own bus publishes. */
  get self(): boolean {
    return this.#kind.self;
  }

  /**
   * Delivers or queues an event. `entered` is the context that the caller runs in, if known. A callback has returned
   * when this returns. `receipt` is given when the delivery is awaited.
   */
  offer(event: SyncEvent, entered?: EnterContext, receipt?: EntryReceipt): Offered {
    const callback = this.#callback;
    if (callback === undefined) return this.#queued().offer(event);
    const { enter, onThrow } = this.#kind;
    const isEntered = enter === entered || enter === undefined;
    if (receipt !== undefined) callAwaited(isEntered ? callback : within(enter, callback), event, this.#kind, receipt);
    else if (isEntered) call(callback, event, onThrow);
    else call(within(enter, callback), event, onThrow);
    return "queued";
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<SyncEvent> {
    if (this.#callback !== undefined) {
      throw new TypeError("Cannot iterate as the subscription has a callback: it is one or the other");
    }
    return this.#queued();
  }

  #queued(): EventQueue {
    if (this.#queue !== undefined) return this.#queue;
    const queue = this.#queue = new EventQueue(this.#kind.capacity, this.topic, () => this.close());
    if (this.#closed) queue.end();
    return queue;
  }
}

/** Calls a callback in the current context. What it throws or rejects with goes to `onThrow`. */
export function call(callback: SyncCallback, event: SyncEvent, onThrow: (error: unknown) => void): void {
  try {
    const result = callback(event);
    if (isThenable(result)) result.then(undefined, onThrow);
  } catch (error) {
    onThrow(error);
  }
}

/** The same when the delivery is awaited. */
function callAwaited(
  callback: SyncCallback,
  event: SyncEvent,
  { onThrow, settleTimeout, waits }: SubscriberKind,
  receipt: EntryReceipt,
): void {
  try {
    const result = callback(event);
    if (!isThenable(result)) return;
    result.then(undefined, onThrow);
    if (settleTimeout !== undefined) receipt.wait(result, settleTimeout, waits);
  } catch (error) {
    onThrow(error);
    receipt.fail();
  }
}

/** A function of its own, so that {@linkcode Subscriber.offer} allocates no closure. */
function within(enter: EnterContext, callback: SyncCallback): SyncCallback {
  return (event) => enter(() => callback(event));
}
