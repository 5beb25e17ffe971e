/**
 * Initial heartbeats: a joining node repeats its first heartbeat to the group until a node has responded.
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";
import { CHALLENGE_AGAIN } from "./path_validation.ts";

/** What {@linkcode InitialHeartbeats} are made of. The callbacks MUST NOT throw. */
export interface InitialHeartbeatsConfig {
  readonly clock: Clock;
  /** Whether no node has responded. */
  readonly isAlone: () => boolean;
  /** Sends a heartbeat to the group. */
  readonly beat: () => void;
}

/**
 * In a large mesh few of the nodes that hear a joining node send it a path challenge. It may happen that none does, or
 * that what they sent is lost. So the joining node repeats its heartbeat, at the times at which it challenges seeds.
 */
export class InitialHeartbeats {
  readonly #config: InitialHeartbeatsConfig;
  #timer: Timer | undefined;
  #round = 0;

  constructor(config: InitialHeartbeatsConfig) {
    this.#config = config;
  }

  /** The first heartbeat was sent. */
  start(round = 0): void {
    const { clock, isAlone, beat } = this.#config;
    this.close();
    const pause = CHALLENGE_AGAIN[round];
    if (pause === undefined || !isAlone()) return;
    this.#round = round;
    this.#timer = clock.setTimer(() => {
      this.#timer = undefined;
      if (!isAlone()) return;
      beat();
      this.start(round + 1);
    }, pause);
  }

  /** Whether the first heartbeat was sent less than 0.1 s ago, and no node has responded. */
  get isFresh(): boolean {
    return this.#timer !== undefined && this.#round === 0 && this.#config.isAlone();
  }

  /** Sends no more heartbeats. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
