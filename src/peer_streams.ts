/**
 * The streams of all other nodes: what has arrived, what is missing, and what can not be had.
 *
 * @module
 */

import type { Endpoint } from "./address.ts";
import type { Clock } from "./clock.ts";
import type { GapReason } from "./events.ts";
import type { Jitter } from "./jitter.ts";
import { PeerStream } from "./peer_stream.ts";
import type { Base, Extension, Position } from "./wire/extension.ts";
import { formatNodeId } from "./wire/node_id.ts";
import { equalBytes } from "./wire/packet.ts";

/** Shortest and longest wait before a hole is asked for, in milliseconds: most reordering is over by then. */
const HOLE_DELAY: readonly [number, number] = [2, 8];

/** How long what a node that leaves has not repaired is waited for, in milliseconds: it lingers for one second. */
const LEAVE_PATIENCE = 2000;

/** How long heartbeats of a node that has left are taken for overtaken ones, in milliseconds. */
const STRAGGLERS = 5000;

/** How long the numbers of a node that is gone are kept, in milliseconds: it may come back after a partition. */
const KEEP_DEPARTED = 3_600_000;

/** Requests without an answer after which what a node says unasked is believed. */
const IN_VAIN = 3;

/** How often a node is asked whether what it says is so, in milliseconds. Late packets look the same. */
const VERIFY_EVERY = 1000;

/** What {@linkcode PeerStreams} is made of. The callbacks MUST NOT throw. */
export interface PeerStreamsConfig {
  readonly clock: Clock;
  readonly jitter: Jitter;
  /** Silence after which a stream is lost, in milliseconds. */
  readonly peerTimeout: number;
  /** Most streams of nodes that are there, and as many again of those that are gone. */
  readonly capacity: number;
  /** A stream has something to be asked for. */
  readonly onWanting: (stream: PeerStream) => void;
  /** A stream has said that it is not as far as it is known to be: late, or something was forged. */
  readonly onContradiction: (stream: PeerStream) => void;
  /** What was published in these numbers can not be had; `to` is absent when nobody knows the end. */
  readonly onGap: (node: string, from: number, to: number | undefined, reason: GapReason) => void;
  /** A node that leaves needs not wait: everything up to `settled` is here. */
  readonly onSettled: (stream: PeerStream, settled: number) => void;
  /** A node has left. */
  readonly onLeft: (id: string) => void;
}

/** By node id. One that was heard last is found without a look-up. */
export class PeerStreams {
  /** Batches that had arrived before. */
  duplicates = 0;
  /** Numbers that were found missing. */
  missing = 0;
  /** Missing ones that have arrived after all. */
  repaired = 0;
  /** When a newcomer was last turned away as there was no room, by the node's clock. */
  refusedAt: number = -Infinity;
  readonly #config: PeerStreamsConfig;
  readonly #openedAt: number;
  readonly #streams = new Map<string, PeerStream>();
  #latest: PeerStream | undefined;

  constructor(config: PeerStreamsConfig) {
    this.#config = config;
    this.#openedAt = config.clock.now();
  }

  /** All streams, those of nodes that are gone among them. */
  get all(): Iterable<PeerStream> {
    return this.#streams.values();
  }

  /** The stream of a node. */
  get(id: string): PeerStream | undefined {
    return this.#streams.get(id);
  }

