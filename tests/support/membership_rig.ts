/**
 * The membership rig: a membership on a virtual clock, and nodes whose heartbeats a test sends.
 *
 * @module
 */

import { VirtualClock } from "../../adapters/memory/clock.ts";
import type { MeshEvent } from "../../src/events.ts";
import { type LocalAddressing, Membership, type MembershipConfig } from "../../src/membership/membership.ts";
import type { HeartbeatPayload } from "../../src/membership/heartbeat_sender.ts";
import type { PeerEntry } from "../../src/membership/peer.ts";
import type { Departure, StreamRegistry } from "../../src/membership/stream_registry.ts";
import { type Endpoint, formatAddress } from "../../src/platform/endpoint.ts";
import { Jitter } from "../../src/platform/jitter.ts";
import type { Extension } from "../../src/wire/extension.ts";
import { addressOf, idOf, nameOf, placeOf } from "./peers.ts";

/** Time between heartbeats: a 16th of it is 100 ms. */
export const HEARTBEAT = 1600;
export const PEER_TIMEOUT: number = 3 * HEARTBEAT;
export const QUIET_TIMEOUT = 60_000;

/** The number of the node itself. */
export const OWN = 1_000_000;

/** A heartbeat that the membership has sent: to the group, or to one of its unicast destinations. */
export interface SentHeartbeat extends HeartbeatPayload {
  readonly at: number;
  /** `"group"`, or `host:port`. */
  readonly to: string;
}

/** A heartbeat's advertised address, source and extension. */
export interface Word {
  readonly advertised?: string;
  readonly source?: Endpoint;
  /** `undefined`: the node does not use the extension. */
  readonly extension?: Extension | undefined;
}

/** The position of its stream: with a position, a node uses the extension. */
export const POSITION: NonNullable<Extension["position"]> = { last: 0, oldest: 1, age: Infinity };

/** No jitter: heartbeats come exactly at their interval. */
class Still extends Jitter {
  constructor() {
    super(() => Uint8Array.of(0, 0, 0, 1));
  }

  override between(min: number): number {
    return min;
  }
}

const NO_SEEDS: readonly Endpoint[] = [];

/** The answers of the parts that it calls. */
type Answers = Partial<Pick<LocalAddressing, "isElsewhere" | "mayBeAt"> & Pick<StreamRegistry, "isFollowed">>;

/** A {@linkcode Membership}, and a record of all that it does. */
export class MembershipRig {
  readonly clock: VirtualClock;
  readonly events: MeshEvent[] = [];
  readonly sent: SentHeartbeat[] = [];
  readonly beats: number[] = [];
  readonly gone: string[] = [];
  /** How those that are gone have departed. */
  readonly departures: Departure[] = [];
  /** Peers that were evicted to make room. */
  readonly evicted: string[] = [];
  readonly validated: { readonly id: string; readonly to: string; readonly time: number }[] = [];
  readonly membership: Membership;
  /** How often another node with the same id was detected. */
  duplicatesMet = 0;
  #nonces = 0;

  constructor(
    config: Partial<MembershipConfig> = {},
    { isElsewhere = () => true, mayBeAt = () => true, isFollowed = () => true }: Answers = {},
    clock: VirtualClock = new VirtualClock(),
  ) {
    this.clock = clock;
    this.membership = new Membership({
      nodeId: idOf(OWN),
      heartbeat: HEARTBEAT,
      peerTimeout: PEER_TIMEOUT,
      quietTimeout: QUIET_TIMEOUT,
      maxPeers: 1024,
      isPlain: false,
      multicast: () => true,
      clock,
      jitter: new Still(),
      randomBytes: (length) => {
        const bytes = new Uint8Array(length);
        new DataView(bytes.buffer).setUint32(0, ++this.#nonces);
        return bytes;
      },
      family: 4,
      local: { isOwn: () => false, isElsewhere, mayBeAt },
      seeds: { few: () => NO_SEEDS },
      identity: { duplicateMet: () => this.duplicatesMet++ },
      port: 7946,
      heartbeats: {
        send: (payload, to) => {
          const all: readonly (Endpoint | "group")[] = to === "group" || "port" in to ? [to] : to;
          for (const each of all) {
            const where = each === "group" ? each : formatAddress(each.host, each.port);
            this.sent.push({ at: clock.now(), to: where, ...payload });
          }
        },
      },
      streams: {
        tokenFor: ({ nodeId }) => nodeId.slice(0, 8),
        heardAt: () => -Infinity,
        isFollowed,
        expire: () => this.beats.push(clock.now()),
        validate: (id, to, time) => this.validated.push({ id, to: formatAddress(to.host, to.port), time }),
        forget: ({ id }, departure) => {
          (departure === "evicted" ? this.evicted : this.gone).push(id);
          this.departures.push(departure);
        },
      },
      pathMtu: undefined,
      events: { emit: (event) => this.events.push(event) },
      ...config,
    });
  }

  /** Hears a heartbeat of a node, by default from its advertised address. */
  hear(index: number, word: Word = {}): void {
    const { advertised = addressOf(index), source = placeOf(index) } = word;
    const extension = "extension" in word ? word.extension : {};
    this.membership.onHeartbeat({
      nodeId: idOf(index),
      id: nameOf(index),
      advertised,
      source,
      extension: extension && { position: POSITION, ...extension },
    });
  }

  /** Hears a node that uses go-warp's wire. */
  hearPlain(index: number, word: Word = {}): void {
    this.hear(index, { ...word, extension: undefined });
  }

  /** A node responds to the last challenge that was sent to an address, by default its own. */
  answer(index: number, extension: Extension = {}, to: string = addressOf(index)): void {
    const echo = this.nonceTo(to);
    if (echo === undefined) throw new Error(`${to} got no challenge`);
    this.hear(index, { extension: { path: 0, echo, ...extension } });
  }

  /** A node sends a challenge, gets one, and responds. Then the record of what was sent is cleared. */
  meet(...indexes: readonly number[]): void {
    for (const index of indexes) {
      this.hear(index, { extension: { nonce: index } });
      this.answer(index);
    }
    this.forget();
  }

  /** The nonce of the last challenge that was sent to an address. */
  nonceTo(to: string): number | undefined {
    return this.sent.filter((each) => each.to === to && each.nonce !== undefined).at(-1)?.nonce;
  }

  /** The heartbeats that were sent to an address, or to all. */
  sentTo(to?: string): readonly SentHeartbeat[] {
    return this.sent.filter((each) => to === undefined || each.to === to);
  }

  /** Clears the record of heartbeats and of events. */
  forget(): void {
    this.sent.length = this.events.length = this.validated.length = 0;
  }

  entry(index: number): PeerEntry {
    const entry = this.membership.peers.get(nameOf(index));
    if (entry === undefined) throw new Error(`Node ${index} is not known`);
    return entry;
  }
}
