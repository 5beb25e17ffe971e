/**
 * The streams that a node keeps: of those that are there, and of those that are gone and may come back.
 *
 * @module
 */

import type { Endpoint } from "./address.ts";
import { PeerStream } from "./peer_stream.ts";
import type { HoleCount } from "./window.ts";
import { formatNodeId } from "./wire/node_id.ts";
import { equalBytes } from "./wire/packet.ts";

/** By node id. The one that was heard last is found without a look-up. */
export class StreamTable {
  readonly #capacity: number;
  readonly #openedAt: number;
  readonly #holes: HoleCount = { trusted: 0, untrusted: 0 };
  readonly #streams = new Map<string, PeerStream>();
  /** Those of nodes that are gone, the longest gone first. */
  readonly #gone = new Set<PeerStream>();
  #latest: PeerStream | undefined;

  /** At most `capacity` streams. Of each, nothing must be missed from `openedAt` on. */
  constructor(capacity: number, openedAt: number) {
    this.#capacity = capacity;
    this.#openedAt = openedAt;
  }

  /** All of them. */
  get all(): Iterable<PeerStream> {
    return this.#streams.values();
  }

  /** The stream of a node, by the text of its id. */
  get(id: string): PeerStream | undefined {
    return this.#streams.get(id);
  }

  /** The stream of a node; `nodeId` may be a view. */
  find(nodeId: Uint8Array): PeerStream | undefined {
    const latest = this.#latest;
    if (latest !== undefined && equalBytes(latest.nodeId, nodeId)) return latest;
    return this.#latest = this.#streams.get(formatNodeId(nodeId));
  }

  /** Takes in a newcomer. Who has been gone for longest gives way; `undefined` when nobody is. */
  admit(nodeId: Uint8Array, source: Endpoint, now: number): PeerStream | undefined {
    if (this.#streams.size >= this.#capacity) {
      const [longest] = this.#gone;
      if (longest === undefined) return undefined;
      this.forget(longest);
    }
    const stream = new PeerStream(nodeId, formatNodeId(nodeId), source, this.#openedAt, now, this.#holes);
    this.#streams.set(stream.id, stream);
    return this.#latest = stream;
  }

  /** Whether its node is gone. */
  isGone(stream: PeerStream): boolean {
    return this.#gone.has(stream);
  }

  /** Its node is gone. */
  markGone(stream: PeerStream): void {
    this.#gone.add(stream);
  }

  /** Its node is there again. */
  markBack(stream: PeerStream): void {
    this.#gone.delete(stream);
  }

  /** Keeps nothing of it. */
  forget(stream: PeerStream): void {
    this.#gone.delete(stream);
    this.#streams.delete(stream.id);
    if (this.#latest === stream) this.#latest = undefined;
  }
}
