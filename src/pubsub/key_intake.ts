/**
 * Key intake: passes the keys that arrive to the load guards first, then to the subscribers.
 *
 * @module
 */

import type { KeySink, NotedBatch } from "../net/receiver.ts";
import type { KeyBytes } from "../wire/key_bytes.ts";
import type { EntryMetadata, Metadata } from "../wire/metadata.ts";
import type { DeliveryReceipt } from "./delivery_receipt.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { LoadGuards } from "./load_guard.ts";
import type { Subscriptions } from "./subscriptions.ts";

/** What a {@linkcode KeyIntake} is made of. */
export interface KeyIntakeConfig {
  readonly guards: LoadGuards;
  readonly subscriptions: Subscriptions;
  readonly dispatcher: Dispatcher;
  /** Since when the keys of the last batch may have been outstanding. Absent when nothing is numbered. */
  readonly streams: { readonly outstandingSince: number } | undefined;
  /** Gives the receipt of the batch that was accepted last, if its delivery is awaited. Absent as above. */
  readonly receipts: { readonly receipt: DeliveryReceipt | undefined } | undefined;
  /** The region of this node: what stays in other regions is not delivered. */
  readonly region: string | undefined;
}

/** A datagram that is being read. */
interface Reading {
  readonly noted: NotedBatch | undefined;
  /** The metadata of its entries, by index. */
  readonly metadata: ReadonlyMap<number, EntryMetadata> | undefined;
  readonly receipt: DeliveryReceipt | undefined;
  /** The datagram in whose callback it is read: a custom socket may hand it over there. */
  readonly outer: Reading | undefined;
}

/**
 * Passes on the keys of each datagram. Methods of the dispatcher and the subscriptions that need nothing else are bound
 * once, which saves a call for each datagram.
 */
export class KeyIntake implements KeySink {
  readonly within: (read: () => void) => void;
  readonly look: () => void;
  readonly #guards: LoadGuards;
  readonly #dispatcher: Dispatcher;
  readonly #streams: KeyIntakeConfig["streams"];
  readonly #receipts: KeyIntakeConfig["receipts"];
  readonly #region: string | undefined;
  /** The batch that is being read, if it has more than keys, or is read within a callback of one that has. */
  #reading: Reading | undefined;
  #isClosed = false;

  constructor({ guards, dispatcher, region, receipts, subscriptions, streams }: KeyIntakeConfig) {
    this.#guards = guards;
    this.#dispatcher = dispatcher;
    this.#streams = streams;
    this.#receipts = receipts;
    this.#region = region;
    this.within = subscriptions.within.bind(subscriptions);
    this.look = dispatcher.look.bind(dispatcher);
  }

  get isFull(): boolean {
    return this.#dispatcher.isFull;
  }

  begin(noted?: NotedBatch): void {
    const outer = this.#reading;
    if (noted !== undefined || outer !== undefined) {
      const receipt = noted?.isAwaited === true ? this.#receipts?.receipt : undefined;
      this.#reading = { noted, metadata: noted?.metadata && byIndex(noted.metadata), receipt, outer };
    }
    this.#dispatcher.begin(this.#streams?.outstandingSince, noted !== undefined);
  }

  take(key: KeyBytes, index: number): void {
    // A callback may close the bus in the middle of a batch.
    if (this.#isClosed) return;
    const reading = this.#reading;
    if (reading?.noted !== undefined) return this.#takeNoted(key.ownText, false, index, reading);
    if (!this.#guards.idle) this.#guards.touch(key.text);
    this.#dispatcher.take(key);
  }

  takePrefix(prefix: string, index: number): void {
    if (!this.#isClosed && this.#reading !== undefined) this.#takeNoted(prefix, true, index, this.#reading);
  }

  end(): void {
    const reading = this.#reading;
    if (reading !== undefined) {
      this.#reading = reading.outer;
      reading.receipt?.seal(reading.noted?.count ?? 0);
    }
    this.#dispatcher.end();
  }

  #takeNoted(text: string, isPrefix: boolean, index: number, { metadata, receipt }: Reading): void {
    const attached = metadata?.get(index);
    if (attached?.isForGo === true || this.#isElsewhere(attached)) return;
    if (isPrefix) this.#guards.touchPrefix(text);
    else this.#guards.touch(text);
    this.#dispatcher.takeNoted({ text, isPrefix, metadata: eventMetadata(attached), receipt: receipt?.entry(index) });
  }

  /** Whether an event stays in another region than that of this node. */
  #isElsewhere(metadata: Metadata | undefined): boolean {
    const region = metadata?.scope === "local" ? metadata.region : undefined;
    return region !== undefined && this.#region !== undefined && region !== this.#region;
  }

  /** Nothing is delivered any more. */
  close(): void {
    this.#isClosed = true;
  }
}

/** Of several entries with one index the first counts. */
function byIndex(entries: readonly EntryMetadata[]): ReadonlyMap<number, EntryMetadata> {
  const found = new Map<number, EntryMetadata>();
  for (const entry of entries) if (!found.has(entry.index)) found.set(entry.index, entry);
  return found;
}

/** What an event carries of the metadata of its entry. */
function eventMetadata(entry: EntryMetadata | undefined): Metadata | undefined {
  if (entry === undefined) return undefined;
  const { index: _index, isForGo: _isForGo, ...metadata } = entry;
  return metadata;
}