  /** Notes a batch with a number; `nodeId` may be a view. False when it had arrived before. */
  accept(nodeId: Uint8Array, number: number, host: string, port: number): boolean {
    const now = this.#config.clock.now();
    const stream = this.#hear(nodeId, host, port, now);
    if (stream === undefined) return true;
    const { window } = stream;
    const before = window.missing;
    const arrival = window.accept(number, this.#soon(now));
    if (arrival === "duplicate") {
      this.duplicates++;
      return false;
    }
    // The leave was forged: its sender goes on.
    if (stream.leftAt !== undefined) this.#comeBack(stream);
    // Nothing can be missing below the first.
    if (window.settled === window.highest) stream.catchUp = undefined;
    if (stream.catchUp === undefined) {
      if (arrival === "repaired") this.repaired++;
      else this.missing += window.missing - before;
    }
    if (arrival === "repaired" && window.repairAskedAt > 0) stream.measure(now - window.repairAskedAt);
    this.#review(stream, now);
    return true;
  }

  /**
   * Notes the position of a stream, from a heartbeat or a state packet. `extension` may answer a request; when it does not,
   * or brings a token, what was asked for in vain is asked for at once.
   */
  hear(nodeId: Uint8Array, source: Endpoint, extension: Extension): void {
    const { position, nonce, base, token } = extension;
    if (position === undefined) return;
    const now = this.#config.clock.now();
    const stream = this.#hear(nodeId, source.host, source.port, now);
    if (stream === undefined) return;
    const isNewToken = token !== undefined && !(stream.token !== undefined && equalBytes(stream.token, token));
    if (isNewToken) stream.token = token.slice();
    const request = nonce === undefined ? undefined : stream.requests.find((request) => request.nonce === nonce);
    const { window } = stream;
    if (position.last < window.highest && request === undefined) this.#verify(stream, now);
    this.#extend(stream, position, now);
    if (request === undefined) this.#believe(stream, position, now);
    else {
      stream.measure(now - request.sentAt);
      this.#settle(stream, position, base, now);
      // It was asked for more than it has published, so something was forged.
      if (position.last < request.upTo) this.#tell(stream, window.endAt(position.last));
    }
    const { leftAt } = stream;
    if (leftAt !== undefined && (position.last > window.settled || now - leftAt >= STRAGGLERS)) this.#comeBack(stream);
    if (isNewToken || request === undefined) stream.hurry(now, isNewToken);
    this.#review(stream, now);
  }

  /** Notes that a node leaves, with its last position. */
  leave(nodeId: Uint8Array, source: Endpoint, extension: Extension): void {
    const now = this.#config.clock.now();
    this.hear(nodeId, source, extension);
    const stream = this.#find(nodeId);
    if (stream === undefined) return;
    stream.leavingAt ??= now;
    stream.hurry(now, true);
    this.#review(stream, now);
  }

  /** Whether a node has just left, so that a heartbeat of it has been overtaken. */
  hasLeft(id: string): boolean {
    const leftAt = this.#streams.get(id)?.leftAt;
    return leftAt !== undefined && this.#config.clock.now() - leftAt < STRAGGLERS;
  }

  /** Gives up streams that were silent for too long, and forgets those that have been gone for long. */
  expire(): void {
    const now = this.#config.clock.now();
    for (const stream of this.#streams.values()) {
      const { leavingAt, leftAt, lostAt } = stream;
      const goneAt = leftAt ?? lostAt;
      if (goneAt !== undefined) {
        if (now - goneAt >= KEEP_DEPARTED) this.#forget(stream);
      } else if (leavingAt !== undefined) {
        if (now - leavingAt >= LEAVE_PATIENCE) this.#giveUpLeaving(stream, now);
      } else if (now - stream.heardAt >= this.#config.peerTimeout) {
        this.#lose(stream, now);
      }
    }
  }

  #extend(stream: PeerStream, { last }: Position, now: number): void {
    const count = stream.window.extend(last, this.#soon(now));
    // All that is known to exist has arrived or was given up: it begins somewhere below.
    if (stream.window.missing === 0) stream.catchUp = undefined;
    if (stream.catchUp === undefined) this.missing += count;
  }

  /** The answer to a request is the truth about where the stream begins, and about what is held. */
  #settle(stream: PeerStream, position: Position, base: Base | undefined, now: number): void {
    if (stream.catchUp !== undefined) {
      this.#tell(stream, stream.locate(position, base, now));
      if (stream.catchUp !== undefined) return;
      this.missing += stream.window.missing;
    }
    this.#tell(stream, stream.window.startAt(position.oldest));
  }

