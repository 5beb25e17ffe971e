/**
 * Departed peers: those that were validated and are lost, were replaced, or have left. Lost ones are probed again, as
 * the network may have been partitioned; Serf reconnects to failed members in the same way.
 *
 * @module
 */

import type { Peer } from "../events.ts";
import type { Clock } from "../platform/clock.ts";
import { type Endpoint, isSameEndpoint } from "../platform/endpoint.ts";
import { TokenBucket } from "../platform/token_bucket.ts";
import type { PathValidation } from "./path_validation.ts";
import { type Going, type Located, PeerReplacements } from "./peer_replacements.ts";
import { pauseAfter } from "./reprobe_backoff.ts";

/** A peer that was lost, and has neither come back nor been replaced. */
export interface LostPeer extends Peer {
  /** How long ago it was lost, in milliseconds. */
  readonly lostFor: number;
}

/** Longest pause between two probes to a peer that was lost in the last hour, in milliseconds. */
const MAX_PAUSE = 60_000;
/**
 * And part of its absence after that, unless a peer exchange lists it: after a partition of a day, the peers find each
 * other within 24 minutes.
 */
const PAUSE_SHARE = 1 / 60;
/**
 * Probes to lost peers a second: one a minute to each of 1,024, and nearly as many more. They are sent so often, in
 * heartbeats.
 */
const PROBES_PER_SECOND = 32;
const PROBE_EVERY = 1 / 4;

/** What {@linkcode DepartedPeers} are made of. */
export interface DepartedPeersConfig {
  /** Most that are remembered. Those that departed first give way, and of these the ones that have left. */
  readonly capacity: number;
  /** Time between heartbeats, in milliseconds. */
  readonly heartbeat: number;
  readonly clock: Clock;
  readonly pathValidation: Pick<PathValidation, "send">;
}

/** Challenges that heartbeats of a departed node have led to. */
interface Attempts {
  at: number;
  times: number;
}

/** A peer that departs. */
export interface DepartingPeer extends Peer, Going {}

interface Departed extends DepartingPeer {
  /** When it departed, by the node's clock. */
  readonly at: number;
  /** Probes without an answer, and when the last one was sent. */
  tries: number;
  triedAt: number;
  /** When the peer exchange of a peer last listed it. */
  listedAt: number;
}

const never = (): Attempts => ({ at: -Infinity, times: 0 });

/**
 * Probes lost peers again. Each may be on the other side of a partition, and no third node may know both sides. Probes
 * come after 1, 2, 4 … heartbeats up to a minute; after an hour, unless a peer exchange lists it, each time that a
 * sixtieth of its absence has passed. Datagrams of a departed node may be late copies, which cannot be distinguished
 * from new ones. So it comes back only by the response to a path challenge that was sent after it departed.
 */
export class DepartedPeers {
  readonly #config: DepartedPeersConfig;
  readonly #probeLimit: TokenBucket;
  /** In the order in which they were last probed. */
  readonly #lost = new Map<string, Departed>();
  readonly #left = new Map<string, { readonly endpoint: Endpoint; readonly at: number }>();
  readonly #replacements: PeerReplacements;
  /**
   * For each, what came from where it was, and from elsewhere: datagrams that are forged in its name do not delay its
   * own.
   */
  readonly #heard = new Map<string, { readonly there: Attempts; readonly elsewhere: Attempts }>();

  constructor(config: DepartedPeersConfig) {
    this.#config = config;
    this.#replacements = new PeerReplacements(config);
    const burst = PROBES_PER_SECOND * Math.max(1, PROBE_EVERY * config.heartbeat / 1000);
    this.#probeLimit = new TokenBucket(config.clock, burst, PROBES_PER_SECOND);
  }

