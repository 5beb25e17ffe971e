/**
 * Everything that a node sends leaves here, to one destination at a time.
 *
 * @module
 */

import type { Clock } from "../platform/clock.ts";
import type { Unsent } from "../platform/datagram_socket.ts";
import type { Endpoint } from "../platform/endpoint.ts";
import type { Pacer } from "./pacer.ts";
import type { SendBudget } from "./send_budget.ts";

/**
 * Letters that may wait to be sent: more than the answers, questions and requests of a burst that strangers ask for. A socket
 * that takes nothing any more must not fill the memory with heartbeats.
 */
const MAX_CONTROL = 4096;

/** Batches that are sent to one destination before they are to the next: as many as a socket sends in a turn of the event loop. */
const MAX_GROUP = 16;

/**
 * Copies of one group of batches at most, so that heartbeats, requests and answers wait for less than a millisecond more than behind
 * single batches.
 */
const MAX_COPIES = 64;

/** The group alone, or the group and where the peers are that speak the extension and do not hear it. */
export type FanoutScope = "group" | "extended";

/** Where a letter goes. */
export type Recipients = Endpoint | readonly Endpoint[] | FanoutScope;

/** A datagram that is sent again, and who gets it: the group, or one. */
export interface Transmit {
  readonly datagram: Uint8Array;
  readonly to: "group" | Endpoint;
}

/** What a {@linkcode TransmitQueue} sends by. */
export interface TransmitSockets {
  /** Whether there is a group to send to. */
  readonly hasMulticast: boolean;
  /** Sends datagrams to one endpoint, in their order. Resolves to why some were not sent, if any; never rejects. */
  sendTo(datagrams: readonly Uint8Array[], endpoint: Endpoint): Promise<Unsent>;
  /** The same to the group. */
  sendToGroup(datagrams: readonly Uint8Array[]): Promise<Unsent>;
}

/** Where batches come from. A batch gets its number when it is taken, so it is not taken to wait. */
export interface BatchSource {
  /** Whether there is a batch. */
  readonly isReady: boolean;
  /** The next batch, which is the queue's until it calls `release`; `undefined` when there is none. */
  take(): Uint8Array | undefined;
  /** All that was taken is sent. */
  release(): void;
}

/** Where retransmissions come from. */
export interface RetransmitSource {
  /** Whether there is one. */
  readonly hasRetransmit: boolean;
  /** The next one, which is the queue's until the next call. */
  takeRetransmit(): Transmit | undefined;
}

/** Where datagrams go besides the group. */
export interface TransmitScopes {
  /** Where control packets for the fan-out scope `"extended"` go. */
  extended(): readonly Endpoint[];
  /** Where the next batch goes. */
  batch(): readonly Endpoint[];
  /** Whether one batch after another goes to the same. */
  isSteady(): boolean;
}

/** What is sent besides control packets, and to where. */
export interface TransmitSources {
  readonly batches: BatchSource;
  /** Absent when nothing is sent again. */
  readonly retransmits: RetransmitSource | undefined;
  readonly scopes: TransmitScopes;
}

/** What an {@linkcode TransmitQueue} is made of. */
export interface TransmitQueueConfig {
  readonly sockets: TransmitSockets;
  /** How fast batches and repairs may leave. Absent: as fast as the system takes them. */
  readonly pacer: Pacer | undefined;
  /** Is told of batches. */
  readonly budget: SendBudget;
  readonly clock: Clock;
  /** Gets why a datagram was not sent, once for each datagram that was not sent to one destination. MUST NOT throw. */
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
 * What is under way goes to one destination at a time, as sends that are not awaited are reordered by Deno. Letters (heartbeats,
 * requests, answers) go first and are not paced; batches and repairs take turns. Batches that are ready together are sent together,
 * which costs one promise for all of them.
 */
export class TransmitQueue {
  /** Batches and rounds of heartbeats: taken by the group, or without multicast by at least one endpoint. */
  broadcasts = 0;
  readonly #config: TransmitQueueConfig;
  #sources: TransmitSources = NOTHING;
  readonly #control: ControlTransmit[] = [];
  /** The batches that are under way, and the one letter or repair. */
  readonly #group: Uint8Array[] = [];
  readonly #single: Uint8Array[] = [];
  /** Destinations of the last group. */
  #copies = 1;
  #running: Promise<void> | undefined;
  #isRetransmitTurn = false;
  #endPause: (() => void) | undefined;
  #controlOnly = false;

