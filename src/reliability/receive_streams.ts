/**
 * The streams of all other nodes: what has arrived, what is missing, and what can not be had.
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

/** Shortest and longest wait before a hole is asked for, in milliseconds: most reordering is over by then. */
const HOLE_DELAY: readonly [number, number] = [2, 8];

/**
 * Gaps without an answer of the node, at once and a minute: anybody can invent a node that was just opened and fell silent,
 * or one that was lost and had more, and such a gap empties every cache.
 */
const UNVALIDATED_GAPS = 4;

/**
 * Gaps of nodes that have left and had to refuse something after it, at once and a second. A service whose mesh is closed and
 * which goes on publishing has one for each change, but must not empty all caches without end.
 */
const TAKE_BACKS = { burst: 32, perSecond: 1 };

/** How long requests have to be in vain before what a node says unasked is believed, in milliseconds. */
const IN_VAIN = 1000;

/** How often a node is asked whether what it says is so, in milliseconds. Late packets look the same. */
const VERIFY_EVERY = 1000;
/** Ways that are measured again, at once and a second: where all are long, as hosts are busy, that must not make them busier. */
const WAYS = { burst: 32, perSecond: 2 };

/** How often a node is told that it has given numbers twice, once a second: as long as it is heard, it does not know. */
const MAX_REPORTED = 8;

/** Silence after which a node was away, in milliseconds: what was asked for in vain is asked for once more. */
const SILENCE = 1000;

/** How long what was received before a stall may still be read after it, in milliseconds. */
const STALL_ECHO = 1000;

/** What {@linkcode ReceiveStreams} is made of. The callbacks MUST NOT throw. */
export interface ReceiveStreamsConfig {
  readonly clock: Clock;
  readonly jitter: Jitter;
  /** Silence after which a stream is in doubt, in milliseconds. */
  readonly doubtAfter: number;
  /** Silence after which it is lost when no heartbeat of its node was heard either, in milliseconds. */
  readonly quietTimeout: number;
  /** How long a node that was gone and seems to be there again has to show it, in milliseconds. */
  readonly peerTimeout: number;
  /** Whether its node is a peer: then that decides. */
  readonly isPeer: (id: string) => boolean;
  /** How long something of a node that is heard may be missing, in milliseconds. */
  readonly maxRepairTime: number;
  /** For how long a node that has published nothing has to be known to be taken for a reader, in milliseconds. */
  readonly readerAfter: number;
  /** Most streams of nodes that are there, and as many again of those that are gone. */
  readonly capacity: number;
  /** A stream has something to be asked for. */
  readonly onWanting: (stream: ReceiveStream) => void;
  /** What a stream says, or what is known of it, may not be so: it has to be asked. */
  readonly onDoubt: (stream: ReceiveStream) => void;
  /** What was published in these numbers can not be had; `to` is absent when nobody knows the end. */
  readonly onGap: (node: string, from: number, to: number | undefined, reason: GapReason) => void;
  /** What has come may have been outstanding since a time, by the clock, that is before what was known when it came. */
  readonly antedate: (since: number) => void;
  /** A node that leaves needs not wait: everything up to `settled` is here. */
  readonly onSettled: (stream: ReceiveStream, settled: number) => void;
  /** A node has left. */
  readonly onLeft: (id: string) => void;
  /** A number was given twice; the node that shows this token does not know. */
  readonly onReused: (stream: ReceiveStream, number: number, token: Uint8Array, to: Endpoint) => void;
}

/** Takes numbers and positions, and tells what follows: requests, gaps, departures. */
export class ReceiveStreams {
  /** Batches that had arrived before. */
  duplicates = 0;
  /** Since when the keys of the batch that was accepted last may have been outstanding, by the node's clock. */
  outstandingSince: number = Infinity;
  readonly #config: ReceiveStreamsConfig;
  readonly #table: ReceiveStreamTable;
  readonly #multicastLag: MulticastLag;
  readonly #ways: TokenBucket;
  readonly #unprovenGaps: TokenBucket;
  readonly #takeBacks: TokenBucket;
  /** One whose gap the rate has refused: the last of them. */
  #owed: ReceiveStream | undefined;
  #stall: Stall | undefined;

  constructor(config: ReceiveStreamsConfig) {
    this.#config = config;
    this.#table = new ReceiveStreamTable(2 * config.capacity, config.clock.now());
    this.#multicastLag = new MulticastLag(config.clock);
    this.#ways = new TokenBucket(config.clock, WAYS.burst, WAYS.perSecond);
    this.#takeBacks = new TokenBucket(config.clock, TAKE_BACKS.burst, TAKE_BACKS.perSecond);
    this.#unprovenGaps = new TokenBucket(config.clock, UNVALIDATED_GAPS, UNVALIDATED_GAPS / 60);
  }

