/**
 * Watch: records the events of the doctor's node, and waits until no more peers join.
 *
 * @module
 */

import type { MeshBus } from "../mod.ts";
import type { Clock } from "../src/platform/clock.ts";
import { pause } from "./pause.ts";
import { QUIET } from "./phases.ts";

/** Largest number of failed look-ups that are reported. */
const MOST_FAILURES = 8;

/** Records what happens to a node. */
export class Watch {
  /** Ids of the node itself and of all peers that it has had. */
  readonly known: Set<string> = new Set();
  /** Why seed names could not be resolved. */
  readonly resolveErrors: Set<string> = new Set();
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;
  #changedAt: number;

  /** Listens to the events of the node until the node is closed. */
  constructor(mesh: MeshBus, clock: Clock, signal: AbortSignal | undefined) {
    this.#clock = clock;
    this.#signal = signal;
    this.#changedAt = clock.now();
    this.known.add(mesh.nodeId);
    mesh.events.listen((event) => {
      if (event.type === "peerJoined") this.known.add(event.peer.id);
      if (event.type === "peerJoined" || event.type === "peerLeft") this.#changedAt = clock.now();
      const isFailure = event.type === "error" && event.stage === "resolve" && this.resolveErrors.size < MOST_FAILURES;
      if (isFailure) this.resolveErrors.add(event.error.message);
    });
  }

  /**
   * Resolves at `start` when there is a peer, and none has joined or left for a while. Otherwise calls `onLate`, and
   * resolves at `end` at the latest.
   */
  async quiet(start: number, end: number, onLate: () => void): Promise<void> {
    const clock = this.#clock;
    await this.#calm(start, start);
    if (clock.now() >= end || this.#left(start) <= 0) return;
    onLate();
    await this.#calm(start, end);
  }

  /** Resolves when there is nothing more to wait for, or at `end`. */
  async #calm(start: number, end: number): Promise<void> {
    const clock = this.#clock;
    for (let time = clock.now(); time < end && !this.#signal?.aborted; time = clock.now()) {
      const left = this.#left(start);
      if (left <= 0) return;
      await pause(Math.min(left, end - time), this.#signal, clock);
    }
  }

  #left(start: number): number {
    const time = this.#clock.now();
    return this.known.size > 1 ? Math.max(start, this.#changedAt + QUIET) - time : QUIET;
  }
}
