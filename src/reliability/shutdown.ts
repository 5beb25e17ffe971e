/**
 * The end of a node: who it is known by, what it has published, and what is refused after it has left.
 *
 * @module
 */

import { type CloseReport, NOTHING_PUBLISHED } from "../close_report.ts";
import type { Seeds } from "../discovery/seeds.ts";
import type { Membership } from "../membership/membership.ts";
import type { KnownPeer } from "../membership/peer.ts";
import type { InterfaceSockets } from "../net/interface_sockets.ts";
import type { TransmitQueue } from "../net/transmit_queue.ts";
import type { Clock } from "../platform/clock.ts";
import { formatAddress } from "../platform/endpoint.ts";
import type { Batcher } from "../pubsub/batcher.ts";
import type { Reliability } from "./reliability.ts";

/**
 * When it gives up, in milliseconds after it began: meeting others and sending what is pending, waiting until the peers have
 * it, and sending the last words.
 */
const DEADLINES = { drain: 600, leave: 950, end: 1000 };

/** How often it looks whether those who were greeted have answered, in milliseconds. */
const LOOK_EVERY = 10;

/** How long it tells of what was refused after it had left, in milliseconds. */
const TAKE_BACK = 300;

/** What a {@linkcode Shutdown} is made of. */
export interface ShutdownConfig {
  readonly clock: Clock;
  readonly batcher: Batcher;
  readonly transmitQueue: TransmitQueue;
  readonly links: InterfaceSockets;
  readonly membership: Membership;
  readonly seeds: Seeds;
  /** Absent when the node speaks the original's wire only: then nobody is told of anything. */
  readonly reliability: Reliability | undefined;
  /** Hears nothing any more when the sockets are closed, but as long as they are open again for a moment. */
  readonly receiver: () => { isDeaf: boolean };
}

/**
 * Keys are taken until the leave is said. A node that has published something first meets those whom its seeds know, so
 * that a job that lives for some milliseconds is heard. What can not be sent, or is refused after that, is a gap to the peers.
 */
export class Shutdown {
  readonly #config: ShutdownConfig;
  #hasBegun = false;
  #isMeeting = false;
  #known: readonly KnownPeer[] = [];
  #left: Promise<void> | undefined;
  #takingBack: Promise<number> | undefined;
  #isRefused = false;

  constructor(config: ShutdownConfig) {
    this.#config = config;
  }

  /** Whether the node closes, or has closed. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Whether others are still to be met. */
  get isMeeting(): boolean {
    return this.#isMeeting;
  }

  /** Sends what is pending, sees to it that the peers have it, and says that the node leaves. */
  async run(): Promise<CloseReport> {
    const { batcher, clock, membership, transmitQueue, reliability, seeds } = this.#config;
    const start = clock.now();
    const drainBy = start + DEADLINES.drain;
    this.#hasBegun = this.#isMeeting = true;
    batcher.hurry();
    await transmitQueue.drainedBy(drainBy);
    do {
      await this.#drain(drainBy);
      if (this.#hasPublished()) await this.#meet(drainBy);
    } while (batcher.pending > 0 && clock.now() < drainBy);
    this.#isMeeting = false;
    const unanswered = [...seeds.unresolved, ...this.#silentSeeds(), ...membership.unmet];
    seeds.close();
    membership.stop();
    const turnedAway = batcher.close();
    transmitQueue.holdBatches();
    const unsent = batcher.pending + turnedAway;
    // What could not be sent is a gap to the peers, and not a silence.
    if (unsent > 0) reliability?.sendStream.skip();
    while (batcher.take() !== undefined) { /* It has nowhere to go any more. */ }
    if (reliability !== undefined) {
      this.#known = membership.peers.extended().filter(({ isValidated }) => isValidated);
      await reliability.leave(start + DEADLINES.leave - clock.now());
      await transmitQueue.drainedBy(start + DEADLINES.end);
    }
    return this.#hasPublished() ? this.#report(unanswered, unsent) : NOTHING_PUBLISHED;
  }

  /** `closed` resolves when the node has been closed after it has left. */
  leftWith(closed: Promise<unknown>): void {
    this.#left = closed.then(() => {});
  }

  /**
   * A key was refused, as the leave had been said: the store may have changed, and peers took the leave for the end. They get
   * a gap. Resolves when they have been told, to how many could not be.
   */
  async refused(): Promise<number> {
    const { reliability } = this.#config;
    if (reliability === undefined || this.#left === undefined) return 0;
    this.#isRefused = true;
    if (reliability.sendStream.isLeaving) {
      this.#isRefused = false;
      reliability.sendStream.retract();
    }
    return await (this.#takingBack ??= this.#retract(reliability));
  }

  /** One at a time, and one for all keys that are refused meanwhile. Resolves to how many could not be told. */
  async #retract({ sendStream: own }: Reliability): Promise<number> {
    const { clock, links, receiver, transmitQueue } = this.#config;
    await this.#left;
    let untold = this.#silent().length;
    while (this.#isRefused) {
      this.#isRefused = false;
      try {
        await links.reopen();
        receiver().isDeaf = false;
        own.retract();
        await own.leave(this.#known, TAKE_BACK);
        await transmitQueue.drainedBy(clock.now() + TAKE_BACK);
        untold = this.#silent().length;
      } catch {
        // No socket can be had.
        untold = this.#known.length;
      }
      receiver().isDeaf = true;
      await links.close().catch(() => {});
    }
    this.#takingBack = undefined;
    return untold;
  }

  /** Peers that have not said that they have everything, and have not left. */
  #silent(): readonly KnownPeer[] {
    const { reliability } = this.#config;
    return this.#known.filter(({ id }) => !reliability?.sendStream.confirmed.has(id) && !reliability?.hasLeft(id));
  }

  #silentSeeds(): readonly string[] {
    const { membership } = this.#config;
    return membership.unansweredSeeds(membership.openSeeds()).map(({ host, port }) => formatAddress(host, port));
  }

  #hasPublished(): boolean {
    // Who waits for room does so because of what was accepted.
    return this.#config.batcher.accepted > 0;
  }

  /** Sends what is pending and what waits for room, and what comes meanwhile. */
  async #drain(until: number): Promise<void> {
    const { batcher, clock, transmitQueue } = this.#config;
    while ((batcher.pending > 0 || batcher.waiting > 0) && clock.now() < until) {
      await transmitQueue.drainedBy(until);
      // What is published in a turn is ready at the end of it.
      if (batcher.pending > 0) await new Promise<void>((resolve) => void clock.setTurnEnd(resolve));
    }
  }

  /** Waits for those who were greeted or looked up a short while ago. */
  async #meet(until: number): Promise<void> {
    const { batcher, clock, membership, seeds } = this.#config;
    while ((seeds.isLookingUp || membership.isMeeting) && clock.now() < until) {
      await new Promise<void>((resolve) => void clock.setTimer(resolve, LOOK_EVERY));
      membership.repeatChallenges();
      if (batcher.pending > 0) return;
    }
  }

  #report(unanswered: readonly string[], unsent: number): CloseReport {
    const { membership, reliability } = this.#config;
    const confirmed = reliability?.sendStream.confirmed.size ?? 0;
    const unconfirmed = [...new Set([...this.#silent().map(({ address }) => address), ...unanswered])];
    const plain = membership.peers.joined().filter(({ extended }) => !extended || reliability === undefined).length;
    const isConfirmed = confirmed > 0 && unconfirmed.length === 0 && unsent === 0;
    return { isConfirmed, confirmed, unconfirmed, unsent, plain };
  }
}