  /** Numbers that were asked for. What comes late, and is not asked for, was never missing. */
  get missing(): number {
    return this.#table.counts.asked;
  }

  /** Those of them that have come. */
  get recovered(): number {
    return this.#table.counts.recovered;
  }

  /** All streams, those of nodes that are gone among them. */
  get all(): Iterable<ReceiveStream> {
    return this.#table.all;
  }

  /** The stream of a node. */
  get(id: string): ReceiveStream | undefined {
    return this.#table.get(id);
  }

  /** Notes a batch with a number; `nodeId` may be a view. False when it had arrived before. */
  accept(
    nodeId: Uint8Array,
    number: number,
    numbering: Numbering,
    host: string,
    port: number,
    print: number,
  ): boolean {
    const now = this.#config.clock.now();
    const stream = this.#hear(nodeId, host, port, now);
    if (stream === undefined) return true;
    const { window, catchUp, isGone } = stream;
    this.outstandingSince = stream.settledAt;
    if (numbering !== "retransmit" && this.#multicastLag.heard(stream, number)) {
      window.suspectNow(number, this.#soon(stream, now));
    }
    // Nearly always nothing is missing before it.
    const arrival = window.accept(number, now, number === window.highest + 1 ? now : this.#soon(stream, now));
    // It was given up and is late, or is from before this node was open; or its node was set back, and it is news.
    if (arrival === "duplicate" && stream.isUnseen(number)) {
      stream.note(number, print);
      return true;
    }
    if (arrival === "duplicate") {
      this.duplicates++;
      if (stream.hasReused(number, print)) this.#reused(stream, number, number);
      return false;
    }
    stream.note(number, print);
    // A node that is gone comes back by an answer alone. If that never comes, this is all that is known of it.
    if (isGone) {
      stream.revive(now, number);
      return true;
    }
    // Of one that is sent again, or while more is pending, nobody knows how far its node is.
    if (arrival === "new" && numbering === "number" && stream.isDatable) stream.hearNews(now - stream.way, 0);
    // Nothing can be missing below the first.
    if (window.settled === window.highest) stream.catchUp = undefined;
    if (arrival === "repaired" && catchUp === undefined) stream.learn(numbering === "retransmit", now);
    this.#review(stream, now);
    return true;
  }

  /**
   * Notes the position of a stream, from a heartbeat or a state packet. First it makes numbers known, then it settles what it
   * can: all that it says when it answers a request, next to nothing when not. What was asked for in vain is asked for at
   * once, as its node is there. False when its node is gone: then it is not heeded. `id` is the text of `nodeId`, where that
   * is known.
   */
  hear(nodeId: Uint8Array, source: Endpoint, extension: Extension, id?: string): boolean {
    const { position, nonce, base, token, path, pending = 0 } = extension;
    if (position === undefined) return true;
    const now = this.#config.clock.now();
    const stream = this.#hear(nodeId, source.host, source.port, now, id);
    if (stream === undefined) return true;
    if (stream.isGone) {
      // What is pending has no number yet, and is less than the next one that has.
      stream.revive(now, position.last + (pending > 0 ? 1 / 2 : 0));
      return false;
    }
    const request = nonce === undefined ? undefined : stream.naks.find((request) => request.nonce === nonce);
    // Anybody can send a token. One that is not right is replaced with the answer to the request that it is shown with.
    const isNewToken = token !== undefined &&
      (stream.token === undefined || (request !== undefined && !equalBytes(stream.token, token)));
    if (isNewToken) stream.token = token.slice();
    const { window } = stream;
    // A heartbeat says by which path it comes. Other packets come of nodes that have published, or have been asked.
    if (position.last === 0 && window.highest === 0 && path !== undefined) stream.emptyAt = now;
    // What is said unasked is as old as its way, and an answer as its question.
    if (request === undefined) {
      if (position.last >= window.highest && stream.isDatable) stream.hearNews(now - stream.way, pending);
      if (position.last < window.highest || stream.reused !== undefined) this.#verify(stream, now);
      else if (stream.isPathDoubtful(now) && (!stream.isDatable || this.#ways.allow())) {
        stream.asksForPath(now);
        this.#config.onDoubt(stream);
      }
    }
    if (request === undefined) {
      this.#extend(stream, position, now);
      this.#believe(stream, position, now);
    } else {
      this.#multicastLag.told(stream, window.highest + 1, position.last);
      this.#extend(stream, position, now, this.#multicastLag.value);
      // While this node stood still the answer may have lain here.
      if (stream.stall === undefined || request.sentAt >= stream.stall.since) stream.measure(now - request.sentAt, now);
      this.#validate(stream, request, now);
      stream.hearNews(request.sentAt, pending);
      this.#settle(stream, position, base, request.sentAt, now);
      if (position.last < request.upTo) this.#rewind(stream, position.last, request.settled);
      if (stream.reused !== undefined) this.#tellReused(stream, source);
    }
    if (isNewToken || request === undefined) stream.hurry(now, isNewToken);
    this.#review(stream, now);
    return true;
  }

  /** Notes that a node leaves, with its last position. */
  leave(nodeId: Uint8Array, source: Endpoint, extension: Extension): void {
    const now = this.#config.clock.now();
    const isNew = this.#table.find(nodeId) === undefined;
    this.hear(nodeId, source, extension);
    const stream = this.#table.find(nodeId);
    if (stream === undefined) return;
    if (isNew) stream.onlyLeaves = true;
    // Its first leave was heeded, and the acknowledgement was lost; or it had to refuse something after it.
    if (stream.leftAt !== undefined) {
      stream.source = source;
      this.#retract(stream, extension.position?.last ?? 0, now);
      return this.#config.onSettled(stream, stream.window.settled);
    }
    // Anybody may say so of one that was lost. If it had more than was known, that is a gap soon.
    if (stream.lostAt !== undefined) return;
    stream.leavingAt ??= now;
    stream.hurry(now, true);
    this.#review(stream, now);
  }

  /** Gives up streams that were silent for too long. */
  expire(): void {
    for (const stream of this.#table.all) this.expireOne(stream);
    this.#tellOwed();
  }

  /** The node of a stream is lost. */
  lose(stream: ReceiveStream): void {
    if (!stream.isGone && stream.leavingAt === undefined) this.#lose(stream, this.#config.clock.now());
  }

  /** A node has answered from `to`, `time` milliseconds after it was asked. One that is gone is back. */
  validate(id: string, to: Endpoint, time: number): void {
    const stream = this.#table.get(id);
    if (stream === undefined) return;
    const now = this.#config.clock.now();
    const { streamProbe: question } = stream;
    if (stream.isGone) this.#comeBack(stream, now);
    const { due } = question;
    // While this node stood still the answer may have lain here.
    if (stream.stall === undefined || now - time >= stream.stall.since) stream.measure(time, now);
    this.#validate(stream, { to, sentAt: now - time }, now);
    // The answer to a question may be on its way.
    if (due < Infinity) question.due = due;
    stream.hurry(now, true);
    this.#review(stream, now);
  }

  /** The same as {@linkcode ReceiveStreams.expire} for one stream. */
  expireOne(stream: ReceiveStream): void {
    const now = this.#config.clock.now();
    const { leavingAt, recoveredAt } = stream;
    if (stream.isGone) {
      if (recoveredAt !== undefined && now - recoveredAt >= this.#config.peerTimeout) this.#loseAgain(stream, now);
    } else if (leavingAt !== undefined) {
      if (now - leavingAt >= LEAVE_PATIENCE) this.#giveUpLeaving(stream, now);
    } else if (now - stream.heardAt >= this.#config.quietTimeout && !this.#config.isPeer(stream.id)) {
      this.#lose(stream, now);
    }
  }

  /**
   * This node stood still from `since` on, and may have dropped what came meanwhile: what is read now may be old. All are
   * asked how far they are. `since` counts the time for which the machine was suspended, which the clock does not.
   */
  stalled(since: number, suspended = 0): void {
    const now = this.#config.clock.now();
    if (suspended > 0) this.#table.sleep(suspended, now);
    // One that has not been over for long goes on.
    const from = this.#stall !== undefined && since <= this.#stall.until
      ? Math.min(this.#stall.from - suspended, since)
      : since;
    this.#stall = { from, since: now, until: now + STALL_ECHO, isDoubt: suspended > 0 };
    let longestWay = 0;
    for (const stream of this.#table.all) longestWay = Math.max(longestWay, stream.way);
    // What has been read already.
    this.#config.antedate(from - longestWay);
    for (const stream of this.#table.all) {
      if (stream.isGone) continue;
      this.#mark(stream, this.#stall);
      this.#config.onDoubt(stream);
    }
  }

  /** What is heard of a stream may have lain here. */
  #mark(stream: ReceiveStream, stall: Stall): void {
    stream.stall = { ...stall, isDoubt: stall.isDoubt || stream.stall?.isDoubt === true };
    stream.outageAt = stall.since;
    stream.settledAt = Math.min(stream.settledAt, stall.from);
    stream.knownAt = Math.min(stream.knownAt, stall.from);
  }

  /** Unless it is heard within `lag`, what a position tells is asked for. */
  #extend(stream: ReceiveStream, { last }: Position, now: number, lag = 0): void {
    const { window } = stream;
    window.extend(last, now, this.#soon(stream, now, lag));
    // All that is known to exist has arrived or was given up: it begins somewhere below.
    if (window.missing === 0) stream.catchUp = undefined;
  }

  /** The answer to a request is the truth about where the stream begins, and about what is held. */
  #settle(stream: ReceiveStream, position: Position, base: Base | undefined, askedAt: number, now: number): void {
    if (stream.catchUp !== undefined) {
      this.#tell(stream, stream.locate(position, base, askedAt, now));
      if (stream.catchUp !== undefined) return;
    }
    this.#tell(stream, stream.window.startAt(position.oldest));
  }

  /**
   * Anybody can send a position. So it makes numbers known, which can be asked for, but settles none: a forged one would
   * make this node deaf. When requests have been in vain, as on a way that is open in one direction only, it is believed.
   */
  #believe(stream: ReceiveStream, position: Position, now: number): void {
    const { catchUp, window } = stream;
    stream.claim(position, now);
    // Who has never answered may be an invention, and what it says settles nothing until it has.
    if (!stream.isValidated) return;
    if (catchUp !== undefined) {
      if (stream.streamProbe.attempts === 0 || now - catchUp.since < IN_VAIN) return;
      // As if it had answered that it has no more than what it holds.
      this.#tell(stream, stream.locate(position, { first: position.oldest, age: 0 }, now, now));
      return;
    }
    // Holes are asked for from the first on; a node that was never proved to be there is asked for none in particular.
    const asked = window.holes[0]?.askedAt || (stream.streamProbe.attempts > 0 ? stream.changedAt : Infinity);
    let first = 1;
    for (const { to, foundAt } of window.holes) {
      if (to >= position.oldest || now - Math.max(asked, foundAt) < IN_VAIN) break;
      first = to + 1;
    }
    this.#tell(stream, window.startAt(first));
  }

  /**
   * It was asked for more than it has published, so something was forged; unless that has come, with all before it. Then it was
   * set back, as a machine that is restored from an image, and gives numbers once more: what came with them may have been
   * taken for copies, and nobody has what it was about to send before.
   */
  #rewind(stream: ReceiveStream, last: number, settled: number): void {
    const isReused = stream.hasSeen(last, settled);
    this.#tell(stream, stream.endAt(last));
    if (isReused) this.#reused(stream, 1, undefined);
  }

  /** Two batches have the same number: the id of the node is that of another node too, or it was set back. */
  #reused(stream: ReceiveStream, from: number, to: number | undefined): void {
    // One that has never answered may be an invention.
    const hasBeenNamed = stream.isValidated;
    stream.reused = { from, to, hasBeenNamed, times: 0 };
    if (this.#ways.allow()) this.#config.onDoubt(stream);
    if (hasBeenNamed) this.#tellOften(stream, from, to, "reused");
  }

  /** It takes another id as soon as it knows. The token, which it has just shown, is for nobody else. */
  #tellReused(stream: ReceiveStream, to: Endpoint): void {
    const { reused, token } = stream;
    if (reused === undefined || token === undefined) return;
    if (!reused.hasBeenNamed) this.#tellOften(stream, reused.from, reused.to, "reused");
    reused.hasBeenNamed = true;
    if (++reused.times === MAX_REPORTED) stream.reused = undefined;
    this.#config.onReused(stream, reused.from, token, to);
  }

  #verify(stream: ReceiveStream, now: number): void {
    const [last] = stream.naks;
    if (last === undefined || now - last.sentAt >= VERIFY_EVERY) this.#config.onDoubt(stream);
  }

  #tell(stream: ReceiveStream, gap: { readonly from: number; readonly to: number } | undefined): void {
    if (gap !== undefined) this.#config.onGap(stream.id, gap.from, gap.to, "overwritten");
  }

