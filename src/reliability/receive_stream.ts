/**
 * What a node knows of the batches of another.
 *
 * @module
 */

import { LONGEST_TRIP } from "../membership/path_challenges.ts";
import type { Endpoint } from "../platform/endpoint.ts";
import type { Base, Position } from "../wire/extension.ts";
import { AGE_NEVER } from "../wire/layout.ts";
import { BatchFingerprints, REMEMBERED } from "./batch_fingerprints.ts";
import { type Forgotten, type HoleCount, isVain, ReceiveWindow } from "./receive_window.ts";

/** A request that was sent, to tell its answer by. */
export interface SentNak {
  readonly nonce: number;
  readonly sentAt: number;
  readonly to: Endpoint;
  /** The highest number that was asked for, 0 for none. */
  readonly upTo: number;
  /** All numbers up to this one had arrived by then, or were given up. */
  readonly settled: number;
}

/** Numbers that were given twice, from `from` to `to` or nobody knows where, whether subscribers know, and how often the node was told. */
export interface Reused {
  readonly from: number;
  readonly to: number | undefined;
  hasBeenNamed: boolean;
  times: number;
}

/** The question how far a stream is, and when it is asked again. */
export interface StreamProbe {
  due: number;
  attempts: number;
  /** Times that it was left to others, as this node is one of many who could ask; and when its own turn comes. */
  lots: number;
  turnAt: number | undefined;
  /** When it was asked last. */
  askedAt: number;
}

/** This node stood still from `from` to `since`: what is read by `until` may have come meanwhile. */
export interface Stall {
  readonly from: number;
  readonly since: number;
  readonly until: number;
  /** Whether its machine was suspended: what was sent to it meanwhile is lost, so nothing is known of the other. */
  readonly isDoubt: boolean;
}

/** How long what a node that leaves has not repaired is waited for, in milliseconds: it lingers for one second. */
export const LEAVE_PATIENCE = 2000;

/** What is asked for when it is not known from where on. */
export interface CatchUp {
  /** Since when. */
  readonly since: number;
  /** Added to the age that is asked for: what the way there and back may take, in milliseconds. */
  margin: number;
}

/** Added to ages, in milliseconds: they travel as whole ones. */
const AGE_GRAIN = 1;
/**
 * Part by which the clocks of two hosts may differ in speed, all told: five times the documented 0.1 % each way. A time daemon
 * slews by 0.05 % (ntpd, adjtime), chronyd by up to 8 %, but only until an offset of some seconds is made up for.
 */
const DRIFT = 0.01;
/** Waits up to this long are left alone when a node is heard again, in milliseconds: answers may be on their way. */
const IMPATIENT = 30;
/** Questions in a row, when none of them is answered. */
export const MAX_UNANSWERED = 4;
/**
 * After those one is asked when its node is heard so many milliseconds later, then twice as many, up to a second; after
 * {@linkcode MAX_IN_VAIN} in all it takes {@linkcode ASK_SELDOM}. Whoever forges packets has it asked too.
 */
const ASK_AGAIN: readonly [number, number] = [100, 1000];
const MAX_IN_VAIN = 32;
const ASK_SELDOM = 8000;
/** Longest that holes are waited for as batches often come late, in milliseconds. */
const MAX_LATENESS = 100;
/** What is left of that with each batch that had to be sent again: half after 14. */
const FORGET_LATENESS = 0.95;
/**
 * A way that takes longer than `over` is measured again after `first`, then, as long as it takes about as long, each time after
 * twice the pause of before, up to `most`, all in milliseconds: it may have been slow for a moment.
 */
const LONG_WAY = { over: 100, first: 1000, most: 60_000 };
/** Numbers that are remembered of what a node that was lost seems to have given since. */
const MAX_SAID = 16;
/** What of a silence counts as time in which something could be repaired, in milliseconds; and silences told apart. */
const SHORT_SILENCE = 1000;
const MAX_SILENCES = 64;
/** First margin of a catch-up request, in milliseconds. */
const FIRST_MARGIN = 50;
/**
 * Numbers that may be under way at a time: at first, and least, 180 kB, less than the smallest receive buffer of a system;
 * and most, as many as are asked for and have not come.
 */
export const UNDER_WAY: readonly [number, number] = [128, 512];

/**
 * One stream: which of its numbers have arrived, and from where on they matter. It acts on nothing by itself; time comes
 * in from outside.
 */
