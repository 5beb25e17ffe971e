/**
 * Diagnosis: the public types for what a node finds out about itself, its peers and the paths to them.
 *
 * @module
 */

import type { Signal } from "../../platform/abort_signal.ts";
import type { MeshState } from "../status.ts";

/**
 * How bad a finding is:
 *
 * - `error`: nodes do not find each other, or what they publish is lost.
 * - `warning`: it works, but at a cost, or not for all nodes.
 * - `info`: good to know.
 */
export type Severity = "error" | "warning" | "info";

/**
 * What was found: one code for each cause. `docs/troubleshooting.md` has a section for each, and says which only the
 * program `doctor` can find.
 */
export type FindingCode =
  | "advertised-unreachable"
  | "open-failed"
  | "send-failed"
  | "closed"
  | "interface-missing"
  | "interface-without-multicast"
  | "interfaces-unlisted"
  | "loss"
  | "mtu"
  | "multicast-blocked"
  | "multicast-inbound-blocked"
  | "multicast-loopback"
  | "multicast-off"
  | "multicast-outbound-blocked"
  | "no-peers"
  | "unknown-to-peer"
  | "not-measured"
  | "group-mismatch"
  | "heartbeat-mismatch"
  | "port-mismatch"
  | "peer-advertised-unreachable"
  | "peer-receives-nothing"
  | "peer-unresponsive"
  | "peers-lost"
  | "peers-refused"
  | "plain-peers"
  | "port-shared"
  | "receive-buffer"
  | "seed-refused"
  | "seed-unresponsive"
  | "seed-unresolved"
  | "stale"
  | "unicast-inbound-blocked"
  | "unicast-outbound-blocked"
  | "wrong-interface";

/** One cause, and what to do about it. */
export interface Finding {
  /** Which cause it is. */
  readonly code: FindingCode;
  /** How bad it is. */
  readonly severity: Severity;
  /** What it is about: addresses, an interface or an option. */
  readonly subject: string;
  /** What was found. */
  readonly message: string;
  /** What to do. */
  readonly advice: string;
}

/** Whether a path is open in each direction; null when that is not known. */
export interface Paths {
  /** Inbound: from the peer to this node. */
  readonly in: boolean | null;
  /** Outbound: from this node to the peer. */
  readonly out: boolean | null;
}

/** The options of its mesh that a peer reports. */
export interface PeerSettings {
  /** UDP port of the mesh. */
  readonly port: number;
  /** Multicast group. */
  readonly group: string;
  /** Heartbeat interval in milliseconds. */
  readonly heartbeat: number;
  /** Whether it sends and receives multicast. */
  readonly multicast: boolean;
}

/** What was found out about a peer. Times are in milliseconds, sizes in bytes; null stands for what is not known. */
export interface PeerDiagnosis {
  /** The peer's node id. */
  readonly id: string;
  /** The address that it advertises, `host:port`. */
  readonly address: string;
  /** The address at which it is reached, `host:port`. */
  readonly endpoint: string;
  /** Whether it speaks go-warp's wire format only: it cannot be probed then. */
  readonly plain: boolean;
  /** Whether it was probed: at most 32 peers are. */
  readonly probed: boolean;
  /** The unicast paths to and from it. */
  readonly unicast: Paths;
  /** The multicast paths to and from it. */
  readonly multicast: Paths;
  /** Median round-trip time of the small probes. */
  readonly roundTrip: number | null;
  /**
   * Number of small probes sent to measure the round-trip time: five, and up to 24 when some were lost. Without those
   * that may still be under way.
   */
  readonly probes: number;
  /** How many of them were lost: no ack came. */
  readonly lost: number;
  /**
   * The largest datagram that passes in each direction, of the sizes that were tried, of which 1,400 bytes is the
   * largest.
   */
  readonly largest: { readonly in: number | null; readonly out: number | null };
  /** The largest datagram of this node that reaches it by multicast. */
  readonly largestToGroup: number | null;
  /** Whether it knows this node; also null when the two met less than two heartbeats ago. */
  readonly isKnownThere: boolean | null;
  /**
   * Whether it is reached at the address that it advertises, as others read that address. Also null for two heartbeats
   * after the address changed, unless it is reached there.
   */
  readonly isAtAddress: boolean | null;
  /**
   * Whether it reaches this node at the address that this node advertises. Also null for two heartbeats after that
   * address changed, unless it does.
   */
  readonly reachesAddress: boolean | null;
  /** Null when it has sent no ack. */
  readonly settings: PeerSettings | null;
  /** Its state as in `status()`. */
  readonly state: MeshState | "plain" | null;
  /**
   * Longest time, in milliseconds, for which an invalidation of it may have been outstanding by now. `Infinity` when
   * its state is `plain`, which JSON has as 9007199254740991.
   */
  readonly staleness: number | null;
}

