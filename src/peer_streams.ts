/**
 * The streams of all other nodes: what has arrived, what is missing, and what can not be had.
 *
 * @module
 */

import type { Endpoint } from "./address.ts";
import type { Clock } from "./clock.ts";
import type { GapReason } from "./events.ts";
import type { Jitter } from "./jitter.ts";
import { LEAVE_PATIENCE, type PeerStream } from "./peer_stream.ts";
import { StreamTable } from "./stream_table.ts";
import type { Base, Extension, Position } from "./wire/extension.ts";
import { equalBytes } from "./wire/packet.ts";

/** Shortest and longest wait before a hole is asked for, in milliseconds: most reordering is over by then. */
const HOLE_DELAY: readonly [number, number] = [2, 8];

/** How long heartbeats of a node that has left are taken for overtaken ones, in milliseconds. */
const STRAGGLERS = 5000;

/** How long the numbers of a node that is gone are kept, in milliseconds: it may come back after a partition. */
const KEEP_DEPARTED = 3_600_000;

/** How long requests have to be in vain before what a node says unasked is believed, in milliseconds. */
const IN_VAIN = 1000;

/** How often a node is asked whether what it says is so, in milliseconds. Late packets look the same. */
const VERIFY_EVERY = 1000;

/** How long what was received before a stall may still be read after it, in milliseconds. */
const STALL_ECHO = 1000;

/** What {@linkcode PeerStreams} is made of. The callbacks MUST NOT throw. */
export interface PeerStreamsConfig {
  readonly clock: Clock;
  readonly jitter: Jitter;
  /** Silence after which a stream is in doubt, in milliseconds. */
  readonly doubtAfter: number;
  /** Silence after which it is lost when no heartbeat of its node was heard either, in milliseconds. */
  readonly quietTimeout: number;
  /** Whether its node is a peer: then that decides. */
  readonly isPeer: (id: string) => boolean;
  /** Most streams of nodes that are there, and as many again of those that are gone. */
  readonly capacity: number;
  /** A stream has something to be asked for. */
  readonly onWanting: (stream: PeerStream) => void;
  /** What a stream says, or what is known of it, may not be so: it has to be asked. */
  readonly onDoubt: (stream: PeerStream) => void;
  /** What was published in these numbers can not be had; `to` is absent when nobody knows the end. */
  readonly onGap: (node: string, from: number, to: number | undefined, reason: GapReason) => void;
  /** A node that leaves needs not wait: everything up to `settled` is here. */
  readonly onSettled: (stream: PeerStream, settled: number) => void;
  /** A node has left. */
  readonly onLeft: (id: string) => void;
}

/** Takes numbers and positions, and tells what follows: requests, gaps, departures. */
export class PeerStreams {
  /** Batches that had arrived before. */
  duplicates = 0;
  /** Numbers that were found missing of nodes that have answered: others may be inventions. */
  missing = 0;
  /** Missing ones that have arrived after all. */
  repaired = 0;
  /** When a newcomer was last turned away as there was no room, by the node's clock. */
  refusedAt: number = -Infinity;
  readonly #config: PeerStreamsConfig;
  readonly #table: StreamTable;

  constructor(config: PeerStreamsConfig) {
    this.#config = config;
    this.#table = new StreamTable(2 * config.capacity, config.clock.now());
  }

  /** All streams, those of nodes that are gone among them. */
  get all(): Iterable<PeerStream> {
    return this.#table.all;
  }

  /** The stream of a node. */
  get(id: string): PeerStream | undefined {
    return this.#table.get(id);
  }

