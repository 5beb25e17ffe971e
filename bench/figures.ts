/**
 * Figures: sums up the rounds of a measurement.
 *
 * @module
 */

/** A measured quantity: the median of several rounds, with the extremes and, if there is one, its control. */
export interface Figure {
  /** `group.what`, the same on every runtime. */
  readonly name: string;
  readonly unit: Unit;
  /** Median of the rounds. */
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly rounds: number;
  /** Name of the figure that it is compared with, measured in the same rounds. */
  readonly control?: string;
  /** Median of the rounds' ratios of value to control. It varies less than the value when the machine is busy. */
  readonly ratio?: number;
  /** Number of single measurements in a round, where the value is a quantile of them. */
  readonly samples?: number;
}

/** `share` is from 0 to 1. A nanosecond a key is a millisecond per million keys. */
export type Unit =
  | "ns/key"
  | "ns/call"
  | "ms/Mkey"
  | "keys/s"
  | "ms"
  | "share"
  | "bytes";

/** The values of one figure, one a round. */
export interface Rounds {
  readonly name: string;
  readonly unit: Unit;
  readonly values: readonly number[];
}

/** Summarizes rounds. `control` has as many, measured in turn with these. */
export function figure(rounds: Rounds, control?: Rounds): Figure {
  const { name, unit, values } = rounds;
  if (!values.every(Number.isFinite)) throw new Error(`${name} must be finite in every round: it was ${values}`);
  const summary = {
    name,
    unit,
    value: quantile(values, 0.5),
    low: quantile(values, 0),
    high: quantile(values, 1),
    rounds: values.length,
  };
  if (control === undefined) return summary;
  const ratios = values.map((value, i) => value / (control.values[i] as number));
  return { ...summary, control: control.name, ratio: quantile(ratios, 0.5) };
}

/** The value that a share `q` of the values does not exceed, interpolated between two neighbours. */
export function quantile(values: Iterable<number>, q: number): number {
  const sorted = Float64Array.from(values).sort();
  const position = q * (sorted.length - 1);
  const below = sorted[Math.floor(position)] ?? NaN;
  const above = sorted[Math.ceil(position)] ?? NaN;
  return below + (above - below) * (position - Math.floor(position));
}

/** Prints figures as a group does, one JSON text a line. */
export function print(figures: Iterable<Figure>): void {
  for (const each of figures) console.log(JSON.stringify(each));
}
