/**
 * Seeds: greeted until it is known who is there.
 *
 * @module
 */

import { unknownEndpoints } from "../net/fanout.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import { type Endpoint, formatAddress } from "../platform/endpoint.ts";
import type { AmplificationLimit } from "./amplification_limit.ts";
import { CHALLENGE_AGAIN } from "./path_validation.ts";
import type { PeerTable } from "./peer_table.ts";

/** Seeds that are greeted in one round: all in turn. */
const SEEDS_PER_ROUND = 128;
/** Most seeds of which it is remembered who has answered there. */
const BEHIND_SEEDS = 4096;
/** Stands for this node. */
const SELF = "";

/** What a {@linkcode Bootstrap} is made of. */
export interface BootstrapConfig {
  /** Addresses that are greeted with each round of heartbeats. Another array when they are others. */
  readonly seeds: () => readonly Endpoint[];
  /** Whether this node alone is reached at an endpoint. */
  readonly isOwn: (endpoint: Endpoint) => boolean;
  readonly clock: Clock;
  readonly peers: PeerTable;
  readonly amplification: AmplificationLimit;
  /** Asks whoever is at an address. */
  readonly challenge: (to: Endpoint) => void;
}

/** A seed may be the shared port of a host: who answers there is reached elsewhere. So it is noted who that was. */
export class Bootstrap {
  readonly #config: BootstrapConfig;
  readonly #behind = new Map<string, string>();
  /** The same by node id. */
  readonly #names = new Map<string, Set<string>>();
  #open: { readonly of: readonly Endpoint[]; readonly seeds: readonly Endpoint[] } | undefined;
  #next = 0;
  #rounds = 0;
  /** Where the next greeting of named addresses begins. */
  #named = 0;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(config: BootstrapConfig) {
    this.#config = config;
  }

  /** Seeds of which it is not known who is there, this node itself or another. The same array as long as nothing has changed. */
  open(): readonly Endpoint[] {
    const { isOwn, seeds } = this.#config;
    const of = seeds();
    if (this.#open?.of !== of) {
      this.#open = { of, seeds: of.filter((seed) => !isOwn(seed) && !this.isAnswered(seed)) };
    }
    return this.#open.seeds;
  }

  /** Greets them soon again, as a node that was just opened waits for nothing more. */
  start(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#rounds = 0;
    this.#soon();
  }

  /** Whether seeds were greeted of late, and have not answered. */
  get isProbing(): boolean {
    return this.#timer !== undefined && this.open().length > 0;
  }

  /** Greets those where nobody has answered. */
  round(): void {
    const { challenge: ask, peers } = this.#config;
    const seeds = unknownEndpoints(this.#unknown(), peers.endpoints());
    for (let i = 0; i < Math.min(seeds.length, SEEDS_PER_ROUND); i++) {
      ask(seeds[this.#next++ % seeds.length] as Endpoint);
    }
  }

  /** The user's resolver has named addresses. Those that are not seeds, as they are too many, are asked once each time. */
  probe(endpoints: readonly Endpoint[]): void {
    const { challenge: ask, amplification, isOwn, peers, seeds } = this.#config;
    const silent = unknownEndpoints(endpoints, peers.endpoints()).filter((seed) =>
      !isOwn(seed) && !this.isAnswered(seed)
    );
    const others = unknownEndpoints(silent, seeds());
    if (others.length < silent.length) {
      for (const endpoint of unknownEndpoints(silent, others)) ask(endpoint);
      this.start();
    }
    // All in turn, as there may be more than can be asked at once.
    const start = this.#named;
    for (let i = 0; i < others.length; i++) {
      const endpoint = others[(start + i) % others.length] as Endpoint;
      if (!amplification.allow(endpoint, "resolver")) break;
      this.#named = (start + i + 1) % others.length;
      ask(endpoint);
    }
  }

  /** A node has answered at an address at which it was not known who is there; this one itself when `id` is absent. */
  answered({ host, port }: Endpoint, id: string = SELF): void {
    const name = formatAddress(host, port);
    this.#forget(name);
    this.#behind.set(name, id);
    const names = this.#names.get(id) ?? new Set();
    this.#names.set(id, names.add(name));
    const [oldest] = this.#behind.keys();
    if (this.#behind.size > BEHIND_SEEDS && oldest !== undefined) this.#forget(oldest);
    this.#open = undefined;
  }

  /**
   * A peer is silent, or gone. Another process may be at the seed where it has answered, as when it was started again: whoever
   * is there is greeted.
   */
  reopen(id: string): void {
    const names = this.#names.get(id);
    if (names === undefined || this.#isClosed) return;
    const before = this.open();
    for (const name of [...names]) this.#forget(name);
    this.#open = undefined;
    const again = unknownEndpoints(this.open(), before);
    for (const seed of again.slice(0, SEEDS_PER_ROUND)) this.#config.challenge(seed);
  }

  /** Greets nobody any more. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#behind.clear();
    this.#names.clear();
  }

  /** Whether a node that has answered there is known. */
  isAnswered({ host, port }: Endpoint): boolean {
    const id = this.#behind.get(formatAddress(host, port));
    return id !== undefined && (id === SELF || this.#config.peers.get(id) !== undefined);
  }

  /** Where this node hears itself, it is asked again and again all the same: another process may take the port. */
  #unknown(): readonly Endpoint[] {
    const self = this.#names.get(SELF);
    if (self === undefined) return this.open();
    const { seeds } = this.#config;
    return [...this.open(), ...seeds().filter(({ host, port }) => self.has(formatAddress(host, port)))];
  }

  #soon(): void {
    const pause = CHALLENGE_AGAIN[this.#rounds++];
    if (pause === undefined || this.#isClosed || this.#unknown().length === 0) return;
    this.#timer = this.#config.clock.setTimer(() => {
      this.#timer = undefined;
      this.round();
      this.#soon();
    }, pause);
  }

  #forget(name: string): void {
    const id = this.#behind.get(name);
    if (id === undefined) return;
    this.#behind.delete(name);
    const names = this.#names.get(id);
    if (names?.delete(name) && names.size === 0) this.#names.delete(id);
  }
}
