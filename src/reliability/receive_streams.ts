/**
 * Receive streams of all other nodes: what has arrived, what is missing, and what is a gap.
 *
 * @module
 */

import type { GapReason } from "../events.ts";
import type { Clock } from "../platform/clock.ts";
import type { Endpoint } from "../platform/endpoint.ts";
import type { Jitter } from "../platform/jitter.ts";
import { TokenBucket } from "../platform/token_bucket.ts";
import type { Base, Extension, Numbering, Position } from "../wire/extension.ts";
import { equalBytes } from "../wire/packet.ts";
import { MulticastLag } from "./multicast_lag.ts";
import { LEAVE_PATIENCE, type ReceiveStream, type SentNak, type Stall } from "./receive_stream.ts";
import { ReceiveStreamTable } from "./receive_stream_table.ts";

/**
 * Shortest and longest random back-off before a hole is requested, in milliseconds: most reordering is over by then,
 * and not all receivers send their NAKs at once.
 */
const HOLE_DELAY: readonly [number, number] = [2, 8];

/**
 * Gaps of nodes that have not answered, at once and a minute. Anybody can forge a node that was just opened and fell
 * silent, or more numbers of a node that was lost, and each such gap empties every cache.
 */
const UNVALIDATED_GAPS = 4;

/**
 * Gaps of nodes that refused a key after their leave, at once and a second. A service whose mesh is closed and which
 * goes on publishing makes one for each change, but must not empty all caches without end.
 */
const RETRACTION_GAPS = { burst: 32, perSecond: 1 };

/** For how long requests have to be in vain, in milliseconds, before an unsolicited position is believed. */
const IN_VAIN = 1000;

/**
 * Requests that verify an unsolicited position, in so many milliseconds: late packets look the same. More than one, as
 * some get lost or go where a clone of the node was, and a node that was set back soon gives as many numbers as before.
 */
const VERIFY_EVERY = 1000;
const MAX_VERIFICATIONS = 4;
/**
 * Paths that are measured again, at once and a second. Where all paths are long, as hosts are busy, that must not make
 * them busier.
 */
const PATH_PROBES = { burst: 32, perSecond: 2 };

/**
 * How often a node is notified that it has given numbers twice, once a second. A node that has learned of it takes
 * another id, so a node that is heard under the same id has not.
 */
const MAX_NOTIFICATIONS = 8;

/** Silence after which a node counts as away, in milliseconds: what was requested in vain is requested again. */
const SILENCE = 1000;

/** For how long after a stall packets may be read that came during it, in milliseconds. */
const STALL_ECHO = 1000;

/** Is notified of gaps. */
export interface GapListener {
  /** These numbers of a node cannot be had; `to` is absent when nobody knows the end. */
  gap(node: string, from: number, to: number | undefined, reason: GapReason): void;
}

/** Is notified of leaves. */
export interface LeaveListener {
  /** A node has left. */
  leave(id: string): void;
}

/** Keys that have arrived and wait for their subscribers. */
export interface ArrivedKeys {
  /** They may have been outstanding since a time, by the clock, that is before what was known when they came. */
  antedate(since: number): void;
}

/** Sends the requests for streams. */
export interface StreamRequests {
  /** A stream has holes to be requested. */
  schedule(stream: ReceiveStream): void;
  /** A position, or what is known of a stream, may be wrong: its node is sent a catch-up request. */
  probe(stream: ReceiveStream): void;
}

/** Sends the acknowledgements for streams. */
export interface StreamAcks {
  /** A node that leaves need not wait: everything up to `settled` is here. */
  onSettled(stream: ReceiveStream, settled: number): void;
  /** A number was given twice, and the node that has shown this token at `to` has to be notified. */
  onReused(stream: ReceiveStream, number: number, token: Uint8Array, to: Endpoint): void;
}

/** Is notified when something has arrived or was given up, or a node has departed. */
export interface ProgressListener {
  /** Whether it needs to be notified. */
  readonly isAwaited: boolean;
  changed(): void;
}

