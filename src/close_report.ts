/**
 * What is known of what a node has published, when it is closed.
 *
 * @module
 */

/** What `close` resolves to: who has what this bus has published, as far as that could be found out within a second. */
export interface CloseReport {
  /**
   * Whether everything that was published is known to have arrived: at all peers that can say so, and at one at least; with
   * no seed that has not answered, and nothing unsent. True when nothing was published.
   */
  readonly isConfirmed: boolean;
  /** How many peers have said that they have everything. */
  readonly confirmed: number;
  /** Addresses of the peers that have not, and the seeds that could not be looked up or have not answered. */
  readonly unconfirmed: readonly string[];
  /** Keys that could not be sent: those that were accepted, and those that were refused as no room came. A gap to the peers. */
  readonly unsent: number;
  /** Peers that speak the original's wire only, as Go nodes: they were sent everything and cannot say whether it came. */
  readonly plain: number;
}

/** That of a bus which has nothing to confirm. */
export const NOTHING_PUBLISHED: CloseReport = { isConfirmed: true, confirmed: 0, unconfirmed: [], unsent: 0, plain: 0 };
