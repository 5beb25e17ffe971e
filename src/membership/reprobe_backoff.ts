/**
 * The reprobe backoff: pauses between challenges to a node that is heard and does not respond.
 *
 * @module
 */

/** Challenges without a response, each half a heartbeat after the one before, until the pauses become longer. */
const FREE_TIMES = 4;

/** Longest pause, or a heartbeat when that is longer, in milliseconds. */
const LONGEST_PAUSE = 60_000;

/**
 * The pause after so many challenges without a response, in milliseconds: after four, each is twice as long as the one
 * before.
 */
export function pauseAfter(times: number, heartbeat: number): number {
  const pause = heartbeat / 2 * 2 ** Math.max(0, times - FREE_TIMES);
  return Math.min(pause, Math.max(LONGEST_PAUSE, heartbeat));
}
