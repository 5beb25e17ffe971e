/**
 * Transmit queue: sends everything that a node sends, to one destination at a time.
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";
import type { Unsent } from "../platform/datagram_socket.ts";
import type { Endpoint } from "../platform/endpoint.ts";
import type { Pacer } from "./pacer.ts";
import type { SendBudget } from "./send_budget.ts";

/**
 * Control packets that may wait to be sent. It is more than the acks, challenges and NAKs that unknown nodes cause in a
 * burst; a socket that takes nothing any more must not fill the memory with heartbeats.
 */
const MAX_CONTROL = 4096;

/** Batches that are sent to one destination before the next: as many as a socket sends in a turn of the event loop. */
const MAX_BURST = 16;

/**
 * Copies of one burst of batches at most, so that control packets wait for less than a millisecond more than behind
 * single batches.
 */
const MAX_COPIES = 64;

/**
 * A fan-out scope: the group alone, or the group and the addresses of the peers that speak the extension and do not
 * hear it.
 */
export type FanoutScope = "group" | "extended";

/** The destinations of a control packet. */
export type Recipients = Endpoint | readonly Endpoint[] | FanoutScope;

/** A retransmission, and its destination: the group, or one endpoint. */
export interface Transmit {
  readonly datagram: Uint8Array;
  readonly to: "group" | Endpoint;
}

/** The sources and callbacks of a {@linkcode TransmitQueue}. */
export interface TransmitQueueConfig {
  /** Sends datagrams to one endpoint, in their order. Resolves to the reasons why some were not sent. Never rejects. */
  readonly send: (datagrams: readonly Uint8Array[], endpoint: Endpoint) => Promise<Unsent>;
  /** The same to the group. */
  readonly sendToGroup: (datagrams: readonly Uint8Array[]) => Promise<Unsent>;
  /** Whether there is a group to send to. */
  readonly hasGroup: () => boolean;
  /** The unicast destinations of control packets with the scope `"extended"`. */
  readonly extendedTo: () => readonly Endpoint[];
  /** The unicast destinations of the next batch. */
  readonly batchTo: () => readonly Endpoint[];
  /** Whether one batch after another goes to the same destinations. */
  readonly isSteady: () => boolean;
  /** The next batch, which belongs to the queue until it calls `release`. `undefined` when there is none. */
  readonly take: () => Uint8Array | undefined;
  /** Called when all that was taken is sent. */
  readonly release: () => void;
  /** The next retransmission, which belongs to the queue until the next call. Absent when nothing is retransmitted. */
  readonly takeRetransmit?: () => Transmit | undefined;
  /**
   * Whether there is a batch, or a retransmission. A batch gets its number when it is taken, so it is not taken before
   * it can leave.
   */
  readonly isReady: (what: "batch" | "retransmission") => boolean;
  /** The rate of batches and retransmissions. Absent: as fast as the system takes them. */
  readonly pacer?: Pacer;
  /** Counts the batches that leave. */
  readonly budget: SendBudget;
  readonly clock: Clock;
  /** Called with the reason why a datagram was not sent, once for each datagram and destination. MUST NOT throw. */
  readonly onError: (error: unknown) => void;
}

interface ControlTransmit {
  readonly datagram: Uint8Array;
  readonly to: Recipients;
}

/**
 * The queue of a node. It sends to one destination at a time, as Deno reorders sends that are not awaited. Control
 * packets (heartbeats, NAKs, acks) go first and are not paced; batches and retransmissions take turns. Batches that are
 * ready together are sent together, which costs one promise for all of them.
 */
export class TransmitQueue {
  /**
   * Batches and rounds of heartbeats that were sent: taken by the group, or without multicast by at least one endpoint.
   */
  broadcasts = 0;
  readonly #config: TransmitQueueConfig;
  readonly #control: ControlTransmit[] = [];
  /** The batches that are being sent, and the one retransmission. */
  readonly #burst: Uint8Array[] = [];
  readonly #retransmission: Uint8Array[] = [];
  /** Destinations of the last burst. */
  #copies = 1;
  #running: Promise<void> | undefined;
  #isRetransmitTurn = false;
  #endPause: (() => void) | undefined;
  #controlOnly = false;

  constructor(config: TransmitQueueConfig) {
    this.#config = config;
  }

