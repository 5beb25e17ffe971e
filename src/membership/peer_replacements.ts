/**
 * Peer replacements: which joined node stands for which lost peer, so that a mesh whose processes were restarted under
 * other ids does not report the old ones as missing. Each node that joins replaces one lost peer at most.
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";
import { type Endpoint, isSameEndpoint } from "../platform/endpoint.ts";

/** A node that leaves within so many milliseconds of joining was a visitor, as a diagnosis is, and replaces nobody. */
const MIN_STAY = 60_000;

/** What {@linkcode PeerReplacements} are made of. */
export interface PeerReplacementsConfig {
  /** Most joined nodes that are remembered without a peer to replace, and most visitors. */
  readonly capacity: number;
  /** Time between heartbeats, in milliseconds. */
  readonly heartbeat: number;
  readonly clock: Clock;
}

/** A node and where it is. */
export interface Located {
  readonly id: string;
  readonly endpoint: Endpoint;
}

/** A peer that departs. */
export interface Going extends Located {
  /** When it was last heard, by the clock. */
  readonly heardAt: number;
}

/** A node that has joined, and when. */
interface JoinedNode extends Located {
  readonly at: number;
}

/** What is kept of a lost peer. */
interface LostRecord extends Going {
  readonly lostAt: number;
  /** The node that replaces it, and whether that is at its endpoint: then the lost peer does not come back. */
  replacement: JoinedNode | undefined;
  isTaken: boolean;
}

/**
 * Assigns nodes that have joined to lost peers. A crashed process may be restarted before its old id is lost, so nodes
 * that have joined and replace nobody are remembered as well.
 */
export class PeerReplacements {
  readonly #config: PeerReplacementsConfig;
  readonly #lost = new Map<string, LostRecord>();
  /** Nodes that have joined and replace nobody. */
  readonly #unassigned = new Map<string, JoinedNode>();
  /** Nodes that have left soon after joining, or of which a leave was forged. */
  readonly #visitors = new Map<string, JoinedNode>();
  readonly #startedAt: number;

  constructor(config: PeerReplacementsConfig) {
    this.#config = config;
    this.#startedAt = config.clock.now();
  }

  /** Whether a lost peer has no replacement. */
  isMissed(id: string): boolean {
    return this.#lost.get(id)?.replacement === undefined;
  }

  /** Whether another node is at the endpoint of a lost peer. */
  isTaken(id: string): boolean {
    return this.#lost.get(id)?.isTaken === true;
  }

  /** Whether another node is at the endpoint of a lost peer, and has stayed. */
  isReplaced(id: string): boolean {
    const { replacement, isTaken } = this.#lost.get(id) ?? {};
    return isTaken === true && replacement !== undefined && this.#config.clock.now() - replacement.at >= MIN_STAY;
  }

  /** A peer was lost. */
  lose(peer: Going): void {
    const { id, endpoint, heardAt } = peer;
    const lostAt = this.#config.clock.now();
    this.#lost.set(id, { id, endpoint, heardAt, lostAt, replacement: this.#takeUnassigned(peer), isTaken: false });
  }

  /** A peer was replaced where it was: a joined node is used up for it. */
  replace(peer: Going): void {
    this.#takeUnassigned(peer);
  }