/** What {@linkcode ReceiveStreams} is made of. What it calls MUST NOT throw. */
export interface ReceiveStreamsConfig {
  readonly clock: Clock;
  readonly jitter: Jitter;
  /** Silence after which a stream is in doubt, in milliseconds. */
  readonly doubtAfter: number;
  /** Silence after which a stream is lost when no heartbeat of its node was heard either, in milliseconds. */
  readonly quietTimeout: number;
  /**
   * Longest time to the answer of a departed node that seems to be back, in milliseconds; then its stream is lost
   * again.
   */
  readonly peerTimeout: number;
  /** For how long numbers of a node that is heard may be missing, in milliseconds. */
  readonly maxRepairTime: number;
  /** For how long a node that has published nothing has to be known to count as a reader, in milliseconds. */
  readonly readerAfter: number;
  /** Most streams of nodes that are there, and as many again of departed nodes. */
  readonly capacity: number;
  /** Failure detection decides when a peer is lost, and `quietTimeout` when another node is. */
  readonly peers: () => { get(id: string): unknown };
  readonly naks: StreamRequests;
  readonly acks: StreamAcks;
  readonly losses: GapListener;
  readonly backlog: ArrivedKeys;
  readonly membership: LeaveListener;
  readonly progress: ProgressListener;
}

/** Takes the numbers and positions of all streams, and decides what follows: requests, gaps, departures. */
export class ReceiveStreams {
  /** Batches that had arrived before. */
  duplicates = 0;
  /** Since when the keys of the batch that was accepted last may have been outstanding, by the node's clock. */
  outstandingSince: number = Infinity;
  readonly #config: ReceiveStreamsConfig;
  readonly #table: ReceiveStreamTable;
  readonly #multicastLag: MulticastLag;
  readonly #pathProbes: TokenBucket;
  readonly #unvalidatedGaps: TokenBucket;
  readonly #retractionGaps: TokenBucket;
  /** The last stream whose gap the limit has refused. */
  #owed: ReceiveStream | undefined;
  #stall: Stall | undefined;

  constructor(config: ReceiveStreamsConfig) {
    this.#config = config;
    this.#table = new ReceiveStreamTable(2 * config.capacity, config.clock.now());
    this.#multicastLag = new MulticastLag(config.clock);
    this.#pathProbes = new TokenBucket(config.clock, PATH_PROBES.burst, PATH_PROBES.perSecond);
    this.#retractionGaps = new TokenBucket(config.clock, RETRACTION_GAPS.burst, RETRACTION_GAPS.perSecond);
    this.#unvalidatedGaps = new TokenBucket(config.clock, UNVALIDATED_GAPS, UNVALIDATED_GAPS / 60);
  }

  /** Numbers that were requested. What comes late, before it was requested, was never missing. */
  get missing(): number {
    return this.#table.counts.requested;
  }

  /** Those of them that have arrived. */
  get recovered(): number {
    return this.#table.counts.recovered;
  }

  /** All streams, those of departed nodes included. */
  get all(): Iterable<ReceiveStream> {
    return this.#table.all;
  }

  /** The stream of a node. */
  get(id: string): ReceiveStream | undefined {
    return this.#table.get(id);
  }

  /** Whether a gap was refused by a limit and is still to be reported. */
  get owesGap(): boolean {
    return this.#owed !== undefined;
  }

  /** The same; `nodeId` may be a view. */
  find(nodeId: Uint8Array): ReceiveStream | undefined {
    return this.#table.find(nodeId);
  }

