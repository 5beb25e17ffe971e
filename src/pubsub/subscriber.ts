/**
 * One subscription.
 *
 * @module
 */

import { onAbort, type Signal } from "../platform/abort_signal.ts";
import type { EnterContext } from "../platform/contexts.ts";
import { isThenable } from "../platform/thenable.ts";
import { EventQueue, type Offered } from "./event_queue.ts";
import type { Subscription, SyncCallback, SyncEvent, Topic } from "./sync_bus.ts";

/** What a {@linkcode Subscriber} shares with others: most subscriptions of a bus differ in topic and callback only. */
export interface SubscriberKind {
  /** The context of whoever subscribed, where contexts are kept apart. */
  readonly enter: EnterContext | undefined;
  /** Most undelivered events that a queue holds. */
  readonly capacity: number;
  /** Whether it hears what its own bus publishes. */
  readonly self: boolean;
  /** Called once, when it closes. */
  readonly onClose: (subscriber: Subscriber) => void;
  /** Gets what the callback threw or rejected with. */
  readonly onThrow: (error: unknown) => void;
}

/**
 * The {@linkcode Subscription} that users hold, with the side that only {@linkcode Subscriptions} sees. There may be a million:
 * until something is queued it has nothing but its fields, 80 bytes on Node.
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

  /** Closes it when `signal` aborts, now if it has already. */
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

  /** Whether its events are queued for a loop. */
  get isIterated(): boolean {
    return this.#callback === undefined;
  }

  /** What gets its events, unless they are queued. */
  get callback(): SyncCallback | undefined {
    return this.#callback;
  }

  /** The context that its callback runs in, where contexts are kept apart. */
  get enter(): EnterContext | undefined {
    return this.#kind.enter;
  }

  /** Whether it hears what its own bus publishes. */
  get self(): boolean {
    return this.#kind.self;
  }

  /** Hands it an event, in the context `entered` if that is said. A callback is done with it when this returns. */
  offer(event: SyncEvent, entered?: EnterContext): Offered {
    const callback = this.#callback;
    if (callback === undefined) return this.#queued().offer(event);
    const { enter, onThrow } = this.#kind;
    if (enter === entered || enter === undefined) call(callback, event, onThrow);
    else enterAndCall(enter, callback, event, onThrow);
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

/** Calls a callback in the context of now. It may throw, or reject: `onThrow` gets that. */
export function call(callback: SyncCallback, event: SyncEvent, onThrow: (error: unknown) => void): void {
  try {
    const result = callback(event);
    if (isThenable(result)) result.then(undefined, onThrow);
  } catch (error) {
    onThrow(error);
  }
}

/** Apart from {@linkcode Subscriber.offer}, which need not make room for what a function remembers. */
function enterAndCall(
  enter: EnterContext,
  callback: SyncCallback,
  event: SyncEvent,
  onThrow: (error: unknown) => void,
): void {
  call(() => enter(() => callback(event)), event, onThrow);
}
