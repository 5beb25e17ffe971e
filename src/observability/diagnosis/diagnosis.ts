/**
 * What a node finds out about itself and its peers.
 *
 * @module
 */

import type { Signal } from "../../platform/abort_signal.ts";
import type { MeshState } from "../status.ts";

/**
 * How bad a finding is:
 *
 * - `error`: nodes do not find each other, or what they publish is lost.
 * - `warning`: it works, but at a price, or not for everybody.
 * - `info`: good to know.
 */
export type Severity = "error" | "warning" | "info";

/**
 * What was found, one word for each cause. `docs/troubleshooting.md` has a section for each, and says which the program
 * `doctor` alone can find.
 */
export type FindingCode =
  | "advertised-unreachable"
  | "cannot-open"
  | "cannot-send"
  | "closed"
  | "interface-missing"
  | "interface-without-multicast"
  | "interfaces-hidden"
  | "loss"
  | "mtu"
  | "multicast-blocked"
  | "multicast-in-closed"
  | "multicast-loopback"
  | "multicast-off"
  | "multicast-out-closed"
  | "nobody-there"
  | "not-known-there"
  | "not-measured"
  | "other-group"
  | "other-heartbeat"
  | "other-port"
  | "peer-advertised-unreachable"
  | "peer-hears-nothing"
  | "peer-silent"
  | "peers-lost"
  | "peers-refused"
  | "plain-peers"
  | "port-shared"
  | "receive-buffer"
  | "seed-refused"
  | "seed-silent"
  | "seed-unresolved"
  | "stale"
  | "unicast-in-closed"
  | "unicast-out-closed"
  | "wrong-interface";