  /** Notes a batch with a number; `nodeId` may be a view. False when it had arrived before. */
  accept(
    nodeId: Uint8Array,
    number: number,
    numbering: Numbering,
    host: string,
    port: number,
    fingerprint: number,
  ): boolean {
    const now = this.#config.clock.now();
    const stream = this.#onPosition(nodeId, host, port, now);
    if (stream === undefined) return true;
    const { window, catchUp, isDeparted } = stream;
    this.outstandingSince = stream.settledAt;
    if (numbering !== "retransmit" && this.#multicastLag.onMulticast(stream, number)) {
      window.nakSoon(number, this.#soon(stream, now));
    }
    // Nearly always nothing is missing before it.
    const arrival = window.accept(number, now, number === window.highest + 1 ? now : this.#soon(stream, now));
    // The batch was given up and comes late, or is from before this node was open; or its node was set back, and has
    // given the number to another batch.
    if (arrival === "duplicate" && stream.isUnseen(number)) {
      stream.note(number, fingerprint);
      return true;
    }
    if (arrival === "duplicate") {
      this.duplicates++;
      if (stream.hasReused(number, fingerprint)) this.#reused(stream, number, number);
      return false;
    }
    stream.note(number, fingerprint);
    // Only an answer brings a departed node back. If none comes, a higher number makes one more gap.
    if (isDeparted) {
      stream.revive(now, number);
      return true;
    }
    // A retransmission, or a batch sent while more was pending, does not show that its node has sent all that it
    // accepted.
    if (arrival === "new" && numbering === "number" && stream.isDatable) stream.onPosition(now - stream.path, 0);
    // Nothing can be missing below the first number.
    if (window.settled === window.highest) stream.catchUp = undefined;
    if (arrival === "recovered" && catchUp === undefined) stream.learn(numbering === "retransmit", now);
    this.#review(stream, now);
    return true;
  }

  /**
   * Notes the position of a stream, from a heartbeat or a state packet. First it makes numbers known. Then it settles
   * numbers: all that it states when it answers a request, next to nothing when it is unsolicited. Holes requested in
   * vain are requested at once, as their node is there. False when the node has departed: then the position is not
   * used. `id` is the text of `nodeId`, where that is known.
   */
  onPosition(nodeId: Uint8Array, source: Endpoint, extension: Extension, id?: string): boolean {
    const { position, nonce, base, token, path, pending = 0 } = extension;
    if (position === undefined) return true;
    const now = this.#config.clock.now();
    const stream = this.#onPosition(nodeId, source.host, source.port, now, id);
    if (stream === undefined) return true;
    if (stream.isDeparted) {
      // A pending key has no number yet: it counts as half a number, which is less than the next one given.
      stream.revive(now, position.last + (pending > 0 ? 1 / 2 : 0));
      return false;
    }
    const request = nonce === undefined ? undefined : stream.naks.find((request) => request.nonce === nonce);
    // Anybody can send a token, so a token that is known is replaced only by one in the answer to a request. A node that
    // has lost this one meanwhile knows it by another, and does not believe what comes with the old one.
    const isOtherToken = token !== undefined && (stream.token === undefined || !equalBytes(stream.token, token));
    const isNewToken = isOtherToken && (stream.token === undefined || request !== undefined);
    if (isNewToken) stream.token = token.slice();
    const { window } = stream;
    // A heartbeat has a path record. Other positions come of nodes that have published, or were sent a request.
    if (position.last === 0 && window.highest === 0 && path !== undefined) stream.emptyAt = now;
    // An unsolicited position is as old as its path is long, and an answer is at most as old as its request.
    if (request === undefined) {
      if (position.last >= window.highest && stream.isDatable) stream.onPosition(now - stream.path, pending);
      const isDoubtful = position.last < window.highest || (isOtherToken && !isNewToken);
      if (isDoubtful || stream.reused !== undefined) this.verify(stream, MAX_VERIFICATIONS);
      else if (stream.isPathDoubtful(now) && (!stream.isDatable || this.#pathProbes.allow())) {
        stream.onPathProbe(now);
        this.#config.naks.probe(stream);
      }
    }
    if (request === undefined) {
      this.#extend(stream, position, now);
      this.#believe(stream, position, now);
    } else {
      this.#multicastLag.onPosition(stream, window.highest + 1, position.last);
      this.#extend(stream, position, now, this.#multicastLag.value);
      // While this node stalled the answer may have waited in its socket.
      if (stream.stall === undefined || request.sentAt >= stream.stall.since) stream.measure(now - request.sentAt, now);
      this.#validate(stream, request, now);
      stream.onPosition(request.sentAt, pending);
      this.#settle(stream, position, base, request.sentAt, now);
      if (position.last < request.upTo) this.#rewind(stream, position.last, request.settled);
      if (stream.reused !== undefined) this.#notifyReused(stream, source);
    }
    if (isNewToken || request === undefined) stream.hurry(now, isNewToken);
    this.#review(stream, now);
    return true;
  }

  /** Notes the leave of a node, with its last position. */
  leave(nodeId: Uint8Array, source: Endpoint, extension: Extension): void {
    const now = this.#config.clock.now();
    const isNew = this.#table.find(nodeId) === undefined;
    this.onPosition(nodeId, source, extension);
    const stream = this.#table.find(nodeId);
    if (stream === undefined) return;
    if (isNew) stream.onlyLeaves = true;
    // The first leave was handled, and the acknowledgement was lost; or the node had to refuse a key after its leave.
    if (stream.leftAt !== undefined) {
      stream.source = source;
      this.#retract(stream, extension.position?.last ?? 0, now);
      return this.#config.acks.onSettled(stream, stream.window.settled);
    }
    // Anybody can forge the leave of a node that was lost. If that node had more than was known, a gap follows.
    if (stream.lostAt !== undefined) return;
    stream.leavingAt ??= now;
    stream.hurry(now, true);
    this.#review(stream, now);
  }

  /** Gives up streams that were silent for too long. */
  expire(): void {
    for (const stream of this.#table.all) this.expireOne(stream);
    this.#reportOwed();
  }

  /** The node of a stream is lost. */
  lose(stream: ReceiveStream): void {
    if (!stream.isDeparted && stream.leavingAt === undefined) this.#lose(stream, this.#config.clock.now());
  }

  /** A node has answered from `to`, `time` milliseconds after it was probed. A departed node is back. */
  validate(id: string, to: Endpoint, time: number): void {
    const stream = this.#table.get(id);
    if (stream === undefined) return;
    const now = this.#config.clock.now();
    const { streamProbe } = stream;
    if (stream.isDeparted) this.#comeBack(stream, now);
    const { due } = streamProbe;
    // While this node stalled the answer may have waited in its socket.
    if (stream.stall === undefined || now - time >= stream.stall.since) stream.measure(time, now);
    this.#validate(stream, { to, sentAt: now - time }, now);
    // The answer to a request may be on its way.
    if (due < Infinity) streamProbe.due = due;
    stream.hurry(now, true);
    this.#review(stream, now);
  }

  /** The same as {@linkcode ReceiveStreams.expire} for one stream. */
  expireOne(stream: ReceiveStream): void {
    const now = this.#config.clock.now();
    const { leavingAt, recoveredAt } = stream;
    if (stream.isDeparted) {
      if (recoveredAt !== undefined && now - recoveredAt >= this.#config.peerTimeout) this.#loseAgain(stream, now);
    } else if (leavingAt !== undefined) {
      if (now - leavingAt >= LEAVE_PATIENCE) this.#giveUpLeaving(stream, now);
    } else if (now - stream.heardAt >= this.#config.quietTimeout && this.#config.peers().get(stream.id) === undefined) {
      this.#lose(stream, now);
    }
  }

  /**
   * This node stalled from `since` on, and its socket may have dropped datagrams: what is read now may be old. All
   * nodes are sent catch-up requests. `since` includes the time of a suspension, which the clock does not count.
   */
  stalled(since: number, suspended = 0): void {
    const now = this.#config.clock.now();
    if (suspended > 0) this.#table.sleep(suspended, now);
    // A stall continues the one before when packets of that time may still be read.
    const from = this.#stall !== undefined && since <= this.#stall.until
      ? Math.min(this.#stall.from - suspended, since)
      : since;
    this.#stall = { from, since: now, until: now + STALL_ECHO, isDoubt: suspended > 0 };
    let longestPath = 0;
    for (const stream of this.#table.all) longestPath = Math.max(longestPath, stream.path);
    // For keys that were read already.
    this.#config.backlog.antedate(from - longestPath);
    for (const stream of this.#table.all) {
      if (stream.isDeparted) continue;
      this.#mark(stream, this.#stall);
      this.#config.naks.probe(stream);
    }
  }

  /** What is heard of a stream may have waited in the socket. */
  #mark(stream: ReceiveStream, stall: Stall): void {
    stream.stall = { ...stall, isDoubt: stall.isDoubt || stream.stall?.isDoubt === true };
    stream.outageAt = stall.since;
    stream.settledAt = Math.min(stream.settledAt, stall.from);
    stream.knownAt = Math.min(stream.knownAt, stall.from);
  }

  /**
   * Numbers that a position makes known are requested unless they arrive within the back-off, or within `lag` if that
   * is longer.
   */
  #extend(stream: ReceiveStream, { last }: Position, now: number, lag = 0): void {
    const { window } = stream;
    window.extend(last, now, this.#soon(stream, now, lag));
    // All that is known to exist has arrived or was given up: the stream begins somewhere below.
    if (window.missing === 0) stream.catchUp = undefined;
  }

  /** The answer to a request is authoritative about where the stream begins, and about what is held. */
  #settle(stream: ReceiveStream, position: Position, base: Base | undefined, requestedAt: number, now: number): void {
    if (stream.catchUp !== undefined) {
      this.#reportOverwritten(stream, stream.locate(position, base, requestedAt, now));
      if (stream.catchUp !== undefined) return;
    }
    this.#reportOverwritten(stream, stream.window.startAt(position.oldest));
  }

  /**
   * Anybody can send an unsolicited position. So it makes numbers known, which can be requested, but settles none: a
   * forged one would make this node deaf. Only when requests have been in vain, as on a path that is open in one
   * direction only, it is believed.
   */
  #believe(stream: ReceiveStream, position: Position, now: number): void {
    const { catchUp, window } = stream;
    stream.noteClaim(position, now);
    // A node that has never answered may be forged, and its position settles nothing until it has.
    if (!stream.isValidated) return;
    if (catchUp !== undefined) {
      if (stream.streamProbe.attempts === 0 || now - catchUp.since < IN_VAIN) return;
      // As if it had answered that it has no more than what it holds.
      this.#reportOverwritten(stream, stream.locate(position, { first: position.oldest, age: 0 }, now, now));
      return;
    }
    // Holes are requested from the first on. A node whose path was never validated is sent a catch-up request instead.
    const requestedAt = window.holes[0]?.nakSentAt || (stream.streamProbe.attempts > 0 ? stream.changedAt : Infinity);
    let first = 1;
    for (const { to, foundAt } of window.holes) {
      if (to >= position.oldest || now - Math.max(requestedAt, foundAt) < IN_VAIN) break;
      first = to + 1;
    }
    this.#reportOverwritten(stream, window.startAt(first));
  }

  /**
   * A request named numbers that the node has not given. They are forged, unless batches have arrived with them and
   * with all before them. In that case the node was set back, as a machine that is restored from an image, and gives
   * the numbers again. Two things may be lost: new batches that were dropped as copies, and what the node had accepted
   * and not sent before it was set back.
   */
  #rewind(stream: ReceiveStream, last: number, settled: number): void {
    const isReused = stream.hasSeen(last, settled);
    this.#reportOverwritten(stream, stream.endAt(last));
    if (isReused) this.#reused(stream, 1, undefined);
  }

  /** Two batches have the same number: another node has the same id, or the node was set back. */
  #reused(stream: ReceiveStream, from: number, to: number | undefined): void {
    // A node that has never answered may be forged.
    const isReported = stream.isValidated;
    stream.reused = { from, to, isReported, notifications: 0 };
    if (this.#pathProbes.allow()) this.#config.naks.probe(stream);
    if (isReported) this.#reportLimited(stream, from, to, "reused");
  }

  /** Notifies the node, which then takes another id. The token, which it has just shown, is sent to nobody else. */
  #notifyReused(stream: ReceiveStream, to: Endpoint): void {
    const { reused, token } = stream;
    if (reused === undefined || token === undefined) return;
    if (!reused.isReported) this.#reportLimited(stream, reused.from, reused.to, "reused");
    reused.isReported = true;
    if (++reused.notifications === MAX_NOTIFICATIONS) stream.reused = undefined;
    this.#config.acks.onReused(stream, reused.from, token, to);
  }

  /**
   * Sends a catch-up request, if fewer than `most` were sent so in this second. Other requests do not count: they were
   * sent before there was a doubt.
   */
  verify(stream: ReceiveStream, most = 1): void {
    const now = this.#config.clock.now();
    if (now - stream.verifiedAt >= VERIFY_EVERY) {
      stream.verifiedAt = now;
      stream.verifications = 0;
    }
    if (stream.verifications >= most) return;
    stream.verifications++;
    this.#config.naks.probe(stream);
  }

  /** Numbers cannot be had any more, as their node holds them no longer. */
  #reportOverwritten(stream: ReceiveStream, gap: { readonly from: number; readonly to: number } | undefined): void {
    if (gap !== undefined) this.#config.losses.gap(stream.id, gap.from, gap.to, "overwritten");
  }

  /**
   * Whether the end of a node is a gap, as it may have published more than was heard of it. A node that has never
   * answered may be forged, so its end is none. It is one, up to a limit, when the node was heard before it had
   * published anything: it may have crashed with its first keys.
   */
  #isLoss(stream: ReceiveStream): boolean {
    if (stream.isValidated || stream.emptyAt === -Infinity) return stream.isValidated;
    if (this.#unvalidatedGaps.allow()) return true;
    this.#owed = stream;
    return false;
  }

  /** Reports a gap for all that the limit has refused: each gap makes all subscribers drop everything. */
  #reportOwed(): void {
    const owed = this.#owed;
    if (owed === undefined || !this.#unvalidatedGaps.allow()) return;
    this.#owed = undefined;
    this.#changed();
    const from = owed.isDeparted ? owed.giveUp(this.#config.clock.now()) : owed.window.settled + 1;
    this.#config.losses.gap(owed.id, from, undefined, "lost");
  }

  /** A node that has published nothing for long is a reader: it is not expected to have begun just before its end. */
  #isReader(stream: ReceiveStream): boolean {
    return stream.isEmpty && stream.emptyAt - stream.metAt >= this.#config.readerAfter;
  }

  #validate(stream: ReceiveStream, answer: Pick<SentNak, "to" | "sentAt">, now: number): void {
    if (!stream.isValidated) {
      this.#table.markValidated(stream);
      stream.onFirstAnswer(answer.sentAt);
      if (stream.hasCome) this.#config.backlog.antedate(stream.settledAt);
    }
    stream.validate(answer, now);
  }

