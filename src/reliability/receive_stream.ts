/**
 * Receive stream: what this node knows of the batches of one other node.
 *
 * @module
 */

import { LONGEST_TRIP } from "../membership/path_challenges.ts";
import type { Endpoint } from "../platform/endpoint.ts";
import type { Base, Position } from "../wire/extension.ts";
import { AGE_NEVER } from "../wire/layout.ts";
import type { AwaitedDeliveries } from "./awaited_deliveries.ts";
import { BatchFingerprints, REMEMBERED } from "./batch_fingerprints.ts";
import { type Forgotten, type HoleCount, isVain, ReceiveWindow } from "./receive_window.ts";

/** A request that was sent, to recognise its answer. */
export interface SentNak {
  readonly nonce: number;
  readonly sentAt: number;
  readonly to: Endpoint;
  /** The highest number that was requested, 0 for none. */
  readonly upTo: number;
  /** All numbers up to this one had arrived or were given up when it was sent. */
  readonly settled: number;
}

/** Numbers that were given twice. */
export interface Reused {
  readonly from: number;
  /** `undefined` when nobody knows the end. */
  readonly to: number | undefined;
  /** Whether they were reported as a gap. */
  isReported: boolean;
  /** How often their node was notified. */
  notifications: number;
}

/** The request for the position of a stream, and when it is sent again. */
export interface StreamProbe {
  due: number;
  attempts: number;
  /** How often it was left to the other nodes of a large mesh, and when this node sends it itself. */
  turns: number;
  turnAt: number | undefined;
  /** When it was last sent or left to others. */
  sentAt: number;
}

/** This node stalled from `from` to `since`: what it reads by `until` may have come meanwhile. */
export interface Stall {
  readonly from: number;
  readonly since: number;
  readonly until: number;
  /** Whether the machine was suspended: what was sent meanwhile is lost, so the state of the other node is in doubt. */
  readonly isDoubt: boolean;
}

/**
 * For how long the missing numbers of a node that leaves are waited for, in milliseconds: the node lingers for one
 * second.
 */
export const LEAVE_PATIENCE = 2000;

/** The catch-up request that finds where the stream begins for this node. */
export interface CatchUp {
  /** When it became necessary. */
  readonly since: number;
  /** Added to the requested age: the time that request and answer may take, in milliseconds. */
  margin: number;
}

/** Added to ages, in milliseconds: they are sent as whole milliseconds. */
const AGE_GRAIN = 1;
/**
 * Part by which the clocks of two hosts may differ in speed: five times the documented 0.1 % of each. A time
 * daemon slews a clock by 0.05 % (ntpd, adjtime), chronyd by up to 8 %, but only until an offset of some seconds is
 * made up for.
 */
const DRIFT = 0.01;
/**
 * Waits up to this long are not cut short when a node is heard again, in milliseconds: the answer may be on its way.
 */
const IMPATIENT = 30;
/** Catch-up requests in a row to a node that answers none. */
export const MAX_UNANSWERED = 4;
/**
 * Pause before one more request to such a node, in milliseconds: the first, doubled each time, and the longest. It is
 * sent when the node is heard. Forged packets of the node cause it too, so after {@linkcode MAX_IN_VAIN} requests in
 * all the pause is {@linkcode LONG_PAUSE}.
 */
const PROBE_PAUSE: readonly [number, number] = [100, 1000];
const MAX_IN_VAIN = 32;
const LONG_PAUSE = 8000;
/** Longest that a hole waits because batches of its stream often come late, in milliseconds. */
const MAX_LATENESS = 100;
/**
 * Factor by which each requested retransmission that arrives reduces the lateness: the batch was lost and not late. 14
 * of them halve it.
 */
const LATENESS_DECAY = 0.95;
/**
 * A path whose round trip takes longer than `over` is measured again after `first`; then, as long as it stays about the
 * same, each time after twice the pause of before, up to `most`, all in milliseconds. It may have been slow for a
 * moment.
 */
const LONG_PATH = { over: 100, first: 1000, most: 60_000 };
/** How many of the numbers that a lost node seems to have given since are remembered. */
const MAX_ANNOUNCED = 16;
/**
 * The first part of each silence, in milliseconds, counts as time in which numbers could be recovered; and most
 * silences that are kept apart.
 */
