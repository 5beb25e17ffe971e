/**
 * Subscriber table: the subscribers by key, or by prefixes of one length.
 *
 * @module
 */

import type { KeyBytes } from "../wire/key_bytes.ts";
import { KeyTable } from "./key_table.ts";
import type { Subscriber } from "./subscriber.ts";
import type { SyncCallback, Topic } from "./sync_bus.ts";

/** Several subscribers of one key or prefix. */
export interface Group {
  /** The serial of the first subscriber. */
  readonly serial: number;
  readonly topic: Topic;
  readonly subscribers: Set<Subscriber>;
}

/** The subscribers of a key: a single one, which needs no further object, or a group. */
export type Recipients = Subscriber | Group;

/** Whether there are several. */
export function isGroup(recipients: Recipients): recipients is Group {
  return "subscribers" in recipients;
}

/** Subscribers by key or prefix. The short form of an entry is the callback of its only subscriber. */
export class SubscriberTable extends KeyTable<Recipients, SyncCallback> {
  /** Adds a subscriber of the key or prefix `text`, whose bytes are `key`. */
  insert(key: KeyBytes, text: string, subscriber: Subscriber): void {
    const place = this.find(key, key.end);
    if (place < 0) {
      this.add(key, text, subscriber, subscriber.callback);
      return;
    }
    const recipients = this.valueAt(place);
    if (isGroup(recipients)) recipients.subscribers.add(subscriber);
    else {
      const { serial, topic } = recipients;
      this.setAt(place, { serial, topic, subscribers: new Set([recipients, subscriber]) }, undefined);
    }
  }

  /** Removes a subscriber. */
  remove(key: KeyBytes, subscriber: Subscriber): void {
    const place = this.find(key, key.end);
    if (place < 0) return;
    const recipients = this.valueAt(place);
    if (isGroup(recipients)) {
      recipients.subscribers.delete(subscriber);
      if (recipients.subscribers.size > 0) return;
    } else if (recipients !== subscriber) return;
    this.removeAt(place, key);
  }

  /** Whether `subscriber` is one of those of the key or prefix. */
  holds(key: KeyBytes, subscriber: Subscriber): boolean {
    const place = this.find(key, key.end);
    if (place < 0) return false;
    const recipients = this.valueAt(place);
    return isGroup(recipients) ? recipients.subscribers.has(subscriber) : recipients === subscriber;
  }
}