  #changed(): void {
    if (this.#config.progress.isAwaited) this.#config.progress.changed();
  }

  /** Does what the present state of a stream requires: a gap, a request, or the end of a leave. */
  #review(stream: ReceiveStream, now: number): void {
    this.#changed();
    if (stream.isValidated && stream.missingFor(now) >= this.#config.maxRepairTime) this.#giveUpLate(stream);
    const { isSettled } = stream;
    if (stream.isCurrent !== isSettled) stream.changedAt = now;
    stream.isCurrent = isSettled;
    if (!isSettled) {
      this.#config.naks.schedule(stream);
      return;
    }
    stream.settledAt = stream.knownAt;
    if (stream.leavingAt === undefined || stream.leftAt !== undefined) return;
    this.#config.acks.onSettled(stream, stream.window.settled);
    this.#depart(stream, now);
  }

  #onPosition(nodeId: Uint8Array, host: string, port: number, now: number, id?: string): ReceiveStream | undefined {
    const stream = this.#table.find(nodeId, id) ?? this.#admit(nodeId, { host, port }, now);
    if (stream === undefined || stream.isDeparted) return stream;
    if (stream.source.port !== port || stream.source.host !== host) stream.source = { host, port };
    if (stream.stall !== undefined && now >= stream.stall.until) stream.stall = undefined;
    if (now - stream.heardAt > this.#config.doubtAfter) stream.changedAt = stream.outageAt = now;
    if (now - stream.heardAt >= SILENCE) stream.returnedAt = now;
    stream.endSilence(now);
    stream.heardAt = now;
    stream.probeAgain(now);
    return stream;
  }

