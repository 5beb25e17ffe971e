/**
 * Acknowledgement: what other nodes answer to a publish that is awaited.
 *
 * @module
 */

/**
 * What became of an event at a node. `delivered`: its subscribers have the event. `unsubscribed`: it has no subscriber
 * for it, so it holds nothing. `failed`: a callback threw or rejected, or did not settle in time.
 */
export type Outcome = "unsubscribed" | "delivered" | "failed";

/** What one node has answered to a publish that was awaited. */
export interface Acknowledgement {
  /** The id of the node. */
  readonly node: string;
  /** The zone of the node, if it is in one. */
  readonly zone?: string | undefined;
  /** What became of the event there. `failed` does not count. */
  readonly outcome: Outcome;
}

/** A node that was awaited and has not acknowledged. */
export interface Unacknowledged {
  /** The id of the node. */
  readonly node: string;
  /** The zone of the node, if it is in one. */
  readonly zone?: string | undefined;
  /** `pending`: it has not answered yet. `lost`: it is down. `failed`: a callback of it failed. */
  readonly reason: "pending" | "lost" | "failed";
}

/** The result of a publish that was awaited. */
export interface PublishResult {
  /** The answers of all nodes that had answered when it was settled. */
  readonly acknowledgements: readonly Acknowledgement[];
}
