/**
 * Bootstrap: path challenges to the seeds, the addresses that a node starts from, until a node has responded at each.
 *
 * @module
 */

import { unknownEndpoints } from "../net/fanout.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import { type Endpoint, formatEndpoint } from "../platform/endpoint.ts";
import type { AmplificationLimit } from "./amplification_limit.ts";
import { CHALLENGE_AGAIN, type PathValidation } from "./path_validation.ts";
import type { PeerTable } from "./peer_table.ts";

/** Most seeds that are challenged in one round; all take turns. */
const SEEDS_PER_ROUND = 128;
/** Most seeds whose node is remembered. */
const MAX_ANSWERED = 4096;
/** Stands for this node in place of an id. */
const SELF = "";

/** What a {@linkcode Bootstrap} is made of. */
export interface BootstrapConfig {
  /** Gives the seeds: another array when they are others. */
  readonly seeds: { few(): readonly Endpoint[] };
  /** Whether this node alone is reached at an endpoint. */
  readonly local: { isOwn(endpoint: Endpoint): boolean };
  readonly clock: Clock;
  readonly peers: PeerTable;
  readonly amplification: AmplificationLimit;
  readonly pathValidation: Pick<PathValidation, "send">;
}

/**
 * Challenges the seeds at which no node has responded. A seed may be the port of the mesh, which the processes of a
 * host share: the node that answers a challenge there is reached at a port of its own. So the id of that node is noted
 * for the seed.
 */
export class Bootstrap {
  readonly #config: BootstrapConfig;
  /** Ids of the nodes that have answered, by `host:port` of the seed. */
  readonly #answeredBy = new Map<string, string>();
  /** The seeds, as `host:port`, at which a node has answered, by its id. */
  readonly #names = new Map<string, Set<string>>();
  /** The seeds without an answer, and the array of seeds that they were taken from. */
  #open: { readonly of: readonly Endpoint[]; readonly seeds: readonly Endpoint[] } | undefined;
  #next = 0;
  #rounds = 0;
  /** Where the next round through the addresses of an answer of the resolver begins. */
  #nextResolved = 0;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(config: BootstrapConfig) {
    this.#config = config;
  }

  /** Seeds at which no known node has answered, nor this one. The same array as long as nothing has changed. */
  open(): readonly Endpoint[] {
    const { local, seeds } = this.#config;
    const of = seeds.few();
    if (this.#open?.of !== of) {
      this.#open = { of, seeds: of.filter((seed) => !local.isOwn(seed) && !this.isAnswered(seed)) };
    }
    return this.#open.seeds;
  }

  /** Challenges the open seeds at short intervals, so that a node that was just opened finds the mesh soon. */
  start(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#rounds = 0;
    this.#scheduleRound();
  }

  /** Whether seeds are challenged at short intervals now, and some have not answered. */
  get isProbing(): boolean {
    return this.#timer !== undefined && this.open().length > 0;
  }

  /** Challenges the seeds at which no node has answered. */
  round(): void {
    const { pathValidation, peers } = this.#config;
    const seeds = unknownEndpoints(this.#unknown(), peers.endpoints());
    for (let i = 0; i < Math.min(seeds.length, SEEDS_PER_ROUND); i++) {
      pathValidation.send(seeds[this.#next++ % seeds.length] as Endpoint);
    }
  }

  /**
   * The user's resolver has named addresses. Those that are no seeds, as they are too many, are challenged once each
   * time.
   */
  probe(endpoints: readonly Endpoint[]): void {
    const { amplification, local, pathValidation, peers, seeds } = this.#config;
    const silent = unknownEndpoints(endpoints, peers.endpoints()).filter((seed) =>
      !local.isOwn(seed) && !this.isAnswered(seed)
    );
    const others = unknownEndpoints(silent, seeds.few());
    if (others.length < silent.length) {
      for (const endpoint of unknownEndpoints(silent, others)) pathValidation.send(endpoint);
      this.start();
    }
    // All take turns, as there may be more than can be challenged at once.
    const start = this.#nextResolved;
    for (let i = 0; i < others.length; i++) {
      const endpoint = others[(start + i) % others.length] as Endpoint;
      if (!amplification.allow(endpoint, "resolver")) break;
      this.#nextResolved = (start + i + 1) % others.length;
      pathValidation.send(endpoint);
    }
  }

  /** A node has answered a challenge to an address that was for any node. Without `id` it was this node itself. */
  onAnswer(endpoint: Endpoint, id: string = SELF): void {
    const name = formatEndpoint(endpoint);
    this.#forget(name);
    this.#answeredBy.set(name, id);
    const names = this.#names.get(id) ?? new Set();
    this.#names.set(id, names.add(name));
    const [oldest] = this.#answeredBy.keys();
    if (this.#answeredBy.size > MAX_ANSWERED && oldest !== undefined) this.#forget(oldest);
    this.#open = undefined;
  }

  /**
   * A peer is suspect, or has departed. Another process may be at the seed where it has answered, such as a restarted
   * one, so that seed is challenged.
   */
  reopen(id: string): void {
    const names = this.#names.get(id);
    if (names === undefined || this.#isClosed) return;
    const before = this.open();
    for (const name of [...names]) this.#forget(name);
    this.#open = undefined;
    const again = unknownEndpoints(this.open(), before);
    for (const seed of again.slice(0, SEEDS_PER_ROUND)) this.#config.pathValidation.send(seed);
  }

  /** Sends no more challenges. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#answeredBy.clear();
    this.#names.clear();
  }

  /** Whether a known node, or this one, has answered at a seed. */
  isAnswered(endpoint: Endpoint): boolean {
    const id = this.#answeredBy.get(formatEndpoint(endpoint));
    return id !== undefined && (id === SELF || this.#config.peers.get(id) !== undefined);
  }

  /** Where this node has answered itself, challenges go on all the same: another process may share the port. */
  #unknown(): readonly Endpoint[] {
    const self = this.#names.get(SELF);
    if (self === undefined) return this.open();
    const { seeds } = this.#config;
    return [...this.open(), ...seeds.few().filter((seed) => self.has(formatEndpoint(seed)))];
  }

  #scheduleRound(): void {
    const pause = CHALLENGE_AGAIN[this.#rounds++];
    if (pause === undefined || this.#isClosed || this.#unknown().length === 0) return;
    this.#timer = this.#config.clock.setTimer(() => {
      this.#timer = undefined;
      this.round();
      this.#scheduleRound();
    }, pause);
  }

  #forget(name: string): void {
    const id = this.#answeredBy.get(name);
    if (id === undefined) return;
    this.#answeredBy.delete(name);
    const names = this.#names.get(id);
    if (names?.delete(name) && names.size === 0) this.#names.delete(id);
  }
}
