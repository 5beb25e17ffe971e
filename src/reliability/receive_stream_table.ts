/**
 * Receive stream table: the streams of other nodes, of peers and of departed nodes that may come back.
 *
 * @module
 */

import type { Endpoint } from "../platform/endpoint.ts";
import { formatNodeId } from "../wire/node_id.ts";
import { equalBytes } from "../wire/packet.ts";
import { ReceiveStream } from "./receive_stream.ts";
import type { HoleCount } from "./receive_window.ts";

/** Holds the streams by node id. The stream that was heard last is found without a look-up. */
export class ReceiveStreamTable {
  readonly #capacity: number;
  #openedAt: number;
  readonly #holes: HoleCount = { trusted: 0, untrusted: 0, requested: 0, recovered: 0 };
  readonly #streams = new Map<string, ReceiveStream>();
  /**
   * The streams of departed nodes, the longest departed first. They are kept as long as there is room, as late copies
   * look like new batches.
   */
  readonly #departed = new Set<ReceiveStream>();
  /** The streams of nodes that have never answered, which may be forged: the oldest first. */
  readonly #unvalidated = new Set<ReceiveStream>();
  #latest: ReceiveStream | undefined;

  /** At most `capacity` streams. Nothing of a stream must be missed from `openedAt` on. */
  constructor(capacity: number, openedAt: number) {
    this.#capacity = capacity;
    this.#openedAt = openedAt;
  }

  /** All streams. */
  get all(): Iterable<ReceiveStream> {
    return this.#streams.values();
  }

  /**
   * The machine was suspended for so many milliseconds until now, which the clock has not counted: all that was before
   * is as much longer ago.
   */
  sleep(time: number, now: number): void {
    this.#openedAt -= time;
    for (const stream of this.#streams.values()) stream.sleep(time, now);
  }

  /** The counts of all streams together, forgotten ones included. */
  get counts(): Readonly<HoleCount> {
    return this.#holes;
  }

  /** The stream of a node, by the text of its id. */
  get(id: string): ReceiveStream | undefined {
    return this.#streams.get(id);
  }

  /** The stream of a node; `nodeId` may be a view. `id` is its text, where that is known. */
  find(nodeId: Uint8Array, id?: string): ReceiveStream | undefined {
    const latest = this.#latest;
    if (latest !== undefined && equalBytes(latest.nodeId, nodeId)) return latest;
    return this.#latest = this.#streams.get(id ?? formatNodeId(nodeId));
  }

  /**
   * Adds a stream for a new node. The oldest stream whose node has never answered gives way, else that of the longest
   * departed node; `undefined` when there is neither.
   */
  admit(nodeId: Uint8Array, source: Endpoint, now: number): ReceiveStream | undefined {
    if (this.#streams.size >= this.#capacity) {
      const [weakest] = this.#unvalidated.size > 0 ? this.#unvalidated : this.#departed;
      if (weakest === undefined) return undefined;
      this.forget(weakest);
    }
    const stream = new ReceiveStream(nodeId, formatNodeId(nodeId), source, this.#openedAt, now, this.#holes);
    this.#streams.set(stream.id, stream);
    this.#unvalidated.add(stream);
    return this.#latest = stream;
  }

  /** The node of a stream has departed. */
  markDeparted(stream: ReceiveStream): void {
    this.#departed.add(stream);
    stream.window.trust(false);
  }

  /** The node of a stream is back. */
  markBack(stream: ReceiveStream): void {
    this.#departed.delete(stream);
    stream.window.trust(stream.isValidated);
  }

  /** The node of a stream has answered. */
  markValidated(stream: ReceiveStream): void {
    this.#unvalidated.delete(stream);
  }

  /** Keeps nothing of a stream. */
  forget(stream: ReceiveStream): void {
    // Nothing of it is requested any more.
    stream.window.startAt(stream.window.highest + 1);
    stream.catchUp = undefined;
    this.#departed.delete(stream);
    this.#unvalidated.delete(stream);
    this.#streams.delete(stream.id);
    if (this.#latest === stream) this.#latest = undefined;
  }
}
