/**
 * The subscribers of keys, or of prefixes of one length.
 *
 * @module
 */

import type { KeyBytes } from "../wire/key_bytes.ts";
import { KeyTable } from "./key_table.ts";
import type { Subscriber } from "./subscriber.ts";
import type { SyncCallback, Topic } from "./sync_bus.ts";

/** Several subscribers of one key or prefix. */
export interface Group {
  /** That of the first. */
  readonly serial: number;
  readonly topic: Topic;
  readonly subscribers: Set<Subscriber>;
}

/** Who hears of a key: one, which costs a key nothing besides, or several. */
export type Hearers = Subscriber | Group;

/** Whether it is several. */
export function isGroup(hearers: Hearers): hearers is Group {
  return "subscribers" in hearers;
}

/** Subscribers by key or prefix. The short cut is the callback of a single one. */
export class SubscriberTable extends KeyTable<Hearers, SyncCallback> {
  /** Adds one of the key or prefix `text`, whose bytes are `key`. */
  insert(key: KeyBytes, text: string, subscriber: Subscriber): void {
    const place = this.find(key, key.end);
    if (place < 0) {
      this.add(key, text, subscriber, subscriber.callback);
      return;
    }
    const hearers = this.valueAt(place);
    if (isGroup(hearers)) hearers.subscribers.add(subscriber);
    else {
      const { serial, topic } = hearers;
      this.setAt(place, { serial, topic, subscribers: new Set([hearers, subscriber]) }, undefined);
    }
  }

  /** Removes one. */
  remove(key: KeyBytes, subscriber: Subscriber): void {
    const place = this.find(key, key.end);
    if (place < 0) return;
    const hearers = this.valueAt(place);
    if (isGroup(hearers)) {
      hearers.subscribers.delete(subscriber);
      if (hearers.subscribers.size > 0) return;
    } else if (hearers !== subscriber) return;
    this.removeAt(place, key);
  }

  /** Whether it is one of those of the key or prefix. */
  holds(key: KeyBytes, subscriber: Subscriber): boolean {
    const place = this.find(key, key.end);
    if (place < 0) return false;
    const hearers = this.valueAt(place);
    return isGroup(hearers) ? hearers.subscribers.has(subscriber) : hearers === subscriber;
  }
}