  /** A peer leaves. One that joined a short while ago was a visitor, and has replaced nobody. */
  leave(id: string): void {
    const visitor = this.#release(id, this.#config.clock.now() - MIN_STAY);
    if (visitor === undefined) return;
    this.#visitors.set(id, visitor);
    shrink(this.#visitors, this.#config.capacity);
  }

  /**
   * A departed peer is back: its replacement replaces another. If its leave was forged, it replaces a lost peer again
   * itself.
   */
  back(id: string): void {
    const { replacement, isTaken } = this.#lost.get(id) ?? {};
    const visitor = this.#visitors.get(id);
    this.forget(id);
    if (replacement !== undefined && isTaken === false) this.#assign(replacement);
    if (visitor !== undefined) this.#assign(visitor);
  }

  /** A departed peer is remembered no longer. */
  forget(id: string): void {
    this.#lost.delete(id);
    this.#visitors.delete(id);
  }

  /**
   * A new node has answered. It replaces the lost peer that was at the same endpoint, which does not come back; else
   * the one of the same host that was lost first; else the one that was lost first; else a peer that will be lost, as
   * it is silent.
   */
  onJoined({ id, endpoint }: Located): void {
    if (!this.onAddressTaken({ id, endpoint })) this.#assign({ id, endpoint, at: this.#config.clock.now() });
  }

  /**
   * A node has answered at the endpoint of a lost peer, which does not come back. Returns whether it replaces a peer
   * so.
   */
  onAddressTaken({ id, endpoint }: Located): boolean {
    // A peer that comes back after a partition may share its port with another that was on the same side.
    if (this.#lost.has(id)) return false;
    const taken = this.#firstLost((lost) => isSameEndpoint(lost.endpoint, endpoint) && !lost.isTaken);
    if (taken === undefined) {
      return [...this.#lost.values()].some(({ replacement, isTaken }) => isTaken && replacement?.id === id);
    }
    this.#visitors.delete(id);
    this.#release(id, -Infinity);
    const before = taken.replacement;
    taken.replacement = { id, endpoint, at: this.#config.clock.now() };
    taken.isTaken = true;
    if (before !== undefined && before.id !== id) this.#assign(before);
    return true;
  }

  /** Keeps nothing. */
  clear(): void {
    this.#lost.clear();
    this.#unassigned.clear();
    this.#visitors.clear();
  }

  /** Ends the replacement by the node with this id, unless it joined before `since`. Returns the node. */
  #release(id: string, since: number): JoinedNode | undefined {
    let released = this.#unassigned.get(id);
    this.#unassigned.delete(id);
    for (const lost of this.#lost.values()) {
      if (lost.replacement?.id !== id || lost.replacement.at <= since) continue;
      released = lost.replacement;
      lost.isTaken = false;
      lost.replacement = this.#takeUnassigned(lost);
    }
    return released;
  }

  /**
   * Gives a joined node a lost peer to replace, or remembers it. Nodes that join within the first heartbeat of this
   * node were there before it, and are not remembered.
   */
  #assign(node: JoinedNode): void {
    const { id, endpoint: { host }, at } = node;
    const isMeant = ({ replacement, heardAt }: LostRecord) => replacement === undefined && heardAt <= at;
    const lost = this.#firstLost((lost) => isMeant(lost) && lost.endpoint.host === host) ?? this.#firstLost(isMeant);
    if (lost !== undefined) lost.replacement = node;
    else if (at - this.#startedAt >= this.#config.heartbeat) this.#unassigned.set(id, node);
    shrink(this.#unassigned, this.#config.capacity);
  }

  /**
   * Takes a node that has joined since a peer was last heard and replaces nobody, if there is one: one of its host
   * first.
   */
  #takeUnassigned({ id, endpoint: { host }, heardAt }: Going): JoinedNode | undefined {
    let found: JoinedNode | undefined;
    for (const node of this.#unassigned.values()) {
      if (node.id === id || node.at < heardAt) continue;
      if (found === undefined || (found.endpoint.host !== host && node.endpoint.host === host)) found = node;
    }
    if (found !== undefined) this.#unassigned.delete(found.id);
    return found;
  }

  /** Of the lost peers of a kind, the one that was lost first. */
  #firstLost(isMeant: (lost: LostRecord) => boolean): LostRecord | undefined {
    let first: LostRecord | undefined;
    for (const lost of this.#lost.values()) {
      if (isMeant(lost) && (first === undefined || lost.lostAt < first.lostAt)) first = lost;
    }
    return first;
  }
}

/** Removes the oldest of a map that is full. */
function shrink(map: Map<string, unknown>, size: number): void {
  const [oldest] = map.keys();
  if (map.size > size && oldest !== undefined) map.delete(oldest);
}