  /**
   * Anybody can send a position. So it makes numbers known, which can be asked for, but settles none: a forged one would
   * make this node deaf. When requests have been in vain, as on a way that is open in one direction only, it is believed.
   */
  #believe(stream: PeerStream, position: Position, now: number): void {
    const { catchUp, window } = stream;
    if (catchUp !== undefined) {
      if (catchUp.attempts < IN_VAIN) return;
      this.#tell(stream, stream.locate(position, undefined, now));
      if (stream.catchUp !== undefined) return;
    }
    let first = 1;
    for (const { to, attempts } of window.holes) {
      if (to >= position.oldest || attempts < IN_VAIN) break;
      first = to + 1;
    }
    this.#tell(stream, window.startAt(first));
  }

  #verify(stream: PeerStream, now: number): void {
    if (now - stream.verifiedAt < VERIFY_EVERY) return;
    stream.verifiedAt = now;
    this.#config.onContradiction(stream);
  }

  #tell(stream: PeerStream, gap: { readonly from: number; readonly to: number } | undefined): void {
    if (gap !== undefined) this.#config.onGap(stream.id, gap.from, gap.to, "overwritten");
  }

  /** What follows from what a stream has now. */
  #review(stream: PeerStream, now: number): void {
    const { isSettled } = stream;
    if (stream.isCurrent !== isSettled) stream.changedAt = now;
    stream.isCurrent = isSettled;
    if (!isSettled) {
      this.#config.onWanting(stream);
      return;
    }
    stream.settledAt = now;
    if (stream.leavingAt === undefined) return;
    this.#config.onSettled(stream, stream.window.settled);
    this.#depart(stream, now);
  }

  #hear(nodeId: Uint8Array, host: string, port: number, now: number): PeerStream | undefined {
    const stream = this.#find(nodeId) ?? this.#admit(nodeId, { host, port }, now);
    if (stream === undefined) return undefined;
    if (stream.source.port !== port || stream.source.host !== host) stream.source = { host, port };
    stream.heardAt = now;
    if (stream.lostAt !== undefined) this.#comeBack(stream);
    return stream;
  }

  #find(nodeId: Uint8Array): PeerStream | undefined {
    const latest = this.#latest;
    if (latest !== undefined && equalBytes(latest.nodeId, nodeId)) return latest;
    return this.#latest = this.#streams.get(formatNodeId(nodeId));
  }

  #admit(nodeId: Uint8Array, source: Endpoint, now: number): PeerStream | undefined {
    if (this.#streams.size >= 2 * this.#config.capacity && !this.#forgetOne()) {
      this.refusedAt = now;
      return undefined;
    }
    const stream = new PeerStream(nodeId, formatNodeId(nodeId), source, this.#openedAt, now);
    this.#streams.set(stream.id, stream);
    return this.#latest = stream;
  }

  #comeBack(stream: PeerStream): void {
    stream.lostAt = stream.leftAt = stream.leavingAt = undefined;
  }

  #lose(stream: PeerStream, now: number): void {
    this.#config.onGap(stream.id, stream.giveUp(now), undefined, "lost");
    stream.lostAt = now;
  }

  #giveUpLeaving(stream: PeerStream, now: number): void {
    const { highest } = stream.window;
    this.#config.onGap(stream.id, stream.giveUp(now), highest, "left");
    this.#depart(stream, now);
  }

  #depart(stream: PeerStream, now: number): void {
    if (stream.leftAt !== undefined) return;
    stream.leftAt = now;
    this.#config.onLeft(stream.id);
  }

  /** Makes room for a newcomer: whoever has been gone for longest gives way. */
  #forgetOne(): boolean {
    let first: PeerStream | undefined;
    for (const stream of this.#streams.values()) {
      const goneAt = stream.leftAt ?? stream.lostAt;
      if (goneAt !== undefined && goneAt < (first?.leftAt ?? first?.lostAt ?? Infinity)) first = stream;
    }
    if (first !== undefined) this.#forget(first);
    return first !== undefined;
  }

  #forget(stream: PeerStream): void {
    this.#streams.delete(stream.id);
    if (this.#latest === stream) this.#latest = undefined;
  }

  #soon(now: number): number {
    return now + this.#config.jitter.between(...HOLE_DELAY);
  }
}