const SHORT_SILENCE = 1000;
const MAX_SILENCES = 64;
/** First margin of a catch-up request, in milliseconds. */
const FIRST_MARGIN = 50;
/**
 * Least and most numbers that may be under way at a time. The least, 180 kB, is less than the smallest receive buffer
 * of a system. The most is as many as may be requested and missing.
 */
export const UNDER_WAY: readonly [number, number] = [128, 512];

/**
 * The state of one stream: which of its numbers have arrived, and from which number on they matter. It has no timer and
 * sends nothing.
 */
export class ReceiveStream {
  /** The id of the other node, as text. */
  readonly id: string;
  /** The id of the other node, 16 bytes. */
  readonly nodeId: Uint8Array;
  readonly window: ReceiveWindow;
  /** The endpoint that it was last heard from. */
  source: Endpoint;
  heardAt: number;
  /** When it was last heard after a silence. */
  returnedAt: number = -Infinity;
  /** Requests that have verified a doubtful position since `verifiedAt`, in one second. */
  verifications = 0;
  verifiedAt: number = -Infinity;
  /**
   * The time by which all keys that its node had accepted are known to have a number, by the last packet with a
   * position as high as all that is known: when it was sent, as far as that is known, less the age of the oldest key
   * that had no number then.
   */
  knownAt: number;
  /** The value of `knownAt` when nothing was missing last. What was published after that time may be outstanding. */
  settledAt: number;
  /**
   * Sent as long as it is not known where the stream begins for this node, or whether the path to the node is
   * validated.
   */
  readonly streamProbe: StreamProbe;
  /** The endpoint at which it last answered. Until then it may be forged, and counts for nothing. */
  validatedAt: Endpoint | undefined;
  /** When it was heard first. */
  readonly metAt: number;
  /** When it was last heard to have published nothing. */
  emptyAt: number = -Infinity;
  /** The age of its oldest key without a number, by its last position, in milliseconds; 0 for none. */
  pending = 0;
  /** Set while what is read may be from before the end of a stall. */
  stall: Stall | undefined;
  /** Whether nothing was missing when it was heard last. */
  isCurrent = false;
  /** When that changed last. */
  changedAt: number;
  /** The address-validation token that it has sent to this node's address. */
  token: Uint8Array | undefined;
  /** Smoothed time from a request to its answer, in milliseconds; 0 when none was measured. */
  roundTrip = 0;
  /**
   * Longest time that its packets may take to this node, in milliseconds: the longer of the last two round trips
   * measured.
   */
  path = 0;
  #lastTrip = 0;
  #isMeasured = false;
  /** When the path is measured next, unless another answer measures it before. At first as soon as it has answered. */
  #measureAt = -Infinity;
  #isMeasuring = false;
  #measurePause = LONG_PATH.first;
  /** When the last retransmission came. */
  retransmitAt: number = -Infinity;
  /** How late its batches come when they come out of order, in milliseconds. */
  lateness = 0;
  /** When this node had stalled last, or the other was heard again after it was in doubt. */
  outageAt: number = -Infinity;
  /** The silences that ended since something is missing, without the first second of each. */
  readonly #quietPeriods: { readonly endedAt: number; readonly length: number }[] = [];
  /**
   * How many numbers may be under way: one more for each that arrives after one NAK, half as many when one does not.
   */
  room: number = UNDER_WAY[0];
  #narrowedAt = -Infinity;
  /** Whether any of its batches has arrived. */
  hasCome = false;
  /** The fingerprints of its batches. */
  #fingerprints: BatchFingerprints | undefined;
  /** Numbers that its node has given twice, as long as the node is to be notified of them. */
  reused: Reused | undefined;
  /** The batches whose delivery its node awaits. */
  awaited: AwaitedDeliveries | undefined;
  /** Where an unsolicited position says that the stream begins for this node; 0 for nothing. */
  claimedFirst = 0;
  /** Present while it is not known where the stream begins for this node. */
  catchUp: CatchUp | undefined;
  /** The last requests that were sent, the newest first. */
  readonly naks: SentNak[] = [];
  /** When its leave was heard. */
  leavingAt: number | undefined;
  /** Whether nothing but leaves was ever heard of it. */
  onlyLeaves = false;
  /** When it had left, with nothing missing or nothing to be had. */
  leftAt: number | undefined;
  /** When it was lost. */
  lostAt: number | undefined;
  /** When it was heard, after it had departed, to have more than was known: it may be back. */
  recoveredAt: number | undefined;
  /** The highest number that was known when it was lost, and the last numbers that it was heard to have given since. */
  knownUpTo = 0;
  readonly announced: number[] = [];
  /** From when on nothing must be missed, until the beginning of the stream is known. */
  #since: number;

