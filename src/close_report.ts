/**
 * Close report: which peers have confirmed what a node published, when it is closed.
 *
 * @module
 */

/**
 * The result of `close`: which peers have what this bus has published, as far as that could be determined within a
 * second.
 */
export interface CloseReport {
  /**
   * Whether everything that was published is known to have arrived: at all peers that can confirm it, and at least at
   * one; with every seed answered, and nothing unsent. True when nothing was published.
   */
  readonly isConfirmed: boolean;
  /** Number of peers that have confirmed everything. */
  readonly confirmed: number;
  /** Addresses of the peers that have not, and the seeds that could not be looked up or have not answered. */
  readonly unconfirmed: readonly string[];
  /**
   * Number of keys that could not be sent: accepted keys, and keys that were refused for lack of room. They are a gap
   * to the peers.
   */
  readonly unsent: number;
  /**
   * Number of peers that speak go-warp's wire format only, such as Go nodes: everything was sent to them, and they
   * cannot confirm it.
   */
  readonly plain: number;
}

/** The report of a bus that has nothing to confirm. */
export const NOTHING_PUBLISHED: CloseReport = { isConfirmed: true, confirmed: 0, unconfirmed: [], unsent: 0, plain: 0 };
