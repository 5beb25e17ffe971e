/**
 * Shutdown of a node: meets the nodes that its seeds name, sends what is pending, leaves, and takes the leave back for
 * keys that are refused after it.
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
import { formatEndpoint } from "../platform/endpoint.ts";
import type { Batcher } from "../pubsub/batcher.ts";
import type { Reliability } from "./reliability.ts";

/**
 * The deadlines of each step, in milliseconds after the beginning: meeting other nodes and sending what is pending,
 * waiting for the acknowledgements of the peers, and sending the last packets.
 */
const DEADLINES = { drain: 600, leave: 950, end: 1000 };

/** Interval of the checks whether the nodes that were probed have answered, in milliseconds. */
const LOOK_EVERY = 10;

/** For how long leave packets are repeated when keys were refused after the leave, in milliseconds. */
const RETRACT_FOR = 300;

/** What a {@linkcode Shutdown} is made of. */
export interface ShutdownConfig {
  readonly clock: Clock;
  readonly batcher: Batcher;
  readonly transmitQueue: TransmitQueue;
  readonly links: InterfaceSockets;
  readonly membership: Membership;
  readonly seeds: Seeds;
  /** Absent when the node speaks go-warp's wire only: then no leave packets are sent. */
  readonly reliability: Reliability | undefined;
  /** Receives nothing once the sockets are closed, except while they are open again for a moment. */
  readonly receiver: () => { isDeaf: boolean };
}

/**
 * Closes the node. Keys are accepted until the leave packet is sent. A node that has published something first meets
 * the nodes that its seeds name, so that a job that lives for some milliseconds is heard. What cannot be sent, or is
 * refused after that, is a gap to the peers.
 */
export class Shutdown {
  readonly #config: ShutdownConfig;
  #hasBegun = false;
  #isMeeting = false;
  #known: readonly KnownPeer[] = [];
  #left: Promise<void> | undefined;
  #retracting: Promise<number> | undefined;
  #isRefused = false;

  constructor(config: ShutdownConfig) {
    this.#config = config;
  }

  /** Whether the node is closing, or is closed. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Whether the node is still meeting others. */
  get isMeeting(): boolean {
    return this.#isMeeting;
  }

  /** Sends what is pending, waits until the peers have it, and sends leave packets meanwhile. */
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
    // What could not be sent becomes a gap to the peers instead of a silent loss.
    if (unsent > 0) reliability?.sendStream.skip();
    while (batcher.take() !== undefined) { /* The batch is dropped. */ }
    if (reliability !== undefined) {
      this.#known = membership.peers.extended().filter(({ isValidated }) => isValidated);
      await reliability.leave(start + DEADLINES.leave - clock.now());
      await transmitQueue.drainedBy(start + DEADLINES.end);
    }
    return this.#hasPublished() ? this.#report(unanswered, unsent) : NOTHING_PUBLISHED;
  }

  /** `closed` resolves when the node has left and is closed. */
  leftWith(closed: Promise<unknown>): void {
    this.#left = closed.then(() => {});
  }

  /**
   * A key was refused after the leave: the store may have changed, and the peers took the leave for the end of the
   * stream. They get a gap. Resolves to how many peers have not acknowledged that.
   */
  async refused(): Promise<number> {
    const { reliability } = this.#config;
    if (reliability === undefined || this.#left === undefined) return 0;
    this.#isRefused = true;
    if (reliability.sendStream.isLeaving) {
      this.#isRefused = false;
      reliability.sendStream.retract();
    }
    return await (this.#retracting ??= this.#retract(reliability));
  }

  /**
   * Sends leave packets with the new position: one round at a time, and one for all keys that are refused meanwhile.
   * Resolves to how many peers have not acknowledged it.
   */
  async #retract({ sendStream }: Reliability): Promise<number> {
    const { clock, links, receiver, transmitQueue } = this.#config;
    await this.#left;
    let unaware = this.#silent().length;
    while (this.#isRefused) {
      this.#isRefused = false;
      try {
        await links.reopen();
        receiver().isDeaf = false;
        sendStream.retract();
        await sendStream.leave(this.#known, RETRACT_FOR);
        await transmitQueue.drainedBy(clock.now() + RETRACT_FOR);
        unaware = this.#silent().length;
      } catch {
        // No socket can be opened.
        unaware = this.#known.length;
      }
      receiver().isDeaf = true;
      await links.close().catch(() => {});
    }
    this.#retracting = undefined;
    return unaware;
  }

  /** Peers that have neither acknowledged that they have everything, nor left. */
  #silent(): readonly KnownPeer[] {
    const { reliability } = this.#config;
    return this.#known.filter(({ id }) => !reliability?.sendStream.confirmed.has(id) && !reliability?.hasLeft(id));
  }

  #silentSeeds(): readonly string[] {
    const { membership } = this.#config;
    return membership.unansweredSeeds(membership.openSeeds()).map(formatEndpoint);
  }

  #hasPublished(): boolean {
    // A caller waits for room only behind keys that were accepted, so those that wait need not be counted.
    return this.#config.batcher.accepted > 0;
  }

  /** Sends what is pending, what waits for room, and what is published meanwhile. */
  async #drain(until: number): Promise<void> {
    const { batcher, clock, transmitQueue } = this.#config;
    while ((batcher.pending > 0 || batcher.waiting > 0) && clock.now() < until) {
      await transmitQueue.drainedBy(until);
      // What is published in a turn of the event loop is ready at the end of it.
      if (batcher.pending > 0) await new Promise<void>((resolve) => void clock.setTurnEnd(resolve));
    }
  }

  /** Waits for the answers of nodes that were probed or looked up a short while ago. */
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
