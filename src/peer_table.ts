/**
 * Who is there, and where to reach them.
 *
 * @module
 */

import {
  type Endpoint,
  formatAddress,
  isIpv4,
  isSameEndpoint,
  isUnicast,
  isUnspecified,
  parseAddress,
} from "./address.ts";
import type { Clock, Timer } from "./clock.ts";
import { unique } from "./destinations.ts";

/** A node that was heard. */
export interface Peer {
  /** Its node id, as a UUID in lower case. */
  readonly id: string;
  /** `host:port` that it advertises, or where it was heard when it advertises no usable one. */
  readonly address: string;
}

/** What a heartbeat meant to the table. */
export type Heard = "joined" | "moved" | "known" | "refused";

/** What a {@linkcode PeerTable} is made of. */
export interface PeerTableConfig {
  /** Most peers that are kept. A newcomer to a full table is refused, so that forged ids cannot drive real peers out. */
  readonly capacity: number;
  /** Milliseconds of silence after which a peer is gone. */
  readonly timeout: number;
  readonly clock: Clock;
  /** Whether a node heard from `source` may be at `endpoint`. When not, it is taken to be at `source`. */
  readonly mayBeAt: (endpoint: Endpoint, source: Endpoint) => boolean;
  /** Called when a peer was silent for `timeout`. */
  readonly onExpired: (peer: Peer) => void;
}

/** Where a node is taken to be. */
export interface Place {
  /** As it is shown: `host:port`. */
  readonly address: string;
  /** Where datagrams for it go. */
  readonly endpoint: Endpoint;
  /** Whether the host is the source's, and not one that the node advertises. */
  readonly bySource: boolean;
}

/** A {@linkcode Peer}, and how to reach it. */
export interface KnownPeer extends Peer {
  /** Where datagrams for it go. */
  readonly endpoint: Endpoint;
  /** Whether it speaks the extension. */
  readonly extended: boolean;
  /** When its first and its last heartbeat came, by the node's clock. */
  readonly joinedAt: number;
  readonly heardAt: number;
}

interface Entry extends KnownPeer {
  /** When it was last heard from where it is taken to be. */
  readonly locatedAt: number;
}

/**
 * A peer that advertises no host may be heard from two addresses of its host in turn (multicast leaves by one, unicast
 * by another). It stays where it was heard first until it was silent there for this part of the timeout: three
 * heartbeats of 5 s in 60 s.
 */
const SETTLED = 1 / 4;

/** Peers by node id, in the order in which they were last heard, so the first is the next to expire. */
export class PeerTable {
  readonly #config: PeerTableConfig;
  readonly #entries = new Map<string, Entry>();
  #endpoints: readonly Endpoint[] | undefined;
  #extended: readonly KnownPeer[] | undefined;
  #timer: Timer | undefined;

  constructor(config: PeerTableConfig) {
    this.#config = config;
  }

  /** How many peers there are. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Notes a heartbeat of the node `id` that advertises `advertised` and came from `source`. A newcomer is refused when
   * the table is full, or when there is nowhere to reach it. A peer that spoke the extension once is taken to speak it: a
   * datagram may lose its end.
   */
  hear(id: string, advertised: string, source: Endpoint, extension = false): Heard {
    const before = this.#entries.get(id);
    const place = this.locate(advertised, source);
    const full = before === undefined && this.#entries.size >= this.#config.capacity;
    if (full || place.endpoint.port === 0) return "refused";
    const heardAt = this.#config.clock.now();
    const settled = before !== undefined && place.bySource && before.endpoint.port === place.endpoint.port &&
      heardAt - before.locatedAt < this.#config.timeout * SETTLED;
    const stays = settled && before.endpoint.host !== place.endpoint.host;
    const { address, endpoint } = stays ? before : place;
    const extended = extension || before?.extended === true;
    const joinedAt = before?.joinedAt ?? heardAt;
    const locatedAt = stays ? before.locatedAt : heardAt;
    const entry: Entry = { id, address, endpoint, extended, joinedAt, heardAt, locatedAt };
    const moved = before !== undefined &&
      (before.address !== entry.address || !isSameEndpoint(before.endpoint, entry.endpoint));
    if (before === undefined || moved) this.#endpoints = undefined;
    if (before === undefined || moved || before.extended !== extended) this.#extended = undefined;
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    if (this.#timer === undefined) this.#schedule();
    return before === undefined ? "joined" : moved ? "moved" : "known";
  }

  /** The peer with the node id `id`. */
  get(id: string): KnownPeer | undefined {
    return this.#entries.get(id);
  }

  /** All peers, who was heard longest ago first. */
  all(): Iterable<KnownPeer> {
    return this.#entries.values();
  }

  /** The peers that speak the extension. */
  extended(): readonly KnownPeer[] {
    this.#extended ??= [...this.#entries.values()].filter(({ extended }) => extended);
    return this.#extended;
  }

  /** Forgets a peer. */
  remove(id: string): KnownPeer | undefined {
    const entry = this.#entries.get(id);
    this.#entries.delete(id);
    this.#endpoints = this.#extended = undefined;
    return entry;
  }

  /** The addresses of all peers, each once: several nodes may advertise the same one. */
  addresses(): string[] {
    return [...new Set(Array.from(this.#entries.values(), (entry) => entry.address))];
  }

  /** Where to send so that every peer is reached: each endpoint once, though several nodes may share it. */
  endpoints(): readonly Endpoint[] {
    this.#endpoints ??= unique(Array.from(this.#entries.values(), ({ endpoint }) => endpoint));
    return this.#endpoints;
  }

  /**
   * Where a node is that advertises `advertised` and was heard from `source`. A name is shown as it is but reached at
   * the source's address: looking up names that anyone may send would let strangers drive our resolver.
   */
  locate(advertised: string, source: Endpoint): Place {
    const parsed = parseAddress(advertised);
    const heard = { address: formatAddress(source.host, source.port), endpoint: source, bySource: true };
    if (parsed === undefined || parsed.port === 0) return heard;
    const { host, port } = parsed;
    const named = !isUnspecified(host) && !isIpv4(host);
    const usable = isIpv4(host) && isUnicast(host);
    const endpoint = { host: usable ? host : source.host, port };
    if (!this.#config.mayBeAt(endpoint, source)) return heard;
    return { address: formatAddress(named ? host : endpoint.host, port), endpoint, bySource: !usable };
  }

  /** Forgets all peers and stops waiting for them. */
  clear(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#entries.clear();
    this.#endpoints = this.#extended = undefined;
  }

  #schedule(): void {
    const [oldest] = this.#entries.values();
    if (oldest === undefined) return;
    const { clock, timeout } = this.#config;
    this.#timer = clock.setTimer(() => this.#expire(), oldest.heardAt + timeout - clock.now());
  }

  #expire(): void {
    this.#timer = undefined;
    const { clock, timeout } = this.#config;
    for (const entry of this.#entries.values()) {
      // The same sum as in #schedule: another that rounds differently could find nobody expired, for ever.
      if (entry.heardAt + timeout > clock.now()) break;
      this.remove(entry.id);
      this.#config.onExpired({ id: entry.id, address: entry.address });
    }
    this.#schedule();
  }
}
