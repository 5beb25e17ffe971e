/**
 * One subscription.
 *
 * @module
 */

import type { EnterContext } from "./contexts.ts";
import { EventQueue, type Offered } from "./event_queue.ts";
import type { Subscription, SyncCallback, SyncEvent, Topic } from "./sync_bus.ts";
import { onAbort, type Signal } from "./signal.ts";
import { isThenable } from "./thenable.ts";

/** What a {@linkcode Subscriber} is made of. */
export interface SubscriberConfig {
  readonly topic: Topic;
  /** Counts up from subscription to subscription. */
  readonly serial: number;
  /** Gets the events; without it they are queued for an iterator. */
  readonly callback: SyncCallback | undefined;
  /** The context of whoever subscribed, where contexts are kept apart. */
  readonly enter?: EnterContext | undefined;
  /** Most undelivered events that the queue holds. */
  readonly capacity: number;
  /** Whether it hears what its own bus publishes. */
  readonly self: boolean;
  /** Called once, when it closes. */
  readonly onClose: (subscriber: Subscriber) => void;
  /** Gets what the callback threw or rejected with. */
  readonly onThrow: (error: unknown) => void;
}

/** The {@linkcode Subscription} that users hold, with the side that only {@linkcode Subscriptions} sees. */
export class Subscriber implements Subscription {
  readonly topic: Topic;
  readonly serial: number;
  readonly self: boolean;
  readonly #config: SubscriberConfig;
  readonly #queue: EventQueue | undefined;
  #detach: (() => void) | undefined;
  #closed = false;

  constructor(config: SubscriberConfig) {
    this.topic = config.topic;
    this.serial = config.serial;
    this.self = config.self;
    this.#config = config;
    if (config.callback === undefined) {
      this.#queue = new EventQueue(config.capacity, config.topic, () => this.close());
    }
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
    this.#config.onClose(this);
    this.#queue?.end();
  }

  /** Whether its events are queued for a loop. */
  get isIterated(): boolean {
    return this.#queue !== undefined;
  }

  /** The context that its callback runs in, where contexts are kept apart. */
  get enter(): EnterContext | undefined {
    return this.#config.enter;
  }

  /** Hands it an event, in the context `entered` if that is said. A callback is done with it when this returns. */
  offer(event: SyncEvent, entered?: EnterContext): Offered {
    if (this.#queue !== undefined) return this.#queue.offer(event);
    const { callback, enter, onThrow } = this.#config;
    if (callback === undefined) return "queued";
    try {
      const result = enter === entered || enter === undefined ? callback(event) : enter(() => callback(event));
      if (isThenable(result)) result.then(undefined, onThrow);
    } catch (error) {
      onThrow(error);
    }
    return "queued";
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<SyncEvent> {
    if (this.#queue === undefined) {
      throw new TypeError("Cannot iterate as the subscription has a callback: it is one or the other");
    }
    return this.#queue;
  }
}
