/**
 * Pending entries: keys with metadata and prefixes that are accepted and not yet sent, and which of them covers what is
 * published next.
 *
 * Plain keys are in {@linkcode PendingKeys}, which is faster and knows keys by their bytes.
 *
 * @module
 */

import type { NotedEntry } from "../wire/batch_notes.ts";
import type { Publication } from "./publication.ts";

/** Is notified of where an entry is, and when its batch gets a number. MUST NOT throw. */
export interface DeliveryAwaiter {
  /** The entry is the key, or the prefix, with this index in its batch. */
  place(isPrefix: boolean, index: number): void;
  /** The batch has this number, and so many keys: its prefixes follow them. */
  numbered(number: number, keys: number): void;
}

/** What is published, other than a plain key without further wishes. */
export interface Entry extends Publication {
  /** Whether the key stands for a prefix, and only for Go nodes. */
  readonly isForGo: boolean;
  /** Present when the delivery is awaited. */
  readonly awaiter: DeliveryAwaiter | undefined;
}

/** An entry that is pending, in a batch of type `B`. */
export interface PendingEntry<B> {
  readonly text: string;
  readonly batch: B;
  readonly noted: NotedEntry;
}

/**
 * Pending prefixes that are compared with what is published. Beyond them a key that a prefix covers is sent as well,
 * which does no harm.
 */
const MAX_COMPARED = 64;

/** The pending entries of a batcher. */
export class PendingEntries<B> {
  /** By kind and text; of several with the same text the last one. */
  readonly #byText = new Map<string, PendingEntry<B>>();
  /** Prefixes that go to all nodes. */
  #prefixes: PendingEntry<B>[] = [];

  /** Whether there are none. */
  get isEmpty(): boolean {
    return this.#byText.size === 0;
  }

  /** Notes an entry that was added to a batch. */
  add(pending: PendingEntry<B>): void {
    const { noted, text } = pending;
    this.#byText.set(nameOf(noted, text), pending);
    if (noted.isPrefix && noted.metadata?.scope !== "local") this.#prefixes.push(pending);
  }

  /** The last pending entry of the same kind and text. */
  find(entry: Pick<Entry, "isPrefix" | "isForGo" | "text">): PendingEntry<B> | undefined {
    return this.#byText.get(nameOf(entry, entry.text));
  }

  /** A pending entry after which a plain key or prefix says nothing new: it goes to all nodes and names the same. */
  covering(text: string, isPrefix: boolean): PendingEntry<B> | undefined {
    const same = this.find({ isPrefix, isForGo: false, text });
    if (same !== undefined && same.noted.metadata?.scope !== "local") return same;
    for (let i = 0; i < this.#prefixes.length && i < MAX_COMPARED; i++) {
      const pending = this.#prefixes[i] as PendingEntry<B>;
      if (text.startsWith(pending.text)) return pending;
    }
    return undefined;
  }

  /** The entries of a batch are no longer pending. */
  take(batch: B): void {
    if (this.isEmpty) return;
    // Batches are taken in the order in which they were filled.
    for (const [name, pending] of this.#byText) if (pending.batch === batch) this.#byText.delete(name);
    this.#prefixes = this.#prefixes.filter((pending) => pending.batch !== batch);
  }
}

function nameOf({ isPrefix, isForGo }: Pick<NotedEntry, "isPrefix" | "isForGo">, text: string): string {
  return `${isPrefix ? "p" : isForGo ? "g" : "k"}${text}`;
}
