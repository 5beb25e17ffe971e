/**
 * Awaited batches: the batches of this node whose delivery is awaited, and who has acknowledged them. Who has not gets
 * them again.
 *
 * Kin to RSVP of JGroups, which repeats its request until all members have acknowledged or the time is over.
 *
 * @module
 */

import { ClosedError, QuorumUnsupportedError } from "../errors.ts";
import type { Departure } from "../membership/stream_registry.ts";
import type { Clock, Timer } from "../platform/clock.ts";
import { type AcknowledgingPeer, type AcknowledgingPeers, Quorum, type QuorumOwner } from "../pubsub/quorum.ts";
import type { AwaitedQuorum } from "../pubsub/sync_bus.ts";
import { type DeliveredBatch, isComplete, outcomeOf, type Outcomes } from "../wire/outcomes.ts";
import { LeavingPeers } from "./leaving_peers.ts";

/**
 * How long after a batch was sent it is sent again to who has not acknowledged it, in milliseconds; at least twice the
 * round trip. A lost batch is found missing after 20 ms by other means, and a lost acknowledgement by no other.
 */
const RESEND_AFTER: readonly number[] = [10, 20, 40, 80, 160, 320, 640];
const MAX_PAUSE = 1000;
/** Most that two round trips count for, in milliseconds: where they seem longer, the peer was mostly blocked. */
const MAX_TRIPS = 200;

/** A peer that is awaited. */
export interface AwaitedPeer extends AcknowledgingPeer {
  /** Smoothed round trip to it, in milliseconds; 0 when none was measured. */
  readonly roundTrip: number;
}

/** What {@linkcode AwaitedBatches} are made of. What they call MUST NOT throw. */
export interface AwaitedBatchesConfig {
  readonly clock: Clock;
  /** The zone of this node. */
  readonly zone: string | undefined;
  readonly peers: () => { acknowledging(): AcknowledgingPeers<AwaitedPeer> };
  readonly stream: {
    /** Sends a batch again, to one peer. */
    retransmit(number: number, id: string): void;
  };
}

/** One batch. */
interface AwaitedBatch {
  /** Its quorums, and how many of them are not settled. */
  readonly quorums: Quorum[];
  open: number;
  /** The peers that have acknowledged it. */
  readonly acknowledged: Set<string>;
  /** How often it was sent again. */
  attempts: number;
  timer: Timer | undefined;
}

/** Whether outcomes cover the entries that are awaited. Those of another batch with the same number may not. */
function hasAll(outcomes: Outcomes, quorums: Iterable<Quorum>): boolean {
  if (typeof outcomes === "string") return true;
  for (const { index, isSettled } of quorums) if (!isSettled && index >= outcomes.length) return false;
  return true;
}

/** Owns the quorums of a node. A batch is forgotten when none of its quorums is open. */
export class AwaitedBatches implements QuorumOwner {
  /** Acknowledgements that nobody awaits, that were repeated, or that lack entries. */
  unawaited = 0;
  readonly #config: AwaitedBatchesConfig;
  readonly #batches = new Map<number, AwaitedBatch>();
  readonly #quorums = new Set<Quorum>();
  readonly #leaving: LeavingPeers<AwaitedPeer>;
  /** The timer of the deadlines, and when it wakes. */
  #timer: Timer | undefined;
  #wakesAt = Infinity;
  #isClosed = false;

  constructor(config: AwaitedBatchesConfig) {
    this.#config = config;
    this.#leaving = new LeavingPeers(config.clock);
  }

  /** Publishes that are awaited now. */
  get size(): number {
    return this.#quorums.size;
  }

