/**
 * Waits for others beside a node that is open.
 *
 * @module
 */

import type { MeshBus } from "../mod.ts";
import type { Clock } from "../src/platform/clock.ts";
import { pause } from "./pause.ts";
import { QUIET } from "./phases.ts";

/** Failed look-ups that are told of. */
const MOST_FAILURES = 8;

/** What has happened to a node. */
export class Watch {
  /** Ids of all nodes that it has known. */
  readonly known: Set<string> = new Set();
  /** Why names could not be looked up. */
  readonly errorReporter: Set<string> = new Set();
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;
  #changedAt: number;

  /** Listens to the events of the node until that is closed. */
  constructor(mesh: MeshBus, clock: Clock, signal: AbortSignal | undefined) {
    this.#clock = clock;
    this.#signal = signal;
    this.#changedAt = clock.now();
    this.known.add(mesh.nodeId);
    mesh.events.listen((event) => {
      if (event.type === "peerJoined") this.known.add(event.peer.id);
      if (event.type === "peerJoined" || event.type === "peerLeft") this.#changedAt = clock.now();
      const isFailure = event.type === "error" && event.stage === "resolve" && this.errorReporter.size < MOST_FAILURES;
      if (isFailure) this.errorReporter.add(event.error.message);
    });
  }

  /** Resolves at `start` when there is somebody, and nobody has come for a while; else calls `onLate`, and at `end` at last. */
  async quiet(start: number, end: number, onLate: () => void): Promise<void> {
    const clock = this.#clock;
    await this.#calm(start, start);
    if (clock.now() >= end || this.#left(start) <= 0) return;
    onLate();
    await this.#calm(start, end);
  }

  /** Resolves when nothing is left to be waited for, at `end` in any case. */
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
