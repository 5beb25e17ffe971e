/**
 * The streams that a node keeps: of those that are there, and of those that are gone and may come back.
 *
 * @module
 */

import type { Endpoint } from "../platform/endpoint.ts";
import { formatNodeId } from "../wire/node_id.ts";
import { equalBytes } from "../wire/packet.ts";
import { ReceiveStream } from "./receive_stream.ts";
import type { HoleCount } from "./receive_window.ts";

/** By node id. The one that was heard last is found without a look-up. */
export class ReceiveStreamTable {
  readonly #capacity: number;
  #openedAt: number;
  readonly #holes: HoleCount = { trusted: 0, untrusted: 0, asked: 0, recovered: 0 };
  readonly #streams = new Map<string, ReceiveStream>();
  /** Those of nodes that are gone, the longest gone first. They are kept as long as there is room: late copies look like news. */
  readonly #gone = new Set<ReceiveStream>();
  /** Those of nodes that have never answered, which may be inventions: the oldest first. */
  readonly #unproven = new Set<ReceiveStream>();
  #latest: ReceiveStream | undefined;

  /** At most `capacity` streams. Of each, nothing must be missed from `openedAt` on. */
  constructor(capacity: number, openedAt: number) {
    this.#capacity = capacity;
    this.#openedAt = openedAt;
  }

  /** All of them. */
  get all(): Iterable<ReceiveStream> {
    return this.#streams.values();
  }

  /** The clock has stood still for so many milliseconds until now: all that was before is as much longer ago. */
  sleep(time: number, now: number): void {
    this.#openedAt -= time;
    for (const stream of this.#streams.values()) stream.sleep(time, now);
  }

  /** What all have together, those that are forgotten too. */
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
   * Takes in a newcomer. The oldest that has never answered gives way, else who has been gone for longest; `undefined` when
   * nobody is.
   */
  admit(nodeId: Uint8Array, source: Endpoint, now: number): ReceiveStream | undefined {
    if (this.#streams.size >= this.#capacity) {
      const [weakest] = this.#unproven.size > 0 ? this.#unproven : this.#gone;
      if (weakest === undefined) return undefined;
      this.forget(weakest);
    }
    const stream = new ReceiveStream(nodeId, formatNodeId(nodeId), source, this.#openedAt, now, this.#holes);
    this.#streams.set(stream.id, stream);
    this.#unproven.add(stream);
    return this.#latest = stream;
  }

  /** Its node is gone. */
  markGone(stream: ReceiveStream): void {
    this.#gone.add(stream);
    stream.window.trust(false);
  }

  /** Its node is there again. */
  markBack(stream: ReceiveStream): void {
    this.#gone.delete(stream);
    stream.window.trust(stream.isValidated);
  }

  /** Its node has answered. */
  markValidated(stream: ReceiveStream): void {
    this.#unproven.delete(stream);
  }

  /** Keeps nothing of it. */
  forget(stream: ReceiveStream): void {
    // It wants nothing any more.
    stream.window.startAt(stream.window.highest + 1);
    stream.catchUp = undefined;
    this.#gone.delete(stream);
    this.#unproven.delete(stream);
    this.#streams.delete(stream.id);
    if (this.#latest === stream) this.#latest = undefined;
  }
}
