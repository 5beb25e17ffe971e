/**
 * Congestion detector: which losses mean congestion, so that the node has to send more slowly; `docs/wire.md`,
 * "Pacing".
 *
 * @module
 */

import type { NumberRange } from "../wire/extension.ts";

/** The length of the measurement, in numbers: those up to the highest that a peer has requested. */
const WINDOW = 512;
/** The share of losses that means no congestion at any rate: radio networks and poor cables lose that much. */
const TOLERATED = 0.05;
/** The share of losses from which on the rate does not rise, unless a peer loses more at the lowest rate. */
const USUAL = 0.025;
/**
 * Highest share of losses that counts as a property of the path when the path has it at the lowest rate too. When more
 * is lost, as many retransmissions as batches are lost on the path, and the retransmit buffer would overrun.
 */
const MAX_USUAL = 0.15;
/** A peer may lose so many times as much as at the lowest rate: what is above that has come with the rate. */
const EXCESS = 1.25;
/** After the rate has fallen it does not rise before so many more batches were sent, unless none of them is lost. */
const PROBATION = 200;
/** Least count of numbers that the share of arrivals is taken of: all of the first few may be lost in one burst. */
const LEAST = 128;
/** Falls of the rate that are remembered. All that was sent before the oldest of them counts as sent at one rate. */
const MAX_FALLS = 16;
/** Most peers that are measured at a time. The peer whose last NAK is the oldest gives way. */
const MAX_PEERS = 1024;

/** What the losses of a peer mean for the rate. */
export interface LossAssessment {
  /** `usual`: nothing; `high`: the rate should not rise; `congestion`: the rate has to fall. */
  readonly loss: "usual" | "high" | "congestion";
  /**
   * Datagrams a second that arrived of what was sent before the rate fell; 0 for none. Absent when that is not
   * known.
   */
  readonly carried?: number;
  /** Whether the peer had requested all of it before: then retransmissions are lost. */
  readonly isAgain?: boolean;
}

const NOTHING: LossAssessment = { loss: "usual" };

/** What one peer has requested. */
interface Measured {
  /** The highest number. */
  highest: number;
  /**
   * Which of the last {@linkcode WINDOW} numbers up to there it has requested: each counts once, however often it was
   * requested.
   */
  readonly requested: Set<number>;
  /** What it loses at the lowest rate, as a share. */
  usual: number;
}

/**
 * Measures the losses of each peer. The measurement counts numbers, not time. Of the numbers between two that a peer
 * requests, all others have arrived, whenever they were sent and however long the NAK took. Each peer is measured by
 * itself: that each of a hundred peers loses one batch in fifty is no congestion, though then nearly every batch is
 * requested by one of them.
 */
export class CongestionDetector {
  readonly #peers = new Map<string, Measured>();
  /** The falls of the rate, the oldest first: the last number that was sent before each, and the rate until then. */
  readonly #falls: { readonly last: number; readonly rate: number }[] = [];

  /**
   * A NAK of a peer has come. `last` is the highest number that was given. `isSlow` says that the rate is at most
   * twice the lowest.
   */
  note(id: string, ranges: readonly NumberRange[], last: number, isSlow: boolean): LossAssessment {
    const peer = this.#peers.get(id) ?? { highest: 0, requested: new Set<number>(), usual: USUAL };
    // The map is in the order of the last NAKs.
    this.#peers.delete(id);
    this.#peers.set(id, peer);
    if (this.#peers.size > MAX_PEERS) { for (const oldest of this.#peers.keys()) return this.#drop(oldest); }
    const novelty = this.#count(peer, ranges, last);
    const { requested, highest } = peer;
    // The measurement is about numbers that were sent at one rate.
    const index = this.#falls.findIndex((fall) => fall.last >= highest);
    const fall = this.#falls[index];
    const since = (fall === undefined ? this.#falls.at(-1) : this.#falls[index - 1])?.last ?? 0;
    const count = Math.min(WINDOW, highest - since);
    const lost = countAbove(requested, since);
    const isCongested = lost > mostOf(count, Math.max(TOLERATED, EXCESS * peer.usual));
    if (novelty === undefined) return isCongested ? { loss: "high", carried: 0, isAgain: true } : NOTHING;
    if (novelty === "old") {
      if (fall === undefined || !isCongested) return { loss: "high" };
      // When nothing at all has arrived, the peer had stalled: that shows nothing about the path.
      if (lost === WINDOW) return { loss: "high", carried: 0 };
      // A peer that is behind requests the lowest numbers first.
      return { loss: "congestion", carried: fall.rate * (1 - lost / Math.max(count, LEAST)) };
    }
    const share = lost / count;
    const isWhole = count === WINDOW;
    // The loss is a property of the path, or is one no more.
    if (isWhole && (isSlow && share <= MAX_USUAL || share < peer.usual / 2)) peer.usual = Math.max(USUAL, share);
    if (isCongested) return { loss: "congestion" };
    const isOnProbation = since > 0 && count < PROBATION;
    return isOnProbation || lost > mostOf(count, peer.usual) ? { loss: "high" } : NOTHING;
  }

  /** The rate has fallen from `rate`: what was sent up to the number `last` does not count for the new rate. */
  restart(last: number, rate: number): void {
    if (this.#falls.push({ last, rate }) > MAX_FALLS) this.#falls.shift();
  }

  /** A peer has departed. */
  forget(id: string): void {
    this.#peers.delete(id);
  }

  #drop(id: string): LossAssessment {
    this.#peers.delete(id);
    return NOTHING;
  }

  /**
   * `new` when a number that was not requested before was sent at the present rate, `old` when it was sent before the
   * rate fell; `undefined` when all were requested before.
   */
  #count(peer: Measured, ranges: readonly NumberRange[], last: number): "new" | "old" | undefined {
    const { requested } = peer;
    const before = peer.highest;
    for (const { to } of ranges) peer.highest = Math.max(peer.highest, Math.min(to, last));
    const from = Math.max(0, peer.highest - WINDOW) + 1;
    if (peer.highest > before) { for (const number of requested) if (number < from) requested.delete(number); }
    const since = this.#falls.at(-1)?.last ?? 0;
    let novelty: "new" | "old" | undefined;
    for (const range of ranges) {
      for (let number = Math.max(from, range.from); number <= Math.min(range.to, last); number++) {
        if (requested.has(number)) continue;
        requested.add(number);
        if (number > since) novelty = "new";
        else novelty ??= "old";
      }
    }
    return novelty;
  }
}

function countAbove(numbers: Iterable<number>, least: number): number {
  let count = 0;
  for (const number of numbers) if (number > least) count++;
  return count;
}

/**
 * How many of `count` numbers are lost at most when a share of them is, but for chance: two standard deviations, and
 * two more.
 */
function mostOf(count: number, share: number): number {
  return share * count + 2 * Math.sqrt(share * count) + 2;
}