/** One cause, and what to do about it. */
export interface Finding {
  /** Which cause. */
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

/** Whether a way is open; null when that is not known. */
export interface Paths {
  /** From the peer to this node. */
  readonly in: boolean | null;
  /** From this node to the peer. */
  readonly out: boolean | null;
}

/** What a peer says of its own mesh. */
export interface PeerSettings {
  /** UDP port. */
  readonly port: number;
  /** Multicast group. */
  readonly group: string;
  /** Milliseconds. */
  readonly heartbeat: number;
  /** Whether it sends and hears multicast. */
  readonly multicast: boolean;
}

/** What was found out about a peer. Times are in milliseconds, sizes in bytes; null stands for what is not known. */
export interface PeerDiagnosis {
  /** Its node id. */
  readonly id: string;
  /** What it advertises, `host:port`. */
  readonly address: string;
  /** Where it is reached, `host:port`. */
  readonly endpoint: string;
  /** Whether it speaks the original's wire only: then it cannot be asked. */
  readonly plain: boolean;
  /** Whether it was asked: at most 32 peers are. */
  readonly probed: boolean;
  /** Ways from one to the other alone. */
  readonly unicast: Paths;
  /** Ways by the group. */
  readonly multicast: Paths;
  /** Half of the questions were answered within this time. */
  readonly roundTrip: number | null;
  /** Questions that were sent to measure it: five, and up to 24 when some were lost. Not those that may be under way. */
  readonly probes: number;
  /** Those of them that were not answered. */
  readonly lost: number;
  /** The largest datagram that passes, of those that were tried, the largest of which has 1,400 bytes. */
  readonly largest: { readonly in: number | null; readonly out: number | null };
  /** The same of what this node sends by the group. */
  readonly largestToGroup: number | null;
  /** Whether it knows this node; null as well when both have met less than two heartbeats ago. */
  readonly isKnownThere: boolean | null;
  /** Whether it is reached where it advertises to be, as others read that; null as well for two heartbeats after that changed, unless it is. */
  readonly isAtAddress: boolean | null;
  /** Whether it reaches this node where this one advertises to be; null as well for two heartbeats after that changed, unless it does. */
  readonly reachesAddress: boolean | null;
  /** Null when it has not answered. */
  readonly settings: PeerSettings | null;
  /** As in `status()`. */
  readonly state: MeshState | "plain" | null;
  /**
   * Milliseconds for which an invalidation of it could be outstanding by now; `Infinity` when its state is `plain`, which JSON
   * has as 9007199254740991.
   */
  readonly staleness: number | null;
}

/** What was found out about an interface that the mesh uses. */
export interface InterfaceDiagnosis {
  /** Null when the system chooses. */
  readonly name: string | null;
  /** Its address that the mesh uses. */
  readonly address: string;
  /** Whether the group is joined there. */
  readonly multicast: boolean;
  /** Whether the node's own multicast has come back from there; null when it was not to. */
  readonly returned: boolean | null;
}

/** What is known of the node itself. */
export interface NodeDiagnosis {
  /** Its node id. */
  readonly id: string;
  /** What it advertises, `host:port`. */
  readonly address: string;
  /** Whether it is open and its sockets can receive. */
  readonly isHealthy: boolean;
  /** Which sockets it has: `"node"`, `"bun"`, `"deno"` or `"memory"`. */
  readonly adapter: string;
  /** Family of its mesh. */
  readonly family: 4 | 6;
  /** UDP port of its mesh. */
  readonly port: number;
  /** Multicast group of its mesh. */
  readonly group: string;
  /** Milliseconds. */
  readonly heartbeat: number;
  /** Whether it speaks the extension; else no peer can be asked. */
  readonly extended: boolean;
  /** What the options ask for; `receiveBuffer` in bytes. */
  readonly requested: {
    readonly multicast: boolean;
    readonly multicastLoopback: boolean;
    readonly receiveBuffer: number;
  };
  /** Bytes of receive buffer that the system has granted; null when it does not tell. */
  readonly receiveBuffer: number | null;
  /** Whether `receiveBuffer` is more than a default. */
  readonly receiveBufferRequired: boolean;
  /** Why there is no multicast though it was asked for. */
  readonly multicastError: string | null;
  /** Why the interfaces of this host cannot be listed; null when they can. */
  readonly interfacesError: string | null;
  /** Interfaces that the options name and that are not there; null stands for any that reaches others. They are waited for. */
  readonly interfacesMissing: readonly (string | null)[];
  /** Why the last datagram could not be sent, if that was within 1.5 heartbeats. */
  readonly sendError: string | null;
  /**
   * Addresses of seeds at which nobody has answered, without those of this host. Those of names that have more than 16,
   * which are not all asked, only when nobody at all has answered there.
   */
  readonly silentSeeds: readonly string[];
  /** Seeds that have had no address so far. */
  readonly unresolvedSeeds: readonly string[];
  /** Where those were, `host:port`, that were lost and for whom nobody has come: `lost` in `status()`. */
  readonly peersLost: readonly string[];
  /** Heartbeats of newcomers that were turned away so far; 0 when none was in the last three heartbeats. */
  readonly peersRefused: number;
}

/** What is measured. */
export interface Observed {
  /** The node itself. */
  readonly node: NodeDiagnosis;
  /** Interfaces that the mesh uses. */
  readonly interfaces: readonly InterfaceDiagnosis[];
  /** All peers. */
  readonly peers: readonly PeerDiagnosis[];
}

/** What `mesh.diagnose()` resolves with: plain data, fit for JSON. */
export interface Diagnosis extends Observed {
  /** Whether no finding is an error. */
  readonly ok: boolean;
  /** Worst first. */
  readonly findings: readonly Finding[];
}

/** How to diagnose. */
export interface DiagnoseOptions {
  /**
   * Longest that it may take, in milliseconds: 100 to 60,000. It ends sooner when everything was answered. Who asks while
   * the node is being diagnosed shares that diagnosis, and the time that it takes.
   *
   * @default {2000}
   */
  readonly timeout?: number | undefined;
  /** Ends it: the promise rejects with its reason. */
  readonly signal?: Signal | undefined;
}
