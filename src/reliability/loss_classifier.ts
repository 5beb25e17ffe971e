/**
 * Which losses mean that a node sends too fast: `docs/wire.md`, "Pace".
 *
 * @module
 */

import type { NumberRange } from "../wire/extension.ts";

/** Of how many numbers up to the last that a peer has asked for those are counted that it has asked for. */
const WINDOW = 512;
/** The share of losses that is no sign of congestion at any rate: radio, and poor cables, lose that much. */
const TOLERATED = 0.05;
/** The share from which on the rate does not rise, unless a peer loses more at the lowest rate. */
const USUAL = 0.025;
/**
 * Highest share that is taken for a property of the path when it is there at the lowest rate as well. With more than that
 * lost, as many repairs as batches are lost on the way, and what a node keeps for repair would be overrun.
 */
const MAX_USUAL = 0.15;
/** By how much more than at the lowest rate a peer may lose: what is above that has come with the rate. */
const EXCESS = 1.25;
/** After the rate has fallen it does not rise before so many more are sent, unless none of them is lost. */
const PROBATION = 200;
/** Least numbers that say how much arrives of all: of the first few, all may be lost in a burst. */
const LEAST = 128;
/** Falls of the rate that are remembered. All that was sent before the oldest is taken to be sent at one rate. */
const MAX_FALLS = 16;
/** Peers that are measured at a time, at most. The one that has asked longest ago gives way. */
const MAX_PEERS = 1024;

/** What the losses of a peer mean for the rate. */
export interface LossVerdict {
  /** Nothing, that it should not rise, or that it has to fall. */
  readonly loss: "usual" | "high" | "congestion";
  /** How much arrived a second of what was sent before the rate fell, when the losses tell of that; 0 for nothing. */
  readonly carried?: number;
  /** Whether all of it was asked for before: then it is repairs that are lost. */
  readonly isAgain?: boolean;
}

const NOTHING: LossVerdict = { loss: "usual" };

/** What one peer has asked for. */
interface Measured {
  /** The highest number. */
  highest: number;
  /** Those of the last {@linkcode WINDOW} numbers up to there: each once, however often they were asked for. */
  readonly asked: Set<number>;
  /** What it loses at the lowest rate, as a share. */
  usual: number;
}

/**
 * Numbers are what is counted, not time: of those between two that a peer asks for, all others have arrived, whenever they
 * were sent and however long the request took. Every peer is measured by itself: that each of a hundred loses one in fifty
 * is no congestion, though there is hardly a datagram then that nobody asks for.
 */
export class LossClassifier {
  readonly #peers = new Map<string, Measured>();
  /** When the rate has fallen, from the oldest on: the last number that was sent before, and the rate until then. */
  readonly #falls: { readonly last: number; readonly rate: number }[] = [];

  /** A peer asks for numbers, of which `last` is the newest that was sent; `isSlow` when a much lower rate is not allowed. */
  note(id: string, ranges: readonly NumberRange[], last: number, isSlow: boolean): LossVerdict {
    const peer = this.#peers.get(id) ?? { highest: 0, asked: new Set<number>(), usual: USUAL };
    // In the order in which they have asked last.
    this.#peers.delete(id);
    this.#peers.set(id, peer);
    if (this.#peers.size > MAX_PEERS) { for (const oldest of this.#peers.keys()) return this.#drop(oldest); }
    const news = this.#count(peer, ranges, last);
    const { asked, highest } = peer;
    // What was sent at one rate is measured.
    const index = this.#falls.findIndex((fall) => fall.last >= highest);
    const fall = this.#falls[index];
    const since = (fall === undefined ? this.#falls.at(-1) : this.#falls[index - 1])?.last ?? 0;
    const count = Math.min(WINDOW, highest - since);
    const lost = countAbove(asked, since);
    const isCongested = lost > mostOf(count, Math.max(TOLERATED, EXCESS * peer.usual));
    if (news === undefined) return isCongested ? { loss: "high", carried: 0, isAgain: true } : NOTHING;
    if (news === "old") {
      if (fall === undefined || !isCongested) return { loss: "high" };
      // When nothing at all has arrived, the peer stood still: that says nothing of the path.
      if (lost === WINDOW) return { loss: "high", carried: 0 };
      // Who is behind asks for what is old first.
      return { loss: "congestion", carried: fall.rate * (1 - lost / Math.max(count, LEAST)) };
    }
    const share = lost / count;
    const isWhole = count === WINDOW;
    // It is a property of the path, or is one no more.
    if (isWhole && (isSlow && share <= MAX_USUAL || share < peer.usual / 2)) peer.usual = Math.max(USUAL, share);
    if (isCongested) return { loss: "congestion" };
    const isOnProbation = since > 0 && count < PROBATION;
    return isOnProbation || lost > mostOf(count, peer.usual) ? { loss: "high" } : NOTHING;
  }

  /** The rate has fallen from `rate`: what was sent up to the number `last` says nothing of the new one. */
  restart(last: number, rate: number): void {
    if (this.#falls.push({ last, rate }) > MAX_FALLS) this.#falls.shift();
  }

  /** A peer is gone. */
  forget(id: string): void {
    this.#peers.delete(id);
  }

  #drop(id: string): LossVerdict {
    this.#peers.delete(id);
    return NOTHING;
  }

  /** Whether any of it was not asked for before, and was sent at the present rate, or at least at the one before. */
  #count(peer: Measured, ranges: readonly NumberRange[], last: number): "new" | "old" | undefined {
    const { asked } = peer;
    const before = peer.highest;
    for (const { to } of ranges) peer.highest = Math.max(peer.highest, Math.min(to, last));
    const from = Math.max(0, peer.highest - WINDOW) + 1;
    if (peer.highest > before) { for (const number of asked) if (number < from) asked.delete(number); }
    const since = this.#falls.at(-1)?.last ?? 0;
    let news: "new" | "old" | undefined;
    for (const range of ranges) {
      for (let number = Math.max(from, range.from); number <= Math.min(range.to, last); number++) {
        if (asked.has(number)) continue;
        asked.add(number);
        if (number > since) news = "new";
        else news ??= "old";
      }
    }
    return news;
  }
}

function countAbove(numbers: Iterable<number>, least: number): number {
  let count = 0;
  for (const number of numbers) if (number > least) count++;
  return count;
}

/** How many of `count` are lost at most when a share of them is, but for chance: two standard deviations, and two more. */
function mostOf(count: number, share: number): number {
  return share * count + 2 * Math.sqrt(share * count) + 2;
}
