/**
 * The node's own stream: numbers what it sends, keeps it for repair, says where it is, and answers requests.
 *
 * @module
 */

import type { Endpoint } from "./address.ts";
import type { Clock, Timer } from "./clock.ts";
import type { RandomBytes } from "./host.ts";
import type { Parcel } from "./outbox.ts";
import type { Pacer } from "./pacer.ts";
import { RateLimit } from "./rate_limit.ts";
import { Repairs } from "./repairs.ts";
import type { SentRing } from "./sent_ring.ts";
import { type Base, encodeControl, type Extension, type NumberRange, type Position } from "./wire/extension.ts";
import { MAX_NUMBER, TOKEN_LENGTH, TYPE_LEAVE, TYPE_STATE } from "./wire/layout.ts";
import { equalBytes } from "./wire/packet.ts";

/** When the position is announced after a batch, in milliseconds. The next batch stands for what is still to come. */
const ANNOUNCE_AFTER: readonly number[] = [20, 60, 120, 220, 450];

/** How often a node that leaves says so, in milliseconds. */
const LEAVE_EVERY = 30;

/** Answers to requests a second, without repairs. */
const ANSWERS_PER_SECOND = 256;

/** Most repairs for one request. */
const MAX_REPAIRS = 128;

/** A peer that may ask, and where it is. */
export interface Asker {
  readonly id: string;
  readonly endpoint: Endpoint;
}

/** What an {@linkcode OwnStream} is made of. The callbacks MUST NOT throw. */
export interface OwnStreamConfig {
  /** The node's own id, 16 bytes. */
  readonly nodeId: Uint8Array;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly ring: SentRing;
  readonly pacer: Pacer;
  readonly multicast: boolean;
  /** A peer, when a heartbeat of it was heard. */
  readonly peer: (id: string) => Asker | undefined;
  /** The peers that speak the extension. */
  readonly peers: () => readonly Asker[];
  /** Sends a packet to one endpoint, or to the group and all peers that speak the extension. */
  readonly post: (packet: Uint8Array, to?: Endpoint) => void;
  /** {@linkcode OwnStream.takeRepair} has something to give. */
  readonly onRepair: () => void;
}

interface Proof {
  readonly token: Uint8Array;
  readonly endpoint: Endpoint;
}

/** One per node. */
export class OwnStream {
  /** Requests that have come. */
  requests = 0;
  /** Requests that were not answered: of nodes that are no peers, beyond the rate, or without the token. */
  refused = 0;
  /** Datagrams sent again. */
  repaired = 0;
  readonly #config: OwnStreamConfig;
  readonly #repairs: Repairs;
  readonly #answers: RateLimit;
  readonly #proofs = new Map<string, Proof>();
  #timer: Timer | undefined;
  /** Which announcement the timer is for. */
  #round = 0;
  #lastAt = 0;
  #leaving: Leaving | undefined;

  constructor(config: OwnStreamConfig) {
    const { clock, multicast, onRepair } = config;
    this.#config = config;
    this.#repairs = new Repairs({ clock, multicast, onReady: onRepair });
    this.#answers = new RateLimit(clock, ANSWERS_PER_SECOND, ANSWERS_PER_SECOND);
  }

  /** Where the stream is. */
  get position(): Position {
    const { last, oldest, age } = this.#config.ring;
    return { last, oldest, age };
  }

  /** The number of the next batch. */
  get next(): number {
    return this.#config.ring.last + 1;
  }

