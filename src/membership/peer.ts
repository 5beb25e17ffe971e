/**
 * The record of a peer: what a node keeps of another that it has heard. It is made of parts, as a connection of a QUIC
 * implementation is made of path states. Each part has one writer, which its class names; everybody else has a
 * read-only view of it, and calls a method of the writer.
 *
 * Times are milliseconds of the node's clock; `-Infinity` stands for never.
 *
 * @module
 */

import type { Peer } from "../events.ts";
import { type Endpoint, isSameEndpoint } from "../platform/endpoint.ts";
import type { AdvertisedAddress } from "./advertised_address.ts";

/** A {@linkcode Peer}, and how to reach it: what parts outside of the membership see of a record. */
export interface KnownPeer extends Peer {
  /** Its node id, 16 bytes. */
  readonly nodeId: Uint8Array;
  /** Where datagrams for it go. */
  readonly endpoint: Endpoint;
  /** Whether its path is validated. A plain node, one that speaks go-warp's wire only, can validate none. */
  readonly isValidated: boolean;
  /** Whether it speaks the extension. */
  readonly extended: boolean;
  /** Whether it hears this node's multicast, so that it needs no copies. */
  readonly hearsUs: boolean;
  /** When its first heartbeat came. */
  readonly joinedAt: number;
  /** When it was last heard. */
  readonly heardAt: number;
  /** Whether it acknowledges deliveries, and the zone that it is in, by its own report. */
  readonly acknowledges: boolean;
  readonly zone: string | undefined;
  /** Smoothed round trip to it, in milliseconds; 0 when none was measured. */
  readonly roundTrip: number;
}

/** One for all that have answered from one host alone, as most do. */
const NO_HOSTS: ReadonlySet<string> = new Set();

/** The address that the heartbeats of a peer advertise. Writer: `PeerTable`. */
export class AdvertisedState {
  /** The address in its last heartbeat, as it came; empty when it has to be judged anew. */
  text = "";
  /** Where that heartbeat came from. */
  source: Endpoint;
  /** What follows from the two: most heartbeats are like the one before, and are not judged again. */
  located: AdvertisedAddress;
  /** The advertised address that is taken for its own, as it is shown: `host:port`. */
  address: string;
  /** Where that is: the endpoint at which the peer wants to be reached. */
  endpoint: Endpoint;
  /** When `endpoint` or `address` last changed. */
  movedAt: number = -Infinity;
  /** When a heartbeat last agreed with `endpoint`: only after a time without one another may take its place. */
  settledAt: number;
  /** Whether it has ever spoken the extension. */
  extended = false;

  constructor(located: AdvertisedAddress, source: Endpoint, now: number) {
    this.source = source;
    this.located = located;
    this.address = located.address;
    this.endpoint = located.endpoint;
    this.settledAt = now;
  }
}

/** The path to a peer: where it is reached. Writer: `PeerTable`. */
export class PathState {
  /** Where datagrams for it go. */
  endpoint: Endpoint;
  /** Whether it has answered a path challenge, from `endpoint` or from where it was reached before. */
  isValidated = false;
  /** When it answered a path challenge for the first time. */
  validatedAt: number = -Infinity;
  /** When it was last heard from `endpoint`, or answered from there. */
  reachedAt: number;
  /** Other hosts from which it has answered, the last one last, 16 at most: it may have several interfaces. */
  hosts: ReadonlySet<string> = NO_HOSTS;
  /** The endpoint from which it last answered while it was reached at another. */
  alternate: Endpoint | undefined;
  /** When it answered from `alternate`. */
  alternateAt: number = -Infinity;

  constructor(source: Endpoint, now: number) {
    this.endpoint = source;
    this.reachedAt = now;
  }
}

/** The path challenges to a peer at the endpoint where it is reached. Writer: `PathValidation`. */
export class ValidationState {
  /** Challenges since it was last heard from there or answered from there; before it is validated, all. */
  challengesSent = 0;
  /** When the last one was sent. */
  challengedAt: number = -Infinity;
  /** Smoothed time from a challenge to its response, in milliseconds; 0 when none was measured. */
  roundTrip = 0;
}

/** Whether a peer is alive. Writer: `FailureDetector`. */
export class LivenessState {
  /** When it was last heard: a heartbeat, or, once it is silent, whatever else was heard of it. */
  heardAt: number;
  /** Probes that were sent to it since its last heartbeat. */
  probes = 0;
  /** For how long this node had been stalled in all when the peer was heard at `stalledFrom`, in milliseconds. */
  stalled = 0;
  /** The `heardAt` for which `stalled` holds. */
  stalledFrom: number = -Infinity;
  /** When another node answered from where this one is reached; `Infinity` when none has since its last heartbeat. */
  replacedAt: number = Infinity;
  /** Whether no two processes can share that endpoint, so that this one is gone. */
  isSuperseded = false;