  constructor(nodeId: Uint8Array, id: string, source: Endpoint, since: number, now: number, holes: HoleCount) {
    this.window = new ReceiveWindow(holes);
    this.nodeId = nodeId.slice();
    this.id = id;
    this.source = source;
    this.heardAt = this.metAt = now;
    this.knownAt = since;
    this.settledAt = since;
    this.changedAt = now;
    this.#since = since;
    this.streamProbe = { due: now, attempts: 0, turns: 0, turnAt: undefined, sentAt: -Infinity };
    this.catchUp = { since: now, margin: FIRST_MARGIN };
  }

  /** A batch has arrived with this number. */
  note(number: number, fingerprint: number): void {
    this.hasCome = true;
    (this.#fingerprints ??= new BatchFingerprints()).note(number, fingerprint);
  }

  /** Whether a settled number is a recent one with which no batch has arrived. */
  isUnseen(number: number): boolean {
    return number > this.window.highest - REMEMBERED && this.#fingerprints?.knows(number) !== true;
  }

  /** Whether a batch has arrived with a number above `last`, up to `settled`. */
  hasSeen(last: number, settled: number): boolean {
    return this.#fingerprints?.knowsBetween(last, settled) === true;
  }

  /** No number above `last` exists: see {@linkcode ReceiveWindow.endAt}. */
  endAt(last: number): { from: number; to: number } | undefined {
    this.#fingerprints?.endAt(last);
    return this.window.endAt(last);
  }

  /** Whether another batch has arrived with the same number. */
  hasReused(number: number, fingerprint: number): boolean {
    return this.#fingerprints?.differs(number, fingerprint) === true;
  }

  /** Whether every number that is known to exist has arrived or was given up. */
  get isSettled(): boolean {
    return this.catchUp === undefined && this.window.missing === 0;
  }

  /**
   * For how long the oldest hole has been missing while its node was heard, in milliseconds; 0 without a hole, and while the
   * stream catches up.
   */
  missingFor(now: number): number {
    const [oldest] = this.window.holes;
    if (oldest === undefined || this.catchUp !== undefined) return 0;
    let time = now - oldest.foundAt;
    for (const { endedAt, length } of this.#quietPeriods) {
      // A silence before the hole was found does not count.
      time -= Math.max(0, Math.min(length, endedAt - oldest.foundAt));
    }
    return time;
  }

  /** It is heard: its silence until now ends. */
  endSilence(now: number): void {
    if (this.window.missing === 0) this.#quietPeriods.length = 0;
    else this.#excuse(now - this.heardAt - SHORT_SILENCE, now);
  }

  /** Nothing could be recovered for so many milliseconds until `endedAt`. */
  #excuse(length: number, endedAt: number): void {
    if (length <= 0) return;
    this.#quietPeriods.push({ endedAt, length });
    const [first, second] = this.#quietPeriods;
    if (this.#quietPeriods.length <= MAX_SILENCES || first === undefined || second === undefined) return;
    this.#quietPeriods.splice(0, 2, { endedAt: second.endedAt, length: first.length + second.length });
  }

  /** Whether it has answered, and so is not forged. */
  get isValidated(): boolean {
    return this.validatedAt !== undefined;
  }

  /** Whether its node has departed: it was lost, or has left. */
  get isDeparted(): boolean {
    return this.lostAt !== undefined || this.leftAt !== undefined;
  }

  /** Whether requests have to be sent. */
  get isWanting(): boolean {
    return !this.isDeparted && !this.isSettled;
  }

  /** Whether it was heard when it had published nothing, and was never heard to have published since. */
  get isEmpty(): boolean {
    return this.emptyAt > -Infinity && this.window.highest === 0 && this.pending === 0;
  }

  /**
   * All keys that it had accepted `pending` milliseconds before `sentAt` have a number. What is read after a stall may
   * have been sent before the stall.
   */
  onPosition(sentAt: number, pending: number): void {
    this.pending = pending;
    this.knownAt = Math.max(this.knownAt, Math.min(sentAt, (this.stall?.from ?? Infinity) - this.path) - pending);
  }

  /**
   * The machine was suspended for so many milliseconds until now, which the clock has not counted: what was before is
   * as much longer ago.
   */
  sleep(time: number, now: number): void {
    this.#since -= time;
    this.knownAt -= time;
    this.settledAt -= time;
    // Holes that were requested in vain are requested once more.
    this.returnedAt = now;
  }

  /** How far back a catch-up request has to reach, in milliseconds. */
  reach(now: number): number {
    return this.#covered(now) + (this.catchUp?.margin ?? 0);
  }

  /**
   * Finds where the stream begins for this node, if a position shows it: when nothing was published since this node has
   * been open. So does the answer to a catch-up request of `requestedAt`, with its base. Returns the numbers that
   * cannot be had.
   */
  locate(
    { last, oldest, age }: Position,
    base: Base | undefined,
    requestedAt: number,
    now: number,
  ): Forgotten | undefined {
    if (this.catchUp === undefined) return undefined;
    if (this.#covers(age, now)) {
      this.#begin(last + 1);
    } else if (base === undefined) {
      return undefined;
    } else if (base.first === 1 || this.#covers(base.age, now)) {
      this.#begin(base.first);
    } else if (base.first <= oldest) {
      this.#begin(1);
      return this.window.startAt(oldest);
    } else {
      this.catchUp.margin = 2 * this.catchUp.margin + (now - requestedAt);
    }
    return undefined;
  }

  /**
   * The node was heard: holes that wait for long, as earlier NAKs were not answered, are requested at once. Those
   * requested in vain are only when the node was away, and new holes keep their time. With `all`, every hole is.
   */
  hurry(now: number, all: boolean): void {
    const soon = all ? now : now + IMPATIENT;
    for (const hole of this.window.holes) {
      const isVainHole = hole.lastNakSentAt >= this.returnedAt && isVain(hole, this.heardAt);
      const mayWait = !all && (hole.attempts === 0 || isVainHole);
      if (hole.due > soon && !mayWait) hole.due = now;
    }
  }

  /**
   * A departed node seems to have published up to a number. If that is higher than what was known, it may be back. Late
   * copies repeat the same number, and a forged one must not hide others. The last number of a node that has left is
   * known, and a node that never answered counts for nothing.
   */
  revive(now: number, upTo: number): void {
    const isHigher = upTo > this.knownUpTo && !this.announced.includes(upTo);
    if (this.lostAt === undefined || !this.isValidated || !isHigher) return;
    this.announced.push(upTo);
    if (this.announced.length > MAX_ANNOUNCED) this.announced.shift();
    this.recoveredAt ??= now;
  }

  /** It was heard: a request for its position that was given up is sent once more. */
  probeAgain(now: number): void {
    const { streamProbe } = this;
    if (streamProbe.due !== Infinity) return;
    const [first, most] = PROBE_PAUSE;
    const { attempts } = streamProbe;
    const patience = attempts < MAX_IN_VAIN
      ? Math.min(first * 2 ** Math.max(0, attempts - MAX_UNANSWERED), most)
      : LONG_PAUSE;
    if (now - streamProbe.sentAt >= patience) streamProbe.due = now;
  }

  /** It has answered a request. */
  validate({ to, sentAt }: Pick<SentNak, "to" | "sentAt">, now: number): void {
    if (this.validatedAt === undefined) {
      this.window.trust(true);
      // No hole of a node was requested before it has answered, so that time does not count; its silences are part of
      // it.
      this.#quietPeriods.length = 0;
      this.#excuse(now - this.metAt, now);
    }
    this.validatedAt = to;
    this.streamProbe.attempts = 0;
    this.streamProbe.due = now;
    if (this.stall !== undefined && sentAt >= this.stall.since) this.stall = undefined;
  }

  /**
   * A missing batch has arrived: late, or as a retransmission. Holes of a stream whose batches are often late wait
   * longer.
   */
  learn(isRetransmit: boolean, now: number): void {
    if (isRetransmit) {
      this.retransmitAt = now;
      this.lateness *= LATENESS_DECAY;
      // The retransmission may have waited its turn, so it can only show that a round trip is shorter than was thought.
      const { requestedOnceAt } = this.window;
      if (requestedOnceAt > 0) this.room = Math.min(UNDER_WAY[1], this.room + 1);
      if (requestedOnceAt > 0 && now - requestedOnceAt < this.roundTrip) this.#smooth(now - requestedOnceAt);
    } else this.lateness = Math.min(MAX_LATENESS, Math.max(this.lateness, now - this.window.foundAt));
  }

  /**
   * Numbers were requested again, as they had not arrived within `wait` milliseconds: too many may have been under way.
   */
  narrow(now: number, wait: number): void {
    if (now - this.#narrowedAt < wait) return;
    this.#narrowedAt = now;
    this.room = Math.max(UNDER_WAY[0], this.room / 2);
  }

  /** A request was answered after `time` milliseconds. */
  measure(time: number, now: number): void {
    if (time > LONGEST_TRIP) return;
    const isSteady = this.path <= 2 * time && time <= 2 * this.#lastTrip;
    this.path = Math.max(time, this.#lastTrip);
    this.#lastTrip = time;
    this.#isMeasured = true;
    if (!isSteady) this.#measurePause = LONG_PATH.first;
    else if (this.#isMeasuring) this.#measurePause = Math.min(2 * this.#measurePause, LONG_PATH.most);
    this.#isMeasuring = false;
    this.#measureAt = this.path > LONG_PATH.over ? now + this.#measurePause : Infinity;
    this.#smooth(time);
  }

  /** The smoothing of RFC 6298. */
  #smooth(time: number): void {
    this.roundTrip = this.roundTrip === 0 ? time : this.roundTrip + (time - this.roundTrip) / 8;
  }

  /** Whether the path was never measured, or took long when it was last and is to be measured again. */
  isPathDoubtful(now: number): boolean {
    return this.isValidated && now >= this.#measureAt;
  }

  /** A request is sent to measure the path. Its answer may take as long as the pause. */
  onPathProbe(now: number): void {
    this.#measureAt = now + this.#measurePause;
    this.#isMeasuring = true;
  }

  /**
   * Whether the age of its unsolicited packets has a known bound. As long as it has not answered, that does not matter.
   */
  get isDatable(): boolean {
    return this.#isMeasured || !this.isValidated;
  }

  /**
   * It answers a request of `requestedAt` for the first time: its earlier positions are as old as that request, and as
   * its path is long.
   */
  onFirstAnswer(requestedAt: number): void {
    const knownAt = Math.min(this.knownAt - this.path, requestedAt - this.pending);
    this.knownAt = this.#isMeasured ? knownAt : this.#since;
    this.settledAt = Math.min(this.settledAt - this.path, this.knownAt);
  }

  /**
   * Notes where an unsolicited position says that the stream begins. It is not believed as long as the node can answer
   * a request.
   */
  noteClaim({ last, age }: Position, now: number): void {
    if (this.catchUp !== undefined && this.#covers(age, now)) this.claimedFirst = last + 1;
  }

  /** Believes it, as the node can no longer answer a request. */
  believeClaim(): void {
    if (this.catchUp !== undefined && this.claimedFirst > 0) this.#begin(this.claimedFirst);
  }

  /**
   * Gives up all that is missing. Numbers that are not known yet count when they are heard of. Returns the first number
   * given up.
   */
  giveUp(now: number): number {
    const from = this.window.settled + 1;
    this.#begin(this.window.highest + 1);
    this.knownAt = this.settledAt = now;
    this.pending = 0;
    return from;
  }

  #begin(first: number): void {
    this.catchUp = undefined;
    this.window.startAt(first);
  }

  /**
   * Whether what has this age is from before this node was open. Ages above {@linkcode AGE_NEVER} are equal on the
   * wire.
   */
  #covers(age: number, now: number): boolean {
    const covered = this.#covered(now);
    return age >= covered && covered < AGE_NEVER;
  }

  #covered(now: number): number {
    return (now - this.#since) * (1 + DRIFT) + AGE_GRAIN;
  }
}