  #admit(nodeId: Uint8Array, source: Endpoint, now: number): ReceiveStream | undefined {
    const stream = this.#table.admit(nodeId, source, now);
    if (stream !== undefined && this.#stall !== undefined && now < this.#stall.until) this.#mark(stream, this.#stall);
    return stream;
  }

  #comeBack(stream: ReceiveStream, now: number): void {
    stream.lostAt =
      stream.leftAt =
      stream.leavingAt =
      stream.recoveredAt =
        undefined;
    stream.endSilence(now);
    stream.heardAt = stream.changedAt = now;
    this.#table.markBack(stream);
    // Its positions since it had departed were not used.
    this.#config.naks.probe(stream);
  }

  #lose(stream: ReceiveStream, now: number): void {
    const isLoss = !this.#isReader(stream) && this.#isLoss(stream);
    this.#changed();
    stream.lostAt = now;
    stream.knownUpTo = stream.window.highest;
    stream.announced.length = 0;
    this.#table.markDeparted(stream);
    // Numbers without a gap are not given up: should the node come back, they are requested.
    if (isLoss) this.#config.losses.gap(stream.id, stream.giveUp(now), undefined, "lost");
  }

  /**
   * A lost node had more than was known, and has not come back: it was heard for a moment, or its packets were forged.
   */
  #loseAgain(stream: ReceiveStream, now: number): void {
    // That number is noted once, so the gap that the limit refuses is reported later.
    if (!this.#unvalidatedGaps.allow()) return;
    stream.recoveredAt = undefined;
    this.#config.losses.gap(stream.id, stream.giveUp(now), undefined, "lost");
  }

  /**
   * Reports what is missing as a gap: after `maxRepairTime` a cache has to drop what it may have missed. A batch that
   * arrives later is delivered all the same.
   */
  #giveUpLate({ id, window }: ReceiveStream): void {
    const gap = window.startAt(window.highest + 1);
    if (gap !== undefined) this.#config.losses.gap(id, gap.from, gap.to, "late");
  }

  #giveUpLeaving(stream: ReceiveStream, now: number): void {
    const { highest } = stream.window;
    stream.believeClaim();
    // Requests were sent for twice as long as a node lingers: what is missing now cannot be had any more.
    if (!stream.isSettled && this.#isLoss(stream)) {
      this.#config.losses.gap(stream.id, stream.giveUp(now), highest, "left");
    }
    this.#depart(stream, now);
  }

  /**
   * A node that has left repeats its leave with a higher last number: it has refused keys since, and what they stand
   * for is a gap. Anybody can forge such a leave, so the gaps are limited, and a node that never answered causes none.
   */
  #retract(stream: ReceiveStream, last: number, now: number): void {
    const { window } = stream;
    if (last <= window.highest || !stream.isValidated) return;
    window.extend(last, now, now);
    this.#reportLimited(stream, stream.giveUp(now), last, "left");
  }

  /** Reports a gap that anybody can cause by a forged packet: their number is limited. */
  #reportLimited(stream: ReceiveStream, from: number, to: number | undefined, reason: GapReason): void {
    if (this.#retractionGaps.allow()) this.#config.losses.gap(stream.id, from, to, reason);
    else this.#owed = stream;
  }

  #depart(stream: ReceiveStream, now: number): void {
    if (stream.leftAt !== undefined) return;
    this.#changed();
    stream.leftAt = now;
    this.#table.markDeparted(stream);
    this.#config.membership.leave(stream.id);
  }

  #soon({ lateness }: ReceiveStream, now: number, lag = 0): number {
    return now + Math.max(lateness, lag) + this.#config.jitter.between(...HOLE_DELAY);
  }
}