  constructor(now: number) {
    this.heardAt = now;
  }
}

/** The multicast paths between a peer and this node. Writer: `MulticastReachability`. */
export class MulticastState {
  /** When its multicast was last heard; `-Infinity` when it is not heard, or not any more. */
  groupAt: number = -Infinity;
  /** When a heartbeat for this node alone last came. */
  unicastAt: number = -Infinity;
  /** Whether it hears this node's multicast, by its own report. */
  hearsUs = false;
  /** When it last reported that it does. */
  hearsUsAt: number = -Infinity;
  /** Whether it hears more nodes than one of its heartbeats can list, so that they take turns. */
  listsInTurn = false;
  /** When a heartbeat of this node last listed it, if one cannot list all that are heard. */
  listedAt: number = -Infinity;
  /** Whether it has yet to learn that its multicast does not arrive here any more. */
  isLossUntold = false;
  /** From which host that is not known to be its own its multicast was last heard, and when. */
  alternate: { readonly host: string; readonly at: number } | undefined;
}

/** How a plain peer becomes established: it was heard often enough from one endpoint. Writer: `hearPlain`. */
export class PlainState {
  /** Where it was reached as the count began. */
  endpoint: Endpoint | undefined;
  /** When the count began. */
  since: number = -Infinity;
  /** Heartbeats from `endpoint` since then. */
  times = 0;
  /** Whether that is enough to take it for real. */
  isEstablished = false;
}

/** When a peer was challenged at endpoints other than that where it is reached. Writer: `PathProber`. */
export class ProbingState {
  /** When it was last challenged on `host`, as it was heard from elsewhere than where it is reached. */
  probedAt: number = -Infinity;
  /** The host of that. */
  host = "";
  /** Challenges on `host` since it last answered from there. */
  tries = 0;
  /** Times that it was heard as a node that was never challenged, in a large mesh. */
  timesHeard = 0;
}

/** How far a peer has come in joining. Writer: `Membership`. */
export class JoiningState {
  /** Whether it counts as a peer, and a `peerJoined` event was emitted: its path is validated, or it is plain. */
  isJoined = false;
  /** Whether its initial peer exchange has come: the heartbeat with the token. */
  hasExchangedPeers = false;
}

/** What a peer says of itself. Writer: `PeerTable`. */
export class ReportedState {
  /** Whether it acknowledges deliveries. */
  acknowledges = false;
  /** The zone that it is in. */
  zone: string | undefined;
}

/** A record. It is made whole, so that all records have one shape: a mesh may have a thousand. */
export class PeerEntry implements KnownPeer {
  readonly id: string;
  readonly nodeId: Uint8Array;
  readonly joinedAt: number;
  readonly advertised: Readonly<AdvertisedState>;
  readonly path: Readonly<PathState>;
  readonly validation: Readonly<ValidationState> = new ValidationState();
  readonly liveness: Readonly<LivenessState>;
  readonly multicast: Readonly<MulticastState> = new MulticastState();
  readonly plain: Readonly<PlainState> = new PlainState();
  readonly probing: Readonly<ProbingState> = new ProbingState();
  readonly joining: Readonly<JoiningState> = new JoiningState();
  readonly reported: Readonly<ReportedState> = new ReportedState();

  constructor(id: string, nodeId: Uint8Array, located: AdvertisedAddress, source: Endpoint, now: number) {
    this.id = id;
    this.nodeId = nodeId.slice();
    this.joinedAt = now;
    this.advertised = new AdvertisedState(located, source, now);
    this.path = new PathState(source, now);
    this.liveness = new LivenessState(now);
  }

  get address(): string {
    return this.advertised.address;
  }

  get extended(): boolean {
    return this.advertised.extended;
  }

  get endpoint(): Endpoint {
    return this.path.endpoint;
  }

  get isValidated(): boolean {
    return this.path.isValidated;
  }

  get heardAt(): number {
    return this.liveness.heardAt;
  }

  get hearsUs(): boolean {
    return this.multicast.hearsUs;
  }

  get acknowledges(): boolean {
    return this.reported.acknowledges;
  }

  get zone(): string | undefined {
    return this.reported.zone;
  }

  /** Smoothed round trip to it, in milliseconds; 0 when none was measured. */
  get roundTrip(): number {
    return this.validation.roundTrip;
  }

  get isJoined(): boolean {
    return this.joining.isJoined;
  }

  /** Whether a host is its own, as far as its path validations have shown. */
  isOn(host: string): boolean {
    return this.path.endpoint.host === host || this.path.hosts.has(host);
  }

  /** Whether it is reached at `endpoint`. */
  isAt(endpoint: Endpoint): boolean {
    return isSameEndpoint(this.path.endpoint, endpoint);
  }
}
