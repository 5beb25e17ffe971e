/** What `silent.ts` asks a node. */
export interface SilentNodeRequest {
  readonly type: "welcome" | "usage";
}

/** Where the node is reached, and who it is: 16 bytes. */
export interface SilentWelcome {
  readonly port: number;
  readonly nodeId: readonly number[];
}

/** What `silent.ts` asks the process of the peers. */
export interface SilentPeersRequest extends SilentWelcome {
  /** How many there are to be. */
  readonly count: number;
}

/** What its process has used so far. */
export interface SilentUsage {
  readonly cpuMs: number;
  readonly rss: number;
  readonly peers: number;
}
