/**
 * Loss ledger: what a receiver got and what publishers had accepted. It checks key by key the promise that every key is
 * delivered or covered by a later gap.
 *
 * @module
 */

/** When the keys of a stream were accepted, in order: how many, and at which millisecond of the system's clock. */
export type Accepted = readonly (readonly [count: number, at: number])[];

/** The result for the keys of all streams. */
export interface Tally {
  /** Keys that were delivered. */
  readonly delivered: number;
  /** Keys that were not delivered, and that a later gap covers. */
  readonly covered: number;
  /** Keys that were neither delivered nor covered: the promise is broken. */
  readonly lost: number;
  /** Some of those. */
  readonly examples: readonly string[];
  /** Keys that were delivered more than once. */
  readonly repeated: number;
  /** Keys that no publisher published. */
  readonly invented: number;
  /** Gap events of the subscription. */
  readonly gaps: number;
}

const EXAMPLES = 5;
const FIRST_SIZE = 65_536;

/** The `index`-th key of a stream: 16 bytes when the stream's name is a letter. */
export function keyOf(stream: string, index: number): string {
  return `${stream}:${String(index).padStart(14, "0")}`;
}

/** Records when keys of a stream are accepted. */
export class AcceptedRuns {
  readonly #runs: [count: number, at: number][] = [];
  #count = 0;

  /** Keys so far. */
  get count(): number {
    return this.#count;
  }

  /** Records a key that was accepted just now. */
  note(): void {
    // This clock is the only one that processes of one machine share.
    const now = Date.now();
    this.#count++;
    const last = this.#runs.at(-1);
    if (last?.[1] === now) last[0]++;
    else this.#runs.push([1, now]);
  }

  all(): Accepted {
    return this.#runs;
  }
}

/** What one subscription to all keys got. */
export class Ledger {
  readonly #seen = new Map<string, Uint8Array>();
  readonly #delivered = new Map<string, number>();
  #repeated = 0;
  #gaps = 0;
  #lastGap = -Infinity;

  /** Gap events so far. */
  get gaps(): number {
    return this.#gaps;
  }

  /** Different keys of `stream` that were delivered so far. */
  delivered(stream: string): number {
    return this.#delivered.get(stream) ?? 0;
  }

  /** Records a delivered key. */
  deliver(key: string): void {
    const colon = key.indexOf(":");
    const stream = key.slice(0, colon);
    const index = Number(key.slice(colon + 1));
    const seen = this.#room(stream, index);
    if ((seen[index] as number) > 0) this.#repeated++;
    else this.#delivered.set(stream, this.delivered(stream) + 1);
    seen[index] = 1;
  }

  /** Records a gap: it covers every key that was accepted before. */
  gap(): void {
    this.#gaps++;
    this.#lastGap = Date.now();
  }

  /** Compares with what was accepted. */
  tally(streams: Readonly<Record<string, Accepted>>): Tally {
    let [delivered, covered, lost, had] = [0, 0, 0, 0];
    const examples: string[] = [];
    for (const [stream, runs] of Object.entries(streams)) {
      const seen = this.#seen.get(stream);
      had += this.delivered(stream);
      let index = 0;
      for (const [count, at] of runs) {
        for (const end = index + count; index < end; index++) {
          if (seen?.[index] === 1) delivered++;
          else if (at <= this.#lastGap) covered++;
          else if (lost++ < EXAMPLES) examples.push(keyOf(stream, index));
        }
      }
    }
    return {
      delivered,
      covered,
      lost,
      examples,
      repeated: this.#repeated,
      invented: had - delivered,
      gaps: this.#gaps,
    };
  }

  #room(stream: string, index: number): Uint8Array {
    const seen = this.#seen.get(stream) ?? new Uint8Array(FIRST_SIZE);
    if (index < seen.length && this.#seen.has(stream)) return seen;
    let size = seen.length;
    while (size <= index) size *= 2;
    const larger = new Uint8Array(size);
    larger.set(seen);
    this.#seen.set(stream, larger);
    return larger;
  }
}