  /** When a node departed, by the clock; `undefined` for one that has not. */
  departedAt(id: string): number | undefined {
    return (this.#lost.get(id) ?? this.#left.get(id))?.at;
  }

  /** The lost peers that have no replacement. */
  get lost(): readonly LostPeer[] {
    const now = this.#config.clock.now();
    const unreplaced = [...this.#lost.values()].filter(({ id }) => this.#replacements.isMissed(id));
    return unreplaced.map(({ id, address, at }) => ({ id, address, lostFor: now - at }));
  }

  /** A peer departs. */
  add(peer: DepartingPeer, reason: "expired" | "left" | "replaced"): void {
    const { id, address, endpoint, heardAt } = peer;
    const at = this.#config.clock.now();
    this.#forget(id);
    if (reason !== "expired") this.#left.set(id, { endpoint, at });
    else this.#lost.set(id, { id, address, endpoint, heardAt, at, tries: 0, triedAt: at, listedAt: -Infinity });
    if (reason === "expired") this.#replacements.lose(peer);
    else if (reason === "left") this.#replacements.leave(id);
    else this.#replacements.replace(peer);
    if (this.#lost.size + this.#left.size <= this.#config.capacity) return;
    const [longest = this.#longest()?.id] = this.#left.keys();
    if (longest !== undefined) this.#forget(longest);
  }

  /** A departed peer has answered: it is a peer again. */
  back(id: string): void {
    this.#replacements.back(id);
    this.#forget(id);
  }

  /** A new node has answered: it may be the replacement of a lost peer. */
  onJoined(node: Located): void {
    this.#replacements.onJoined(node);
  }

  /** A peer is reached at another endpoint than before: a peer that was lost there does not come back. */
  onAddressTaken(peer: Located): void {
    this.#replacements.onAddressTaken(peer);
  }

  /**
   * A peer exchange lists a node. Whether that is a peer that was lost at that endpoint: it is probed at once when none
   * has listed it for a minute, as a partition may just have ended, and then after 1, 2, 4 … heartbeats anew.
   */
  mentioned(id: string, endpoint: Endpoint): boolean {
    const departed = this.#lost.get(id);
    if (departed === undefined || !isSameEndpoint(departed.endpoint, endpoint)) return false;
    const now = this.#config.clock.now();
    const isNews = now - departed.listedAt >= MAX_PAUSE;
    departed.listedAt = now;
    if (isNews) {
      this.#probe(departed, now);
      departed.tries = 0;
    }
    return true;
  }

  /** Probes those whose pause is over, within the rate. */
  probeAgain(): void {
    const { clock, heartbeat } = this.#config;
    const now = clock.now();
    for (const departed of [...this.#lost.values()]) {
      if (this.#replacements.isTaken(departed.id)) {
        if (this.#replacements.isReplaced(departed.id)) this.#end(departed);
        continue;
      }
      const share = now - departed.listedAt < MAX_PAUSE ? 0 : (now - departed.at) * PAUSE_SHARE;
      const longest = Math.max(MAX_PAUSE, share, heartbeat);
      if (now - departed.triedAt < Math.min(heartbeat * 2 ** departed.tries, longest)) continue;
      if (!this.#probe(departed, now)) return;
    }
  }

  /**
   * A heartbeat of a departed node came, for which the node may be challenged: where it was, once in half a heartbeat;
   * elsewhere as well, but after four times ever less often, down to once a minute. Returns how many times that was so
   * before; `undefined` when it is too soon.
   */
  onHeartbeat(id: string, source: Endpoint): number | undefined {
    const { clock, heartbeat } = this.#config;
    const now = clock.now();
    const before = (this.#lost.get(id) ?? this.#left.get(id))?.endpoint;
    const { there, elsewhere } = this.#heard.get(id) ?? { there: never(), elsewhere: never() };
    this.#heard.set(id, { there, elsewhere });
    const attempts = before !== undefined && isSameEndpoint(before, source) ? there : elsewhere;
    if (now - attempts.at < pauseAfter(attempts === there ? 0 : attempts.times, heartbeat)) return undefined;
    attempts.at = now;
    return attempts.times++;
  }

  /** Probes a lost peer. False when the rate does not allow it. */
  #probe(departed: Departed, now: number): boolean {
    if (!this.#probeLimit.allow()) return false;
    departed.tries++;
    departed.triedAt = now;
    // It goes behind those that wait for the rate.
    this.#lost.delete(departed.id);
    this.#lost.set(departed.id, departed);
    this.#config.pathValidation.send(departed.endpoint);
    return true;
  }

  /** A lost peer does not come back, as another node is where it was. */
  #end({ id, endpoint, at }: Departed): void {
    this.#lost.delete(id);
    this.#replacements.forget(id);
    this.#left.set(id, { endpoint, at });
  }

  #forget(id: string): void {
    this.#lost.delete(id);
    this.#left.delete(id);
    this.#heard.delete(id);
    this.#replacements.forget(id);
  }

  /** Of the lost peers, the one that departed first. */
  #longest(): Departed | undefined {
    let longest: Departed | undefined;
    for (const departed of this.#lost.values()) {
      if (longest === undefined || departed.at < longest.at) longest = departed;
    }
    return longest;
  }

  /** Keeps nothing. */
  clear(): void {
    this.#lost.clear();
    this.#left.clear();
    this.#replacements.clear();
    this.#heard.clear();
  }
}