  /** Notes a batch that is about to be sent with the number {@linkcode OwnStream.next}. */
  sent(datagram: Uint8Array): void {
    const { ring, clock } = this.#config;
    ring.append(datagram);
    this.#lastAt = clock.now();
    if (this.#timer !== undefined && this.#round === 0) return;
    this.#timer?.cancel();
    this.#announceFrom(0);
  }

  /** The next repair. The datagram holds until the next batch is noted. */
  takeRepair(): Parcel | undefined {
    while (true) {
      const repair = this.#repairs.take();
      if (repair === undefined) return undefined;
      const datagram = this.#config.ring.get(repair.number);
      // It has given way meanwhile. Who asked will ask again, and be told.
      if (datagram === undefined) continue;
      this.repaired++;
      return { datagram, to: repair.to ?? "group" };
    }
  }

  /** What the heartbeat for one peer says besides the position: the token that shows that the peer has got it. */
  tokenFor({ id, endpoint }: Asker): Uint8Array {
    const proof = this.#proofs.get(id);
    if (proof !== undefined && isSame(proof.endpoint, endpoint)) return proof.token;
    const token = this.#config.randomBytes(TOKEN_LENGTH).slice();
    this.#proofs.set(id, { token, endpoint });
    return token;
  }

  /** A peer is gone. */
  forget(id: string): void {
    this.#proofs.delete(id);
    this.#leaving?.settle(id);
  }

  /** Answers a negative acknowledgement. */
  repair(id: string, { nonce, token, ranges = [] }: Extension): void {
    this.requests++;
    const peer = this.#config.peer(id);
    if (peer === undefined || !this.#hasProved(peer, token)) {
      this.refused++;
      if (peer !== undefined) this.#answer(peer, nonce);
      return;
    }
    if (!this.#enqueue(ranges, peer)) this.#answer(peer, nonce);
  }

  /** Answers a catch-up request. */
  catchUp(id: string, { nonce, since = Infinity }: Extension): void {
    this.requests++;
    const peer = this.#config.peer(id);
    if (peer === undefined) {
      this.refused++;
      return;
    }
    const { ring } = this.#config;
    const first = Math.min(Math.max(ring.firstSince(since), ring.oldest), MAX_NUMBER);
    this.#answer(peer, nonce, { first, age: ring.ageOf(first - 1) });
  }

  /** A peer has everything up to `settled`. */
  acknowledge(id: string, settled: number): void {
    if (settled >= this.#config.ring.last) this.#leaving?.settle(id);
  }

  /** Batches that were accepted and can not be sent any more: they become a gap. */
  skip(): void {
    this.#config.ring.skip();
  }

  /** Says that the node leaves until all of `peers` have everything, for at most `patience` milliseconds. */
  async leave(peers: readonly Asker[], patience: number): Promise<void> {
    const { clock, nodeId, post } = this.#config;
    this.#timer?.cancel();
    const leaving = this.#leaving = new Leaving(peers);
    const say = (to?: Endpoint) => post(encodeControl(TYPE_LEAVE, nodeId, { position: this.position }), to);
    say();
    const until = clock.now() + patience;
    while (leaving.waiting.size > 0 && clock.now() < until) {
      await leaving.settledWithin(clock, Math.min(LEAVE_EVERY, until - clock.now()));
      for (const endpoint of leaving.waiting.values()) say(endpoint);
    }
  }

  /** Announces and answers nothing more. */
  close(): void {
    this.#timer?.cancel();
    this.#repairs.close();
    this.#proofs.clear();
  }

  /** One timer for a whole burst: it is not set again with each batch, as that would cost more than the rest here. */
  #announceFrom(round: number): void {
    const after = ANNOUNCE_AFTER[round];
    if (after === undefined || this.#leaving !== undefined) {
      this.#timer = undefined;
      return;
    }
    const { clock, nodeId, post } = this.#config;
    this.#timer = clock.setTimer(() => {
      const isDue = this.#lastAt + after <= clock.now() + 1;
      if (isDue) post(encodeControl(TYPE_STATE, nodeId, { position: this.position }));
      this.#announceFrom(isDue ? round + 1 : 0);
    }, this.#lastAt + after - clock.now());
    this.#round = round;
  }

  /** False when some of it can not be had. */
  #enqueue(ranges: readonly NumberRange[], { id, endpoint }: Asker): boolean {
    const { ring, pacer, peers } = this.#config;
    const { oldest, last } = ring;
    const alone = peers().length < 2;
    let left = MAX_REPAIRS;
    let isNeeded = false;
    for (const { from, to } of ranges) {
      for (let number = Math.max(from, oldest); number <= Math.min(to, last) && left > 0; number++, left--) {
        if (this.#repairs.ask(number, id, endpoint, alone)) isNeeded = true;
      }
    }
    if (isNeeded) pacer.onLoss();
    return ranges.every(({ from, to }) => from >= oldest && to <= last);
  }

  #hasProved(peer: Asker, token: Uint8Array | undefined): boolean {
    const proof = this.#proofs.get(peer.id);
    return token !== undefined && proof !== undefined && isSame(proof.endpoint, peer.endpoint) &&
      equalBytes(proof.token, token);
  }

  #answer(peer: Asker, nonce: number | undefined, base?: Base): void {
    if (!this.#answers.allow()) {
      this.refused++;
      return;
    }
    const { nodeId, post } = this.#config;
    const answer = { position: this.position, token: this.tokenFor(peer), nonce: nonce ?? 0, ...(base && { base }) };
    post(encodeControl(TYPE_STATE, nodeId, answer), peer.endpoint);
  }
}

/** The peers that a node which leaves waits for. */
class Leaving {
  readonly waiting: Map<string, Endpoint>;
  #wake: () => void = () => {};

  constructor(peers: readonly Asker[]) {
    this.waiting = new Map(peers.map(({ id, endpoint }) => [id, endpoint]));
  }

  settle(id: string): void {
    this.waiting.delete(id);
    if (this.waiting.size === 0) this.#wake();
  }

  /** Resolves when nobody is waited for, or after `time` milliseconds. */
  async settledWithin(clock: Clock, time: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = clock.setTimer(resolve, time);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}

function isSame(a: Endpoint, b: Endpoint): boolean {
  return a.host === b.host && a.port === b.port;
}