  /**
   * Begins to await a publish.
   *
   * @throws {ClosedError} after `close`
   * @throws {QuorumUnsupportedError} when no peer can acknowledge
   * @throws {QuorumNotSatisfiedError} when there are too few that can
   */
  open(wish: AwaitedQuorum): Quorum {
    if (this.#isClosed) throw new ClosedError("publish");
    const { clock, zone } = this.#config;
    // A peer that is leaving may have the key, so `"all"` awaits it, but it is none to count on.
    const peers = this.#config.peers().acknowledging();
    if (peers.all.length === 0) throw new QuorumUnsupportedError();
    const quorum = new Quorum(wish, this.#leaving.with(peers), zone, this);
    if (!quorum.canBeSatisfied(peers)) throw quorum.shortage(peers, false);
    this.#quorums.add(quorum);
    quorum.deadline = clock.now() + wish.timeout;
    if (quorum.deadline < this.#wakesAt) this.#wakeAt(quorum.deadline);
    return quorum;
  }

  numbered(quorum: Quorum, number: number): void {
    const batch = this.#batches.get(number) ?? this.#add(number);
    batch.quorums.push(quorum);
    batch.open++;
    // Peers may have left since, and the own zone may be enough.
    quorum.review(this.#peers());
  }

  settled(quorum: Quorum): void {
    this.#quorums.delete(quorum);
    if (this.#quorums.size === 0) this.#wakeAt(Infinity);
    const batch = this.#batches.get(quorum.number);
    if (batch === undefined || --batch.open > 0) return;
    batch.timer?.cancel();
    this.#batches.delete(quorum.number);
  }

  /** A peer has acknowledged batches. */
  acknowledge(peer: AcknowledgingPeer, delivered: readonly DeliveredBatch[]): void {
    const peers = this.#peers();
    for (const { number, outcomes } of delivered) {
      const batch = this.#batches.get(number);
      if (batch === undefined || batch.acknowledged.has(peer.id) || !hasAll(outcomes, batch.quorums)) {
        this.unawaited++;
        continue;
      }
      if (isComplete(outcomes)) batch.acknowledged.add(peer.id);
      for (const quorum of batch.quorums) {
        const outcome = outcomeOf(outcomes, quorum.index);
        if (outcome !== undefined) quorum.answer(peer, outcome, peers);
      }
    }
  }

  /** A peer is no longer there: it is lost, or a leave came in its name. */
  depart(peer: AwaitedPeer, departure: Departure): void {
    if (this.#isClosed) return;
    if (departure !== "left" && departure !== "unverified") {
      this.#leaving.delete(peer.id);
      this.#depart(peer, false);
      return;
    }
    // What was not verified does not count as a leave.
    this.#leaving.add(peer, () => this.#depart(peer, departure === "left"));
  }

  #depart(peer: AwaitedPeer, hasLeft: boolean): void {
    if (this.#quorums.size === 0) return;
    const peers = this.#peers();
    // It has responded meanwhile.
    if (peers.ids.has(peer.id)) return;
    for (const quorum of [...this.#quorums]) {
      quorum.depart(peer, hasLeft);
      quorum.review(peers);
    }
  }

  /** The node has another id: what was sent under the old one can no longer be acknowledged. */
  restart(): void {
    const peers = this.#peers();
    for (const quorum of [...this.#quorums]) if (quorum.number > 0) quorum.fail(quorum.shortage(peers));
  }

  /** Rejects all with a `ClosedError`. */
  close(): void {
    this.#isClosed = true;
    this.#leaving.close();
    for (const quorum of [...this.#quorums]) quorum.fail(new ClosedError("await acknowledgements"));
  }

  /** One timer for all: it wakes at the earliest deadline that it was set for, of a quorum that may be settled. */
  #wakeAt(at: number): void {
    const { clock } = this.#config;
    this.#timer?.cancel();
    this.#wakesAt = at;
    this.#timer = at === Infinity ? undefined : clock.setTimer(this.#onDeadline, at - clock.now());
  }

  readonly #onDeadline = (): void => {
    const now = this.#config.clock.now();
    let next = Infinity;
    const peers = this.#peers();
    for (const quorum of this.#quorums) {
      if (quorum.deadline <= now) quorum.fail(quorum.shortage(peers));
      else if (quorum.deadline < next) next = quorum.deadline;
    }
    this.#wakeAt(next);
  };

  #peers(): AcknowledgingPeers<AwaitedPeer> {
    return this.#leaving.with(this.#config.peers().acknowledging());
  }

  #add(number: number): AwaitedBatch {
    const batch: AwaitedBatch = { quorums: [], open: 0, acknowledged: new Set(), attempts: 0, timer: undefined };
    this.#batches.set(number, batch);
    this.#arm(number, batch);
    return batch;
  }

  #arm(number: number, batch: AwaitedBatch): void {
    const after = RESEND_AFTER[batch.attempts] ?? MAX_PAUSE;
    let longest = 0;
    for (const { id, roundTrip } of this.#peers().all) {
      if (roundTrip > longest && !batch.acknowledged.has(id)) longest = roundTrip;
    }
    batch.timer = this.#config.clock.setTimer(
      () => this.#resend(number, batch),
      Math.max(after, Math.min(2 * longest, MAX_TRIPS)),
    );
  }

  #resend(number: number, batch: AwaitedBatch): void {
    batch.attempts++;
    for (const { id } of this.#peers().all) {
      if (!batch.acknowledged.has(id)) this.#config.stream.retransmit(number, id);
    }
    this.#arm(number, batch);
  }
}