  /**
   * Whether the end of a node, with more perhaps than was heard of it, is a gap. One that has never answered may be an
   * invention; but if it was heard before it had published anything, it may as well have crashed with its first keys.
   */
  #isLoss(stream: ReceiveStream): boolean {
    if (stream.isValidated || stream.emptyAt === -Infinity) return stream.isValidated;
    if (this.#unprovenGaps.allow()) return true;
    this.#owed = stream;
    return false;
  }

  /** A gap tells all subscribers to drop all, so the next one stands for all that were refused. */
  #tellOwed(): void {
    const owed = this.#owed;
    if (owed === undefined || !this.#unprovenGaps.allow()) return;
    this.#owed = undefined;
    const from = owed.isGone ? owed.giveUp(this.#config.clock.now()) : owed.window.settled + 1;
    this.#config.onGap(owed.id, from, undefined, "lost");
  }

  /** A node that has published nothing for long is a reader: it is not taken to have begun just before its end. */
  #isReader(stream: ReceiveStream): boolean {
    return stream.isEmpty && stream.emptyAt - stream.metAt >= this.#config.readerAfter;
  }

  #validate(stream: ReceiveStream, answer: Pick<SentNak, "to" | "sentAt">, now: number): void {
    if (!stream.isValidated) {
      this.#table.markValidated(stream);
      stream.meet(answer.sentAt);
      if (stream.hasCome) this.#config.antedate(stream.settledAt);
    }
    stream.validate(answer, now);
  }

  /** What follows from what a stream has now. */
  #review(stream: ReceiveStream, now: number): void {
    if (stream.isValidated && stream.repairingFor(now) >= this.#config.maxRepairTime) this.#giveUpLate(stream);
    const { isSettled } = stream;
    if (stream.isCurrent !== isSettled) stream.changedAt = now;
    stream.isCurrent = isSettled;
    if (!isSettled) {
      this.#config.onWanting(stream);
      return;
    }
    stream.settledAt = stream.knownAt;
    if (stream.leavingAt === undefined || stream.leftAt !== undefined) return;
    this.#config.onSettled(stream, stream.window.settled);
    this.#depart(stream, now);
  }

  #hear(nodeId: Uint8Array, host: string, port: number, now: number, id?: string): ReceiveStream | undefined {
    const stream = this.#table.find(nodeId, id) ?? this.#admit(nodeId, { host, port }, now);
    if (stream === undefined || stream.isGone) return stream;
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
    // What it said while it was gone was not heeded.
    this.#config.onDoubt(stream);
  }

  #lose(stream: ReceiveStream, now: number): void {
    const isLoss = !this.#isReader(stream) && this.#isLoss(stream);
    stream.lostAt = now;
    stream.knownUpTo = stream.window.highest;
    stream.said.length = 0;
    this.#table.markGone(stream);
    // What nobody is told of is not given up: should it come back, it is asked for.
    if (isLoss) this.#config.onGap(stream.id, stream.giveUp(now), undefined, "lost");
  }

  /** One that was lost had more than was known, and has not come back: it was there for a moment, or somebody has forged it. */
  #loseAgain(stream: ReceiveStream, now: number): void {
    // It is said once, so what the rate refuses is told later.
    if (!this.#unprovenGaps.allow()) return;
    stream.recoveredAt = undefined;
    this.#config.onGap(stream.id, stream.giveUp(now), undefined, "lost");
  }

  /** A cache that waits for what is missing must not wait for ever. What comes after that comes late. */
  #giveUpLate({ id, window }: ReceiveStream): void {
    const gap = window.startAt(window.highest + 1);
    if (gap !== undefined) this.#config.onGap(id, gap.from, gap.to, "late");
  }

  #giveUpLeaving(stream: ReceiveStream, now: number): void {
    const { highest } = stream.window;
    stream.believeClaim();
    // One that has never answered is asked for two seconds, and lingers for one: it was not there for longer.
    if (!stream.isSettled && this.#isLoss(stream)) {
      this.#config.onGap(stream.id, stream.giveUp(now), highest, "left");
    }
    this.#depart(stream, now);
  }

  /**
   * One that has left says that it had more, and nobody will have it. Anybody can say so, so the rate is bounded, and one that
   * never answered is nobody.
   */
  #retract(stream: ReceiveStream, last: number, now: number): void {
    const { window } = stream;
    if (last <= window.highest || !stream.isValidated) return;
    window.extend(last, now, now);
    this.#tellOften(stream, stream.giveUp(now), last, "left");
  }

  /** Anybody can bring that about, so the rate is bounded. */
  #tellOften(stream: ReceiveStream, from: number, to: number | undefined, reason: GapReason): void {
    if (this.#takeBacks.allow()) this.#config.onGap(stream.id, from, to, reason);
    else this.#owed = stream;
  }

  #depart(stream: ReceiveStream, now: number): void {
    if (stream.leftAt !== undefined) return;
    stream.leftAt = now;
    this.#table.markGone(stream);
    this.#config.onLeft(stream.id);
  }

  #soon({ lateness }: ReceiveStream, now: number, lag = 0): number {
    return now + Math.max(lateness, lag) + this.#config.jitter.between(...HOLE_DELAY);
  }
}