/** What was found out about an interface that the mesh uses. */
export interface InterfaceDiagnosis {
  /** Name of the interface; null when the system chooses it. */
  readonly name: string | null;
  /** The interface's address that the mesh uses. */
  readonly address: string;
  /** Whether the multicast group is joined there. */
  readonly multicast: boolean;
  /** Whether the node's own multicast came back from there; null when it was not tested. */
  readonly returned: boolean | null;
}

/** What is known of the node itself. */
export interface NodeDiagnosis {
  /** Its node id. */
  readonly id: string;
  /** The address that it advertises, `host:port`. */
  readonly address: string;
  /** Whether it is open and its sockets can receive. */
  readonly isHealthy: boolean;
  /** Which sockets it uses: `"node"`, `"bun"`, `"deno"` or `"memory"`. */
  readonly adapter: string;
  /** Address family of its mesh. */
  readonly family: 4 | 6;
  /** UDP port of its mesh. */
  readonly port: number;
  /** Multicast group of its mesh. */
  readonly group: string;
  /** Heartbeat interval in milliseconds. */
  readonly heartbeat: number;
  /** Whether it speaks the extension; if not, no peer can be probed. */
  readonly extended: boolean;
  /** What the options ask for; `receiveBuffer` in bytes. */
  readonly requested: {
    readonly multicast: boolean;
    readonly multicastLoopback: boolean;
    readonly receiveBuffer: number;
  };
  /** Receive buffer that the system granted, in bytes; null when the system does not tell. */
  readonly receiveBuffer: number | null;
  /** Whether `receiveBuffer` was set and is not the default. */
  readonly receiveBufferRequired: boolean;
  /** Why multicast is not available although the options ask for it. */
  readonly multicastError: string | null;
  /** Why the interfaces of this host cannot be listed; null when they can. */
  readonly interfacesError: string | null;
  /**
   * Interfaces that the options name and that are absent; null stands for any interface that reaches other hosts. The
   * node waits for them.
   */
  readonly interfacesMissing: readonly (string | null)[];
  /** Why the last datagram could not be sent, if that was within the last 1.5 heartbeats. */
  readonly sendError: string | null;
  /**
   * Addresses of seeds at which no node has answered, without those of this host. Seed names with more than 16
   * addresses, of which not all are tried, are listed only when none of their addresses has answered.
   */
  readonly silentSeeds: readonly string[];
  /** Seeds for which no address was found so far. */
  readonly unresolvedSeeds: readonly string[];
  /** Addresses, `host:port`, of peers that were lost and not replaced: `lost` in `status()`. */
  readonly peersLost: readonly string[];
  /** Heartbeats of new nodes that were refused so far; 0 when none was in the last three heartbeats. */
  readonly peersRefused: number;
}

/** What is measured. */
export interface Observed {
  /** The node itself. */
  readonly node: NodeDiagnosis;
  /** The interfaces that the mesh uses. */
  readonly interfaces: readonly InterfaceDiagnosis[];
  /** All peers of the node. */
  readonly peers: readonly PeerDiagnosis[];
}

/** What `mesh.diagnose()` resolves with: plain data, fit for JSON. */
export interface Diagnosis extends Observed {
  /** Whether no finding is an error. */
  readonly ok: boolean;
  /** The findings, worst first. */
  readonly findings: readonly Finding[];
}

/** Options of `mesh.diagnose()`. */
export interface DiagnoseOptions {
  /**
   * Longest time that it may take, in milliseconds: 100 to 60,000. It ends sooner when every probe was acknowledged. A
   * call during a running diagnosis shares that diagnosis and its timeout.
   *
   * @default {2000}
   */
  readonly timeout?: number | undefined;
  /** Ends the wait: the promise rejects with the signal's reason. */
  readonly signal?: Signal | undefined;
}