  /** Sends `datagram`, which must stay unchanged, to one endpoint, to several, or to a fan-out scope. */
  sendControlPacket(datagram: Uint8Array, to: Recipients): void {
    if (this.#control.length >= MAX_CONTROL) {
      this.#config.onError(
        new Error(`Cannot send as at most ${MAX_CONTROL} control packets (heartbeats, NAKs, acks) may wait`),
      );
      return;
    }
    this.#control.push({ datagram, to });
    this.#endPause?.();
    this.wake();
  }

  /** Starts sending when there is something to send. It begins after the caller's turn on the stack, never within. */
  wake(): void {
    this.#running ??= this.#run();
  }

  /** Resolves when all is sent. */
  async drained(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Resolves when all is sent, or at `time` by the node's clock. */
  async drainedBy(time: number): Promise<void> {
    const { clock } = this.#config;
    let stop: () => void = () => {};
    const timeout = new Promise<void>((resolve) => {
      const timer = clock.setTimer(resolve, time - clock.now());
      stop = () => timer.cancel();
    });
    await Promise.race([this.drained(), timeout]);
    stop();
  }

  /** Stops sending batches. Control packets and retransmissions still leave. */
  holdBatches(): void {
    this.#controlOnly = true;
    this.#endPause?.();
  }

  async #run(): Promise<void> {
    await undefined;
    const { isReady, pacer } = this.#config;
    while (true) {
      if (this.#control.length > 0) await this.#sendControl();
      // A control packet that was queued since the last one left and before this line has woken nobody.
      if (this.#control.length > 0) continue;
      const hasRetransmit = isReady("retransmission");
      const hasBatch = !this.#controlOnly && isReady("batch");
      if (!hasRetransmit && !hasBatch) break;
      const wait = this.#controlOnly ? 0 : pacer?.wait() ?? 0;
      if (wait > 0) await this.#pause(wait);
      else if (!hasRetransmit || !await this.#sendRetransmit(hasBatch)) await this.#sendBatches(hasRetransmit);
    }
    this.#running = undefined;
  }

  async #sendControl(): Promise<void> {
    for (let packet = this.#control.shift(); packet !== undefined; packet = this.#control.shift()) {
      const { datagram, to } = packet;
      const { hasGroup, extendedTo } = this.#config;
      const datagrams = [datagram];
      if (typeof to !== "string" && "port" in to) await this.#send(datagrams, to);
      else if (to === "extended") await this.#broadcast(datagrams, extendedTo());
      else if (to === "group") this.broadcasts += countOf(await this.#broadcast(datagrams, []));
      else {
        const taken = await this.#sendAll(datagrams, to);
        if (!hasGroup()) this.broadcasts += countOf(taken);
      }
    }
  }

  /** False when it is the turn of the batches, or there is no retransmission. */
  async #sendRetransmit(hasBatch: boolean): Promise<boolean> {
    const { pacer, takeRetransmit } = this.#config;
    const retransmission = this.#isRetransmitTurn || !hasBatch ? takeRetransmit?.() : undefined;
    if (retransmission === undefined) return !hasBatch;
    this.#isRetransmitTurn = false;
    pacer?.spend();
    this.#retransmission[0] = retransmission.datagram;
    if (retransmission.to === "group") await this.#sendToGroup(this.#retransmission);
    else await this.#send(this.#retransmission, retransmission.to);
    return true;
  }

  async #sendBatches(hasRetransmit: boolean): Promise<void> {
    const { batchTo, budget, hasGroup, isReady, isSteady, pacer, release, sendToGroup, take } = this.#config;
    const burst = this.#burst;
    for (let limit = 0; !this.#controlOnly;) {
      const batch = take();
      if (batch === undefined) break;
      burst.push(batch);
      pacer?.spend();
      if (!isReady("batch")) break;
      // Retransmissions get every other turn, and a control packet waits for all copies of a burst.
      if (limit === 0 && !hasRetransmit && isSteady()) limit = Math.min(MAX_BURST, MAX_COPIES / this.#copies);
      if (burst.length + 1 > limit || (pacer?.wait() ?? 0) > 0) break;
    }
    this.#isRetransmitTurn = true;
    if (burst.length === 0) return;
    const endpoints = batchTo();
    const isBroadcast = hasGroup();
    this.#copies = endpoints.length + (isBroadcast ? 1 : 0);
    budget.spend(burst.length * this.#copies);
    if (isBroadcast) this.broadcasts += countOf(this.#taken(burst, await sendToGroup(burst)));
    if (endpoints.length > 0) {
      const taken = await this.#sendAll(burst, endpoints);
      if (!isBroadcast) this.broadcasts += countOf(taken);
    }
    burst.length = 0;
    release();
  }

  /** Waits until a datagram may leave. A control packet ends the wait. */
  async #pause(wait: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.#config.clock.setTimer(resolve, wait);
      this.#endPause = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#endPause = undefined;
  }

  /** The datagrams that the group took, or without multicast at least one endpoint. */
  async #broadcast(datagrams: readonly Uint8Array[], endpoints: readonly Endpoint[]): Promise<Taken> {
    const hasGroup = this.#config.hasGroup();
    const taken = hasGroup ? await this.#sendToGroup(datagrams) : 0;
    if (endpoints.length === 0) return taken;
    const sent = await this.#sendAll(datagrams, endpoints);
    return hasGroup ? taken : sent;
  }

  /** The datagrams that the group took. */
  async #sendToGroup(datagrams: readonly Uint8Array[]): Promise<Taken> {
    if (!this.#config.hasGroup()) return 0;
    return this.#taken(datagrams, await this.#config.sendToGroup(datagrams));
  }

  /** The datagrams that at least one endpoint took. */
  async #sendAll(datagrams: readonly Uint8Array[], endpoints: readonly Endpoint[]): Promise<Taken> {
    let taken = 0;
    for (const endpoint of endpoints) taken |= await this.#send(datagrams, endpoint);
    return taken;
  }

  async #send(datagrams: readonly Uint8Array[], endpoint: Endpoint): Promise<Taken> {
    return this.#taken(datagrams, await this.#config.send(datagrams, endpoint));
  }

  #taken({ length }: readonly Uint8Array[], unsent: Unsent): Taken {
    let taken = (1 << length) - 1;
    for (const [i, error] of unsent?.entries() ?? []) {
      if (error === undefined) continue;
      this.#config.onError(error);
      taken &= ~(1 << i);
    }
    return taken;
  }
}

/** A bit for each datagram of a burst, the first the lowest. */
type Taken = number;

function countOf(taken: Taken): number {
  let count = 0;
  for (let left = taken; left !== 0; left &= left - 1) count++;
  return count;
}