export class ReceiveStream {
  /** The other node, as text. */
  readonly id: string;
  /** The other node, 16 bytes. */
  readonly nodeId: Uint8Array;
  readonly window: ReceiveWindow;
  /** Where it was heard. */
  source: Endpoint;
  heardAt: number;
  /** When it was last heard after a silence. */
  returnedAt: number = -Infinity;
  /**
   * The time by which all that its node had accepted is known to have a number, by the last word that nothing known was
   * above: when it was said, as far as that is known, less the time for which the oldest key had been waiting then.
   */
  knownAt: number;
  /** The same, when all up to there had arrived. What was published after it may be outstanding. */
  settledAt: number;
  /** Asked as long as it is not known where the stream begins for this node, or whether the node is where it seems to be. */
  readonly streamProbe: StreamProbe;
  /** Where it was when it answered last. Until then it may be an invention: it counts for nothing. */
  validatedAt: Endpoint | undefined;
  /** When it was heard first. */
  readonly metAt: number;
  /** Whether it was heard with nothing published yet, and when it was last. */
  emptyAt: number = -Infinity;
  /** For how long its oldest key had been waiting to be sent when it last said so, in milliseconds; 0 for none. */
  pending = 0;
  /** Set while what it says may be old news. */
  stall: Stall | undefined;
  /** Whether nothing was missing when it was heard last. */
  isCurrent = false;
  /** When that was last otherwise. */
  changedAt: number;
  /** Token that it has sent to this node's address. */
  token: Uint8Array | undefined;
  /** Time from a request to its answer, in milliseconds; 0 when none was measured. */
  roundTrip = 0;
  /** How long a word of it may have been on the way, in milliseconds: the longer of the last two round trips measured. */
  way = 0;
  #lastTrip = 0;
  #isMeasured = false;
  /** When the way is measured next, unless an answer to anything does it before: at once, as soon as it has answered. */
  #measureAt = -Infinity;
  #isMeasuring = false;
  #measurePause = LONG_WAY.first;
  /** When the last repair came. */
  repairedAt: number = -Infinity;
  /** How late its batches come when they come out of order, in milliseconds. */
  lateness = 0;
  /** When this node had stood still last, or the other was heard again after it was in doubt. */
  outageAt: number = -Infinity;
  /** Silences, but for their first second, that ended since something is missing. */
  readonly #silences: { readonly endedAt: number; readonly length: number }[] = [];
  /** How many numbers may be under way: one more for each that came as soon as it was asked for, half when one did not. */
  room: number = UNDER_WAY[0];
  #narrowedAt = -Infinity;
  /** Whether any of its batches has come. */
  hasCome = false;
  /** Those of its batches. */
  #fingerprints: BatchFingerprints | undefined;
  /** Numbers that it was found to have given twice, until its node must know. */
  reused: Reused | undefined;
  /** What an unasked position has said to be where the stream begins for this node; 0 for nothing. */
  claimedFirst = 0;
  /** Present while it is not known where the stream begins for this node. */
  catchUp: CatchUp | undefined;
  /** The last that were sent, the newest first. */
  readonly naks: SentNak[] = [];
  /** When it has announced that it leaves. */
  leavingAt: number | undefined;
  /** Whether nothing else was ever heard of it than that. */
  onlyLeaves = false;
  /** When it had left, with nothing missing or nothing to be had. */
  leftAt: number | undefined;
  /** When it was given up. */
  lostAt: number | undefined;
  /** When it was heard, while it is gone, to have more than was known of it: it may be there again. */
  recoveredAt: number | undefined;
  /** The highest number that was known when it was lost, and those that it was last heard to have given since. */
  knownUpTo = 0;
  readonly said: number[] = [];
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
    this.streamProbe = { due: now, attempts: 0, lots: 0, turnAt: undefined, askedAt: -Infinity };
    this.catchUp = { since: now, margin: FIRST_MARGIN };
  }

  /** A batch has come that has this number. */
  note(number: number, print: number): void {
    this.hasCome = true;
    (this.#fingerprints ??= new BatchFingerprints()).note(number, print);
  }

  /** Whether a number that is settled is of late, and no batch has come with it. */
  isUnseen(number: number): boolean {
    return number > this.window.highest - REMEMBERED && this.#fingerprints?.knows(number) !== true;
  }

  /** Whether a batch has come with a number above `last`, up to `settled`. */
  hasSeen(last: number, settled: number): boolean {
    return this.#fingerprints?.knowsBetween(last, settled) === true;
  }

  /** No number above `last` exists: see {@linkcode ReceiveWindow.endAt}. */
  endAt(last: number): { from: number; to: number } | undefined {
    this.#fingerprints?.endAt(last);
    return this.window.endAt(last);
  }

  /** Whether another batch has come with the same number. */
  hasReused(number: number, print: number): boolean {
    return this.#fingerprints?.differs(number, print) === true;
  }

  /** Whether everything that is known to exist has arrived or was given up. */
  get isSettled(): boolean {
    return this.catchUp === undefined && this.window.missing === 0;
  }

  /** How long what is missing for longest could have been repaired: its node was heard meanwhile. In milliseconds. */
  repairingFor(now: number): number {
    const [oldest] = this.window.holes;
    if (oldest === undefined || this.catchUp !== undefined) return 0;
    let time = now - oldest.foundAt;
    for (const { endedAt, length } of this.#silences) {
      // Of what was before it was found missing nothing counts.
      time -= Math.max(0, Math.min(length, endedAt - oldest.foundAt));
    }
    return time;
  }

  /** It is heard: for how long it was not. */
  endSilence(now: number): void {
    if (this.window.missing === 0) this.#silences.length = 0;
    else this.#excuse(now - this.heardAt - SHORT_SILENCE, now);
  }

  /** Nothing could be repaired for so many milliseconds until now. */
  #excuse(length: number, endedAt: number): void {
    if (length <= 0) return;
    this.#silences.push({ endedAt, length });
    const [first, second] = this.#silences;
    if (this.#silences.length <= MAX_SILENCES || first === undefined || second === undefined) return;
    this.#silences.splice(0, 2, { endedAt: second.endedAt, length: first.length + second.length });
  }

  /** Whether it has answered: it is there, and no invention. */
  get isValidated(): boolean {
    return this.validatedAt !== undefined;
  }

  /** Whether its node is gone: lost, or it has left. */
  get isGone(): boolean {
    return this.lostAt !== undefined || this.leftAt !== undefined;
  }

  /** Whether requests have to be sent. */
  get isWanting(): boolean {
    return !this.isGone && !this.isSettled;
  }

  /** Whether it was heard from its beginning on, when it had published nothing, and was never heard to have published since. */
  get isEmpty(): boolean {
    return this.emptyAt > -Infinity && this.window.highest === 0 && this.pending === 0;
  }

  /**
   * It said at `saidAt` where it is, or longer ago when that came while this node stood still: all that it had accepted
   * `pending` milliseconds before has a number.
   */
  hearNews(saidAt: number, pending: number): void {
    this.pending = pending;
    this.knownAt = Math.max(this.knownAt, Math.min(saidAt, (this.stall?.from ?? Infinity) - this.way) - pending);
  }

  /** The clock has stood still for so many milliseconds until now: what was before is as much longer ago. */
  sleep(time: number, now: number): void {
    this.#since -= time;
    this.knownAt -= time;
    this.settledAt -= time;
    // What was asked for in vain is asked for once more.
    this.returnedAt = now;
  }

  /** How far back a catch-up request has to reach, in milliseconds. */
  reach(now: number): number {
    return this.#covered(now) + (this.catchUp?.margin ?? 0);
  }

  /**
   * A position tells where the stream begins for this node, if it can: when nothing was published since this node has
   * been open; and so does the answer to a catch-up request of `askedAt`, with its base. Returns what can not be had.
   */
  locate({ last, oldest, age }: Position, base: Base | undefined, askedAt: number, now: number): Forgotten | undefined {
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
      this.catchUp.margin = 2 * this.catchUp.margin + (now - askedAt);
    }
    return undefined;
  }

  /**
   * The node was heard: what is asked for seldom by now, as it was not answered, is asked for at once; what was asked for
   * in vain only if the node was away, and what was not asked for when its time comes. With `all`, everything is.
   */
  hurry(now: number, all: boolean): void {
    const soon = all ? now : now + IMPATIENT;
    for (const hole of this.window.holes) {
      const isVainHole = hole.lastAskedAt >= this.returnedAt && isVain(hole, this.heardAt);
      const mayWait = !all && (hole.attempts === 0 || isVainHole);
      if (hole.due > soon && !mayWait) hole.due = now;
    }
  }

  /**
   * It is gone, and seems to have published up to a number: if that is more than was known, it may be there again. Late copies
   * say the same number again, and a forged one must not hide others. One that has left has said how much; one that never
   * answered is nobody.
   */
  revive(now: number, upTo: number): void {
    const isNews = upTo > this.knownUpTo && !this.said.includes(upTo);
    if (this.lostAt === undefined || !this.isValidated || !isNews) return;
    this.said.push(upTo);
    if (this.said.length > MAX_SAID) this.said.shift();
    this.recoveredAt ??= now;
  }

  /** It was heard: a question that was given up is asked once more. */
  probeAgain(now: number): void {
    const { streamProbe: question } = this;
    if (question.due !== Infinity) return;
    const [first, most] = ASK_AGAIN;
    const { attempts } = question;
    const patience = attempts < MAX_IN_VAIN
      ? Math.min(first * 2 ** Math.max(0, attempts - MAX_UNANSWERED), most)
      : ASK_SELDOM;
    if (now - question.askedAt >= patience) question.due = now;
  }

  /** It has answered a request. */
  validate({ to, sentAt }: Pick<SentNak, "to" | "sentAt">, now: number): void {
    if (this.validatedAt === undefined) {
      this.window.trust(true);
      // Who has not answered is asked for nothing in particular. Its silences are part of that.
      this.#silences.length = 0;
      this.#excuse(now - this.metAt, now);
    }
    this.validatedAt = to;
    this.streamProbe.attempts = 0;
    this.streamProbe.due = now;
    if (this.stall !== undefined && sentAt >= this.stall.since) this.stall = undefined;
  }

  /** A missing batch has come: late, or sent again. What is often late is waited for longer. */
  learn(isRepair: boolean, now: number): void {
    if (isRepair) {
      this.repairedAt = now;
      this.lateness *= FORGET_LATENESS;
      // It may have waited its turn, so it tells only that a round trip is shorter than was thought.
      const { askedOnceAt } = this.window;
      if (askedOnceAt > 0) this.room = Math.min(UNDER_WAY[1], this.room + 1);
      if (askedOnceAt > 0 && now - askedOnceAt < this.roundTrip) this.#smooth(now - askedOnceAt);
    } else this.lateness = Math.min(MAX_LATENESS, Math.max(this.lateness, now - this.window.foundAt));
  }

  /** Repairs were asked for again, as they have not come within `wait` milliseconds: too many may have been under way. */
  narrow(now: number, wait: number): void {
    if (now - this.#narrowedAt < wait) return;
    this.#narrowedAt = now;
    this.room = Math.max(UNDER_WAY[0], this.room / 2);
  }

  /** A request was answered `time` milliseconds after it was sent. */
  measure(time: number, now: number): void {
    if (time > LONGEST_TRIP) return;
    const isSteady = this.way <= 2 * time && time <= 2 * this.#lastTrip;
    this.way = Math.max(time, this.#lastTrip);
    this.#lastTrip = time;
    this.#isMeasured = true;
    if (!isSteady) this.#measurePause = LONG_WAY.first;
    else if (this.#isMeasuring) this.#measurePause = Math.min(2 * this.#measurePause, LONG_WAY.most);
    this.#isMeasuring = false;
    this.#measureAt = this.way > LONG_WAY.over ? now + this.#measurePause : Infinity;
    this.#smooth(time);
  }

  /** As in RFC 6298. */
  #smooth(time: number): void {
    this.roundTrip = this.roundTrip === 0 ? time : this.roundTrip + (time - this.roundTrip) / 8;
  }

  /** Whether its way was never measured, or took long when it was last and is to be measured again. */
  isPathDoubtful(now: number): boolean {
    return this.isValidated && now >= this.#measureAt;
  }

  /** It is asked, so that its way is measured. The answer may take as long as that. */
  asksForPath(now: number): void {
    this.#measureAt = now + this.#measurePause;
    this.#isMeasuring = true;
  }

  /** Whether it is known how old at most is what it says unasked. As long as it has not answered, that is of no matter. */
  get isDatable(): boolean {
    return this.#isMeasured || !this.isValidated;
  }

  /** It answers a question of `askedAt` for the first time: what it said before is as old as that, and as its way. */
  meet(askedAt: number): void {
    const saidAt = Math.min(this.knownAt - this.way, askedAt - this.pending);
    this.knownAt = this.#isMeasured ? saidAt : this.#since;
    this.settledAt = Math.min(this.settledAt - this.way, this.knownAt);
  }

  /** Notes what an unasked position says of where the stream begins. It is not believed as long as the node can be asked. */
  claim({ last, age }: Position, now: number): void {
    if (this.catchUp !== undefined && this.#covers(age, now)) this.claimedFirst = last + 1;
  }

  /** Believes what was claimed, as nobody can be asked any more. */
  believeClaim(): void {
    if (this.catchUp !== undefined && this.claimedFirst > 0) this.#begin(this.claimedFirst);
  }

  /** Gives up all that is missing. Numbers that are not known yet count when they are heard of. Returns the first. */
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

  /** Whether what has this age is from before this node was open. Ages above {@linkcode AGE_NEVER} are not told apart. */
  #covers(age: number, now: number): boolean {
    const covered = this.#covered(now);
    return age >= covered && covered < AGE_NEVER;
  }

  #covered(now: number): number {
    return (now - this.#since) * (1 + DRIFT) + AGE_GRAIN;
  }
}
