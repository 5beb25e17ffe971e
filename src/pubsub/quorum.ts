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
  /** The awaited entry has the index of the batch with this number. */
  numbered(quorum: Quorum, number: number, index: number): void;
  /** The quorum is settled. */
  settled(quorum: Quorum): void;
}

/** What is awaited, and what has come. It settles once. */
export class Quorum implements DeliveryAwaiter {
  readonly promise: Promise<PublishResult>;
  readonly wish: AwaitedQuorum;
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
  readonly #answers = new Map<string, Acknowledgement>();
  /** Answers that count. */
  #count = 0;
  /** Peers of the beginning that have left, and those that are lost, without having answered. */
  readonly #left = new Set<string>();
  readonly #lost = new Map<string, AcknowledgingPeer>();
  #isSettled = false;
  #resolve: (result: PublishResult) => void = () => {};
  #reject: (reason: unknown) => void = () => {};

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
    // Whoever awaits the promise gets the rejection. Publishing may fail before anybody does.
    this.promise.catch(() => {});
  }

  numbered(number: number, index: number): void {
    if (this.#isSettled) return;
    this.number = number;
    this.index = index;
    this.#owner.numbered(this, number, index);
  }

  /** A peer has answered for the first time. */
  answer({ id, zone }: AcknowledgingPeer, outcome: Outcome, peers: AcknowledgingPeers): void {
    if (this.#isSettled || this.#answers.has(id)) return;
    this.#left.delete(id);
    this.#lost.delete(id);
    this.#answers.set(id, { node: id, ...zone !== undefined && { zone }, outcome });
    if (outcome !== "failed") this.#count++;
    this.review(peers);
  }

  /** A peer is no longer there: it has left, or is lost. */
  depart(peer: AcknowledgingPeer, hasLeft: boolean): void {
    if (this.#answers.has(peer.id)) return;
    if (hasLeft) this.#left.add(peer.id);
    else this.#lost.set(peer.id, peer);
  }

  /** Settles it when it is satisfied, or can no longer be with the peers that there are. */
  review(peers: AcknowledgingPeers): void {
    if (this.#isSettled) return;
    if (this.#isSatisfied()) this.#settle(() => this.#resolve({ acknowledgements: this.acknowledgements }));
    else if (!this.canBeSatisfied(peers)) this.fail(this.shortage(peers));
  }

  /** Rejects it. */
  fail(reason: unknown): void {
    if (!this.#isSettled) this.#settle(() => this.#reject(reason));
  }

  get acknowledgements(): readonly Acknowledgement[] {
    return [...this.#answers.values()];
  }

  /** The error that says who has acknowledged and who has not. */
  shortage(peers: AcknowledgingPeers): QuorumNotSatisfiedError {
    const { zones } = this.wish;
    const done = zones === undefined ? this.#counted() : this.#zones().size;
    const what = zones === undefined ? "replicas" : "zones";
    return new QuorumNotSatisfiedError(this.#required(), done, this.acknowledgements, this.#missing(peers), what);
  }

  #settle(end: () => void): void {
    this.#isSettled = true;
    this.timer?.cancel();
    this.detach?.();
    this.#owner.settled(this);
    end();
  }

  /** How many replicas or zones are required; with `"all"`, those of the beginning that have not left. */
  #required(): number {
    const { replicas, zones } = this.wish;
    if (zones !== undefined) return zones;
    if (replicas !== "all") return replicas ?? 0;
    let left = 0;
    for (const id of this.#left) if (this.#peers.ids.has(id)) left++;
    return this.#peers.all.length - left;
  }

  #counted(): number {
    if (this.wish.replicas !== "all") return this.#count;
    let count = 0;
    for (const { node, outcome } of this.#answers.values()) {
      if (outcome !== "failed" && this.#peers.ids.has(node)) count++;
    }
    return count;
  }

  #isSatisfied(): boolean {
    const { zones } = this.wish;
    return zones === undefined ? this.#counted() >= this.#required() : this.#zones().size >= zones;
  }

  /** Whether enough of the peers that there are can still acknowledge. */
  canBeSatisfied(peers: AcknowledgingPeers): boolean {
    const { replicas, zones } = this.wish;
    if (replicas === "all") {
      for (const id of this.#lost.keys()) if (this.#peers.ids.has(id)) return false;
      for (const { node, outcome } of this.#answers.values()) {
        if (outcome === "failed" && this.#peers.ids.has(node)) return false;
      }
      return true;
    }
    const open = peers.all.filter(({ id }) => !this.#answers.has(id));
    if (zones === undefined) return this.#count + open.length >= (replicas ?? 0);
    const reachable = this.#zones();
    for (const { zone } of open) this.#addZone(reachable, zone);
    return reachable.size >= zones;
  }

  /** The zones that count. */
  #zones(): Set<string> {
    const zones = new Set<string>();
    for (const { outcome, zone } of this.#answers.values()) if (outcome !== "failed") this.#addZone(zones, zone);
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
    for (const { node, outcome, zone } of this.#answers.values()) if (outcome === "failed") add(node, zone, "failed");
    for (const { id, zone } of this.#lost.values()) add(id, zone, "lost");
    const isAll = this.wish.replicas === "all";
    for (const { id, zone } of isAll ? this.#peers.all : peers.all) {
      const isOpen = !this.#answers.has(id) && !this.#lost.has(id) && !this.#left.has(id);
      if (isOpen) add(id, zone, "pending");
    }
    return missing;
  }
}
