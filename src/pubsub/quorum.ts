/**
 * Quorum: one publish that waits for the acknowledgements of other nodes.
 *
 * @module
 */

import type { Acknowledgement, Outcome, PublishResult, Unacknowledged } from "../acknowledgement.ts";
import { QuorumNotSatisfiedError } from "../errors.ts";
import type { Timer } from "../platform/clock.ts";
import type { DeliveryAwaiter } from "./pending_entries.ts";
import type { AwaitedQuorum } from "./sync_bus.ts";

/** A peer that acknowledges deliveries. */
export interface AcknowledgingPeer {
  readonly id: string;
  readonly zone: string | undefined;
}

/** The peers that acknowledge deliveries. A new object when they change. */
export interface AcknowledgingPeers<P extends AcknowledgingPeer = AcknowledgingPeer> {
  readonly all: readonly P[];
  readonly ids: ReadonlySet<string>;
}

/** The owner of a quorum. */
export interface QuorumOwner {
  /** The awaited entry is in the batch with this number. */
  numbered(quorum: Quorum, number: number): void;
  /** The quorum is settled. */
  settled(quorum: Quorum): void;
}

const NOBODY: ReadonlySet<string> = new Set();

/** What is awaited, and what has come. It settles once. */
export class Quorum implements DeliveryAwaiter {
  readonly promise: Promise<PublishResult>;
  readonly wish: AwaitedQuorum;
  /** When its time is over, for an owner that has one timer for all. */
  deadline: number = Infinity;
  timer: Timer | undefined;
  /** The number of the batch of the entry, and the entry's index there; 0 until it is sent. */
  number = 0;
  index = 0;
  /** Stops what ends it from outside: an abort signal. */
  detach: (() => void) | undefined;
  readonly #owner: QuorumOwner;
  /** The peers that there were when it began. */
  readonly #peers: AcknowledgingPeers;
  readonly #zone: string | undefined;
  readonly #answers: Acknowledgement[] = [];
  /** Answers that count: with `"all"`, those of the peers of the beginning. */
  #count = 0;
  /** Peers that have left, and those that are lost, without having answered; most quorums have none. */
  #departed: { readonly left: Set<string>; readonly lost: Map<string, AcknowledgingPeer> } | undefined;
  #isPrefix = false;
  #isSettled = false;
  #resolve: ((result: PublishResult) => void) | undefined;
  #reject: ((reason: unknown) => void) | undefined;

  /** `zone` is that of this node. */
  constructor(wish: AwaitedQuorum, peers: AcknowledgingPeers, zone: string | undefined, owner: QuorumOwner) {
    this.wish = wish;
    this.#peers = peers;
    this.#zone = zone;
    this.#owner = owner;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Whether its promise is settled. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  place(isPrefix: boolean, index: number): void {
    this.index = index;
    this.#isPrefix = isPrefix;
  }

