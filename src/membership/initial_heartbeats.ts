/**
 * The first heartbeats of a node, until somebody has answered.
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";
import { CHALLENGE_AGAIN } from "./path_validation.ts";

/** What {@linkcode InitialHeartbeats} are made of. The callbacks MUST NOT throw. */
export interface InitialHeartbeatsConfig {
  readonly clock: Clock;
  /** Whether nobody has answered. */
  readonly isAlone: () => boolean;
  /** Sends a heartbeat to the group. */
  readonly beat: () => void;
}

/**
 * In a large mesh few of those who hear a newcomer ask it, and by bad luck nobody does, or what they sent was lost. So it
 * calls again, as it does at seeds.
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
    const { clock, isAlone, beat: call } = this.#config;
    this.close();
    const pause = CHALLENGE_AGAIN[round];
    if (pause === undefined || !isAlone()) return;
    this.#round = round;
    this.#timer = clock.setTimer(() => {
      this.#timer = undefined;
      if (!isAlone()) return;
      call();
      this.start(round + 1);
    }, pause);
  }

  /** Whether the first was sent a moment ago. */
  get isFresh(): boolean {
    return this.#timer !== undefined && this.#round === 0 && this.#config.isAlone();
  }

  /** Calls no more. */
  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
