/**
 * Silent protocol: the messages between `silent.ts` and its processes.
 *
 * @module
 */

/** A request of `silent.ts` to a node. */
export interface SilentNodeRequest {
  readonly type: "address" | "usage";
}

/** The node's address, and its id of 16 bytes. */
export interface SilentAddress {
  readonly port: number;
  readonly nodeId: readonly number[];
}

/** A request of `silent.ts` to the process of the peers. */
export interface SilentPeersRequest extends SilentAddress {
  /** Number of peers. */
  readonly count: number;
}

/** Resources that the process has used so far. */
export interface SilentUsage {
  readonly cpuMs: number;
  readonly rss: number;
  readonly peers: number;
}