  numbered(number: number, keys: number): void {
    if (this.#isSettled) return;
    this.number = number;
    if (this.#isPrefix) this.index += keys;
    this.#owner.numbered(this, number);
  }

  /** A peer has answered for the first time. */
  answer({ id, zone }: AcknowledgingPeer, outcome: Outcome, peers: AcknowledgingPeers): void {
    if (this.#isSettled || this.#hasAnswered(id)) return;
    this.#departed?.left.delete(id);
    this.#departed?.lost.delete(id);
    this.#answers.push(zone === undefined ? { node: id, outcome } : { node: id, zone, outcome });
    if (outcome === "failed") return this.review(peers);
    // It can still be satisfied if it could before.
    if (this.wish.replicas !== "all" || this.#peers.ids.has(id)) this.#count++;
    if (this.#isSatisfied()) this.#fulfil();
  }

  /** A peer is no longer there: it has left, or is lost. */
  depart(peer: AcknowledgingPeer, hasLeft: boolean): void {
    if (this.#hasAnswered(peer.id)) return;
    const departed = this.#departed ??= { left: new Set(), lost: new Map() };
    if (hasLeft) departed.left.add(peer.id);
    else departed.lost.set(peer.id, peer);
  }

  /** Settles it when it is satisfied, or can no longer be with the peers that there are. */
  review(peers: AcknowledgingPeers): void {
    if (this.#isSettled) return;
    if (this.#isSatisfied()) this.#fulfil();
    else if (!this.canBeSatisfied(peers)) this.fail(this.shortage(peers));
  }

  /** Rejects it. */
  fail(reason: unknown): void {
    if (this.#isSettled) return;
    this.#settle();
    this.#reject?.(reason);
  }

  /** The error that says who has acknowledged and who has not. */
  shortage(peers: AcknowledgingPeers, isPublished = true): QuorumNotSatisfiedError {
    const { zones } = this.wish;
    const done = zones === undefined ? this.#count : this.#zones().size;
    const what = zones === undefined ? "replicas" : "zones";
    return new QuorumNotSatisfiedError(
      this.#required(),
      done,
      [...this.#answers],
      this.#missing(peers),
      what,
      isPublished,
    );
  }

  #hasAnswered(id: string): boolean {
    for (const { node } of this.#answers) if (node === id) return true;
    return false;
  }

  #fulfil(): void {
    this.#settle();
    this.#resolve?.({ acknowledgements: this.#answers });
  }

  #settle(): void {
    this.#isSettled = true;
    this.timer?.cancel();
    this.detach?.();
    this.#owner.settled(this);
  }

  /** How many replicas or zones are required; with `"all"`, those of the beginning that have not left. */
  #required(): number {
    const { replicas, zones } = this.wish;
    if (zones !== undefined) return zones;
    if (replicas !== "all") return replicas ?? 0;
    let left = 0;
    for (const id of this.#departed?.left ?? []) if (this.#peers.ids.has(id)) left++;
    return this.#peers.all.length - left;
  }

  #isSatisfied(): boolean {
    const { zones } = this.wish;
    return zones === undefined ? this.#count >= this.#required() : this.#zones().size >= zones;
  }

  /** Whether enough of the peers that there are can still acknowledge. */
  canBeSatisfied(peers: AcknowledgingPeers): boolean {
    const { replicas, zones } = this.wish;
    if (replicas === "all") {
      for (const id of this.#departed?.lost.keys() ?? []) if (this.#peers.ids.has(id)) return false;
      for (const { node, outcome } of this.#answers) {
        if (outcome === "failed" && this.#peers.ids.has(node)) return false;
      }
      return true;
    }
    const answered = this.#answered();
    if (zones === undefined) {
      let open = 0;
      for (const { id } of peers.all) if (!answered.has(id)) open++;
      return this.#count + open >= (replicas ?? 0);
    }
    const reachable = this.#zones();
    for (const { id, zone } of peers.all) if (!answered.has(id)) this.#addZone(reachable, zone);
    return reachable.size >= zones;
  }

  /** The nodes that have answered. */
  #answered(): ReadonlySet<string> {
    return this.#answers.length === 0 ? NOBODY : new Set(this.#answers.map(({ node }) => node));
  }

  /** The zones that count. */
  #zones(): Set<string> {
    const zones = new Set<string>();
    for (const { outcome, zone } of this.#answers) if (outcome !== "failed") this.#addZone(zones, zone);
    if (this.wish.ownZone && this.#zone !== undefined) zones.add(this.#zone);
    return zones;
  }

  #addZone(zones: Set<string>, zone: string | undefined): void {
    if (zone !== undefined && zone !== this.#zone) zones.add(zone);
  }

  #missing(peers: AcknowledgingPeers): readonly Unacknowledged[] {
    const missing: Unacknowledged[] = [];
    const add = (node: string, zone: string | undefined, reason: Unacknowledged["reason"]) =>
      missing.push({ node, ...zone !== undefined && { zone }, reason });
    for (const { node, outcome, zone } of this.#answers) if (outcome === "failed") add(node, zone, "failed");
    const { left, lost } = this.#departed ?? {};
    const answered = this.#answered();
    for (const { id, zone } of lost?.values() ?? []) add(id, zone, "lost");
    const isAll = this.wish.replicas === "all";
    for (const { id, zone } of isAll ? this.#peers.all : peers.all) {
      if (!answered.has(id) && lost?.has(id) !== true && left?.has(id) !== true) add(id, zone, "pending");
    }
    return missing;
  }
}