  /** Notes a batch with a number; `nodeId` may be a view. False when it had arrived before. */
  accept(nodeId: Uint8Array, number: number, isRepair: boolean, host: string, port: number): boolean {
    const now = this.#config.clock.now();
    const stream = this.#hear(nodeId, host, port, now);
    if (stream === undefined) return true;
    const { window, catchUp, isCounted } = stream;
    const before = window.missing;
    const arrival = window.accept(number, now, this.#soon(stream, now));
    if (arrival === "duplicate") {
      this.duplicates++;
      return false;
    }
    if (arrival === "new") stream.knownAt = now;
    // The leave was forged: its sender goes on.
    if (stream.leftAt !== undefined) this.#comeBack(stream);
    // Nothing can be missing below the first.
    if (window.settled === window.highest) stream.catchUp = undefined;
    const isRepaired = arrival === "repaired";
    if (isRepaired && catchUp === undefined) stream.learn(isRepair, now);
    if (isCounted) {
      this.missing += window.missing - before + Number(isRepaired);
      this.repaired += Number(isRepaired);
    }
    this.#review(stream, now);
    return true;
  }

  /**
   * Notes the position of a stream, from a heartbeat or a state packet. First it makes numbers known, then it settles what it
   * can: all that it says when it answers a request, next to nothing when not. What was asked for in vain is asked for at
   * once, as its node is there.
   */
  hear(nodeId: Uint8Array, source: Endpoint, extension: Extension): void {
    const { position, nonce, base, token } = extension;
    if (position === undefined) return;
    const now = this.#config.clock.now();
    const stream = this.#hear(nodeId, source.host, source.port, now);
    if (stream === undefined) return;
    const request = nonce === undefined ? undefined : stream.requests.find((request) => request.nonce === nonce);
    // Anybody can send a token. One that is not right is replaced with the answer to the request that it is shown with.
    const isNewToken = token !== undefined &&
      (stream.token === undefined || (request !== undefined && !equalBytes(stream.token, token)));
    if (isNewToken) stream.token = token.slice();
    const { window, isCounted } = stream;
    if (position.last >= window.highest || request !== undefined) stream.knownAt = now;
    else this.#verify(stream, now);
    this.#extend(stream, position, now);
    if (request === undefined) this.#believe(stream, position, now);
    else {
      // While this node stood still the answer may have lain here.
      if (stream.stall === undefined || request.sentAt >= stream.stall.since) stream.measure(now - request.sentAt);
      stream.prove(request, now);
      this.#settle(stream, position, base, request.sentAt, now);
      // It was asked for more than it has published, so something was forged.
      if (position.last < request.upTo) this.#endAt(stream, position.last, isCounted);
    }
    if (!isCounted && stream.isCounted) this.missing += window.missing;
    const { leftAt } = stream;
    if (leftAt !== undefined && (position.last > window.settled || now - leftAt >= STRAGGLERS)) this.#comeBack(stream);
    if (isNewToken || request === undefined) stream.hurry(now, isNewToken);
    this.#review(stream, now);
  }

  /** Notes that a node leaves, with its last position. */
  leave(nodeId: Uint8Array, source: Endpoint, extension: Extension): void {
    const now = this.#config.clock.now();
    this.hear(nodeId, source, extension);
    const stream = this.#table.find(nodeId);
    if (stream === undefined) return;
    // Its first leave was heeded, and the acknowledgement was lost.
    if (stream.leftAt !== undefined) return this.#config.onSettled(stream, stream.window.settled);
    stream.leavingAt ??= now;
    stream.hurry(now, true);
    this.#review(stream, now);
  }

  /** Whether a node has just left, so that a heartbeat of it has been overtaken. */
  hasLeft(id: string): boolean {
    const leftAt = this.#table.get(id)?.leftAt;
    return leftAt !== undefined && this.#config.clock.now() - leftAt < STRAGGLERS;
  }

  /** Gives up streams that were silent for too long, and forgets those that have been gone for long. */
  expire(): void {
    for (const stream of this.#table.all) this.expireOne(stream);
  }

  /** The node of a stream is lost. */
  lose(stream: PeerStream): void {
    const isThere = stream.leftAt === undefined && stream.lostAt === undefined && stream.leavingAt === undefined;
    if (isThere) this.#lose(stream, this.#config.clock.now());
  }

  /** A node has answered from `to`, `time` milliseconds after it was asked. */
  prove(id: string, to: Endpoint, time: number): void {
    const stream = this.#table.get(id);
    if (stream === undefined) return;
    const now = this.#config.clock.now();
    const { isCounted, question } = stream;
    const { due } = question;
    stream.measure(time);
    stream.prove({ to, sentAt: now - time }, now);
    // The answer to a question may be on its way.
    if (due < Infinity) question.due = due;
    if (!isCounted && stream.isCounted) this.missing += stream.window.missing;
    stream.hurry(now, true);
    this.#review(stream, now);
  }

  /** The same as {@linkcode PeerStreams.expire} for one stream. */
  expireOne(stream: PeerStream): void {
    const now = this.#config.clock.now();
    const { leavingAt, leftAt, lostAt } = stream;
    const goneAt = leftAt ?? lostAt;
    if (goneAt !== undefined) {
      if (now - goneAt >= KEEP_DEPARTED) this.#table.forget(stream);
    } else if (leavingAt !== undefined) {
      if (now - leavingAt >= LEAVE_PATIENCE) this.#giveUpLeaving(stream, now);
    } else if (now - stream.heardAt >= this.#config.quietTimeout && !this.#config.isPeer(stream.id)) {
      this.#lose(stream, now);
    }
  }

  /**
   * This node stood still from `since` on, and may have dropped what came meanwhile: what is read now may be old. All are
   * asked how far they are.
   */
  stalled(since: number): void {
    const now = this.#config.clock.now();
    for (const stream of this.#table.all) {
      if (this.#table.isGone(stream)) continue;
      stream.settledAt = Math.min(stream.settledAt, since);
      stream.stall = { since: now, until: now + STALL_ECHO };
      this.#config.onDoubt(stream);
    }
  }

  #extend(stream: PeerStream, { last }: Position, now: number): void {
    const { window } = stream;
    const before = window.missing;
    window.extend(last, now, this.#soon(stream, now));
    // All that is known to exist has arrived or was given up: it begins somewhere below.
    if (window.missing === 0) stream.catchUp = undefined;
    if (stream.isCounted) this.missing += window.missing - before;
  }

  /** The answer to a request is the truth about where the stream begins, and about what is held. */
  #settle(stream: PeerStream, position: Position, base: Base | undefined, askedAt: number, now: number): void {
    if (stream.catchUp !== undefined) {
      this.#tell(stream, stream.locate(position, base, askedAt, now));
      if (stream.catchUp !== undefined) return;
    }
    this.#tell(stream, stream.window.startAt(position.oldest));
  }

  /** What is above `last` was forged, and never missing. */
  #endAt(stream: PeerStream, last: number, isCounted: boolean): void {
    const { window } = stream;
    const before = window.missing;
    this.#tell(stream, window.endAt(last));
    if (isCounted) this.missing -= before - window.missing;
  }

  /**
   * Anybody can send a position. So it makes numbers known, which can be asked for, but settles none: a forged one would
   * make this node deaf. When requests have been in vain, as on a way that is open in one direction only, it is believed.
   */
  #believe(stream: PeerStream, position: Position, now: number): void {
    const { catchUp, window } = stream;
    stream.claim(position, now);
    if (catchUp !== undefined) {
      if (stream.question.attempts === 0 || now - catchUp.since < IN_VAIN) return;
      // As if it had answered that it has no more than what it holds.
      this.#tell(stream, stream.locate(position, { first: position.oldest, age: 0 }, now, now));
      return;
    }
    // Holes are asked for from the first on; a node that was never proved to be there is asked for none in particular.
    const asked = window.holes[0]?.askedAt || (stream.question.attempts > 0 ? stream.changedAt : Infinity);
    let first = 1;
    for (const { to, foundAt } of window.holes) {
      if (to >= position.oldest || now - Math.max(asked, foundAt) < IN_VAIN) break;
      first = to + 1;
    }
    this.#tell(stream, window.startAt(first));
  }

