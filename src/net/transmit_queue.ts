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

/** The sockets that a {@linkcode TransmitQueue} sends by. */
export interface TransmitSockets {
  /** Whether there is a group to send to. */
  readonly hasMulticast: boolean;
  /** Sends datagrams to one endpoint, in their order. Resolves to the reasons why some were not sent. Never rejects. */
  sendTo(datagrams: readonly Uint8Array[], endpoint: Endpoint): Promise<Unsent>;
  /** The same to the group. */
  sendToGroup(datagrams: readonly Uint8Array[]): Promise<Unsent>;
}

/** The source of batches. A batch gets its number when it is taken, so it is not taken before it can leave. */
export interface BatchSource {
  /** Whether there is a batch. */
  readonly isReady: boolean;
  /** The next batch, which belongs to the queue until it calls `release`. `undefined` when there is none. */
  take(): Uint8Array | undefined;
  /** Called when all that was taken is sent. */
  release(): void;
}

/** The source of retransmissions. */
export interface RetransmitSource {
  /** Whether there is one. */
  readonly hasRetransmit: boolean;
  /** The next retransmission, which belongs to the queue until the next call. */
  takeRetransmit(): Transmit | undefined;
}

/** The destinations of datagrams besides the group. */
export interface TransmitScopes {
  /** The unicast destinations of control packets with the scope `"extended"`. */
  extended(): readonly Endpoint[];
  /** The unicast destinations of the next batch. */
  batch(): readonly Endpoint[];
  /** Whether one batch after another goes to the same destinations. */
  isSteady(): boolean;
}

/** What is sent besides control packets, and where to. */
export interface TransmitSources {
  readonly batches: BatchSource;
  /** Absent when nothing is retransmitted. */
  readonly retransmits: RetransmitSource | undefined;
  readonly scopes: TransmitScopes;
}

/** The parts that a {@linkcode TransmitQueue} needs. */
export interface TransmitQueueConfig {
  readonly sockets: TransmitSockets;
  /** The rate of batches and retransmissions. Absent: as fast as the system takes them. */
  readonly pacer: Pacer | undefined;
  /** Counts the batches that leave. */
  readonly budget: SendBudget;
  readonly clock: Clock;
  /** Called with the reason why a datagram was not sent, once for each datagram and destination. MUST NOT throw. */
  readonly onError: (error: unknown) => void;
}

/** Before it is connected there is nothing to send. */
const NOTHING: TransmitSources = {
  batches: { isReady: false, take: () => undefined, release() {} },
  retransmits: undefined,
  scopes: { extended: () => [], batch: () => [], isSteady: () => true },
};

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
  #sources: TransmitSources = NOTHING;
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

  /** Sets the sources of batches and retransmissions. They wake the queue, so it is made before them. */
  connect(sources: TransmitSources): void {
    this.#sources = sources;
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
    const { pacer } = this.#config;
    while (true) {
      if (this.#control.length > 0) await this.#sendControl();
      // A control packet that was queued since the last one left and before this line has woken nobody.
      if (this.#control.length > 0) continue;
      const hasRetransmit = this.#sources.retransmits?.hasRetransmit === true;
      const hasBatch = !this.#controlOnly && this.#sources.batches.isReady;
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
      const datagrams = [datagram];
      if (typeof to !== "string" && "port" in to) await this.#send(datagrams, to);
      else if (to === "extended") await this.#broadcast(datagrams, this.#sources.scopes.extended());
      else if (to === "group") this.broadcasts += countOf(await this.#broadcast(datagrams, []));
      else {
        const taken = await this.#sendAll(datagrams, to);
        if (!this.#config.sockets.hasMulticast) this.broadcasts += countOf(taken);
      }
    }
  }

  /** False when it is the turn of the batches, or there is no retransmission. */
  async #sendRetransmit(hasBatch: boolean): Promise<boolean> {
    const { pacer } = this.#config;
    const retransmission = this.#isRetransmitTurn || !hasBatch
      ? this.#sources.retransmits?.takeRetransmit()
      : undefined;
    if (retransmission === undefined) return !hasBatch;
    this.#isRetransmitTurn = false;
    pacer?.spend();
    this.#retransmission[0] = retransmission.datagram;
    if (retransmission.to === "group") await this.#sendToGroup(this.#retransmission);
    else await this.#send(this.#retransmission, retransmission.to);
    return true;
  }

  async #sendBatches(hasRetransmit: boolean): Promise<void> {
    const { budget, pacer, sockets } = this.#config;
    const { batches, scopes } = this.#sources;
    const burst = this.#burst;
    for (let limit = 0; !this.#controlOnly;) {
      const batch = batches.take();
      if (batch === undefined) break;
      burst.push(batch);
      pacer?.spend();
      if (!batches.isReady) break;
      // Retransmissions get every other turn, and a control packet waits for all copies of a burst.
      if (limit === 0 && !hasRetransmit && scopes.isSteady()) limit = Math.min(MAX_BURST, MAX_COPIES / this.#copies);
      if (burst.length + 1 > limit || (pacer?.wait() ?? 0) > 0) break;
    }
    this.#isRetransmitTurn = true;
    if (burst.length === 0) return;
    const endpoints = scopes.batch();
    const isBroadcast = sockets.hasMulticast;
    this.#copies = endpoints.length + (isBroadcast ? 1 : 0);
    budget.spend(burst.length * this.#copies);
    if (isBroadcast) this.broadcasts += countOf(this.#taken(burst, await sockets.sendToGroup(burst)));
    if (endpoints.length > 0) {
      const taken = await this.#sendAll(burst, endpoints);
      if (!isBroadcast) this.broadcasts += countOf(taken);
    }
    burst.length = 0;
    batches.release();
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
    const hasGroup = this.#config.sockets.hasMulticast;
    const taken = hasGroup ? await this.#sendToGroup(datagrams) : 0;
    if (endpoints.length === 0) return taken;
    const sent = await this.#sendAll(datagrams, endpoints);
    return hasGroup ? taken : sent;
  }

  /** The datagrams that the group took. */
  async #sendToGroup(datagrams: readonly Uint8Array[]): Promise<Taken> {
    const { sockets } = this.#config;
    return sockets.hasMulticast ? this.#taken(datagrams, await sockets.sendToGroup(datagrams)) : 0;
  }

  /** The datagrams that at least one endpoint took. */
  async #sendAll(datagrams: readonly Uint8Array[], endpoints: readonly Endpoint[]): Promise<Taken> {
    let taken = 0;
    for (const endpoint of endpoints) taken |= await this.#send(datagrams, endpoint);
    return taken;
  }

  async #send(datagrams: readonly Uint8Array[], endpoint: Endpoint): Promise<Taken> {
    return this.#taken(datagrams, await this.#config.sockets.sendTo(datagrams, endpoint));
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