  constructor(config: TransmitQueueConfig) {
    this.#config = config;
  }

  /** Gives it what it sends besides control packets. Those who publish and send again wake it, so it is made before them. */
  connect(sources: TransmitSources): void {
    this.#sources = sources;
  }

  /** Sends `datagram`, which must stay unchanged, to one endpoint, to several, or to a circle. */
  sendControlPacket(datagram: Uint8Array, to: Recipients): void {
    if (this.#control.length >= MAX_CONTROL) {
      this.#config.onError(
        new Error(`Cannot send as at most ${MAX_CONTROL} heartbeats, requests and answers may wait`),
      );
      return;
    }
    this.#control.push({ datagram, to });
    this.#endPause?.();
    this.wake();
  }

  /** Says that there is something to send. It is begun after the caller's turn on the stack, never within. */
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

  /** From now on batches stay where they are. */
  holdBatches(): void {
    this.#controlOnly = true;
    this.#endPause?.();
  }

  async #run(): Promise<void> {
    await undefined;
    const { pacer } = this.#config;
    while (true) {
      if (this.#control.length > 0) await this.#sendControl();
      // One that was posted since the last left and before this went on has woken nobody.
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
    for (let letter = this.#control.shift(); letter !== undefined; letter = this.#control.shift()) {
      const { datagram, to } = letter;
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

  /** False when it is the turn of the batches, or there is no repair. */
  async #sendRetransmit(hasBatch: boolean): Promise<boolean> {
    const { pacer } = this.#config;
    const repair = this.#isRetransmitTurn || !hasBatch ? this.#sources.retransmits?.takeRetransmit() : undefined;
    if (repair === undefined) return !hasBatch;
    this.#isRetransmitTurn = false;
    pacer?.spend();
    this.#single[0] = repair.datagram;
    if (repair.to === "group") await this.#sendToGroup(this.#single);
    else await this.#send(this.#single, repair.to);
    return true;
  }

  async #sendBatches(hasRetransmit: boolean): Promise<void> {
    const { budget, pacer, sockets } = this.#config;
    const { batches, scopes } = this.#sources;
    const group = this.#group;
    for (let most = 0; !this.#controlOnly;) {
      const batch = batches.take();
      if (batch === undefined) break;
      group.push(batch);
      pacer?.spend();
      if (!batches.isReady) break;
      // Repairs get every other turn, and a letter waits for all copies of a group.
      if (most === 0 && !hasRetransmit && scopes.isSteady()) most = Math.min(MAX_GROUP, MAX_COPIES / this.#copies);
      if (group.length + 1 > most || (pacer?.wait() ?? 0) > 0) break;
    }
    this.#isRetransmitTurn = true;
    if (group.length === 0) return;
    const endpoints = scopes.batch();
    const isBroadcast = sockets.hasMulticast;
    this.#copies = endpoints.length + (isBroadcast ? 1 : 0);
    budget.spend(group.length * this.#copies);
    if (isBroadcast) this.broadcasts += countOf(this.#taken(group, await sockets.sendToGroup(group)));
    if (endpoints.length > 0) {
      const taken = await this.#sendAll(group, endpoints);
      if (!isBroadcast) this.broadcasts += countOf(taken);
    }
    group.length = 0;
    batches.release();
  }

  /** A letter does not wait for the end of it. */
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

  /** Which the group took, or without multicast at least one endpoint. */
  async #broadcast(datagrams: readonly Uint8Array[], endpoints: readonly Endpoint[]): Promise<Taken> {
    const hasGroup = this.#config.sockets.hasMulticast;
    const taken = hasGroup ? await this.#sendToGroup(datagrams) : 0;
    if (endpoints.length === 0) return taken;
    const sent = await this.#sendAll(datagrams, endpoints);
    return hasGroup ? taken : sent;
  }

  /** Which the group took. */
  async #sendToGroup(datagrams: readonly Uint8Array[]): Promise<Taken> {
    const { sockets } = this.#config;
    return sockets.hasMulticast ? this.#taken(datagrams, await sockets.sendToGroup(datagrams)) : 0;
  }

  /** Which at least one endpoint took. */
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

/** A bit for each datagram of a group, the first the lowest. */
type Taken = number;

function countOf(taken: Taken): number {
  let count = 0;
  for (let left = taken; left !== 0; left &= left - 1) count++;
  return count;
}