  #verify(stream: PeerStream, now: number): void {
    const [last] = stream.requests;
    if (last === undefined || now - last.sentAt >= VERIFY_EVERY) this.#config.onDoubt(stream);
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
    if (stream.stall !== undefined && now >= stream.stall.until) stream.stall = undefined;
    if (stream.stall === undefined) stream.settledAt = stream.knownAt;
    if (stream.leavingAt === undefined || stream.leftAt !== undefined) return;
    this.#config.onSettled(stream, stream.window.settled);
    this.#depart(stream, now);
  }

  #hear(nodeId: Uint8Array, host: string, port: number, now: number): PeerStream | undefined {
    const stream = this.#table.find(nodeId) ?? this.#table.admit(nodeId, { host, port }, now);
    if (stream === undefined) {
      this.refusedAt = now;
      return undefined;
    }
    if (stream.source.port !== port || stream.source.host !== host) stream.source = { host, port };
    if (now - stream.heardAt > this.#config.doubtAfter) stream.changedAt = now;
    stream.heardAt = now;
    stream.askAgain(now);
    if (stream.lostAt !== undefined) this.#comeBack(stream);
    return stream;
  }

  #comeBack(stream: PeerStream): void {
    stream.lostAt = stream.leftAt = stream.leavingAt = undefined;
    this.#table.markBack(stream);
  }

  #lose(stream: PeerStream, now: number): void {
    this.#config.onGap(stream.id, stream.giveUp(now), undefined, "lost");
    stream.lostAt = now;
    this.#table.markGone(stream);
  }

  #giveUpLeaving(stream: PeerStream, now: number): void {
    const { highest } = stream.window;
    stream.believeClaim();
    if (!stream.isSettled) this.#config.onGap(stream.id, stream.giveUp(now), highest, "left");
    this.#depart(stream, now);
  }

  #depart(stream: PeerStream, now: number): void {
    if (stream.leftAt !== undefined) return;
    stream.leftAt = now;
    this.#table.markGone(stream);
    this.#config.onLeft(stream.id);
  }

  #soon(stream: PeerStream, now: number): number {
    return now + stream.lateness + this.#config.jitter.between(...HOLE_DELAY);
  }
}
