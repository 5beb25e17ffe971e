/** How many peers there are. */
export const PEERS = 1000;

/** What `silent.ts` asks a node. */
export interface SilentNodeRequest {
  readonly type: "welcome" | "usage";
}

/** Where the node is reached, and who it is: 16 bytes. */
export interface SilentWelcome {
  readonly port: number;
  readonly nodeId: readonly number[];
}

/** What its process has used so far. */
export interface SilentUsage {
  readonly cpuMs: number;
  readonly rss: number;
  readonly peers: number;
}
