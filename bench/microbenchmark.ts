/**
 * Microbenchmarks: measures short operations within one process, in turn.
 *
 * @module
 */

import { Bench } from "tinybench";
import { type Figure, figure, type Rounds, type Unit } from "./figures.ts";

/** A microbenchmark within one process. */
export interface Row {
  readonly name: string;
  readonly unit: Unit;
  /** Does the work `times` times. A single time is shorter than a clock can measure. */
  readonly block: () => unknown;
  readonly times: number;
  /** Name of the row that it is compared with. */
  readonly control?: string;
}

const ROUND_MS = 60;

/** Measures rows in turn, round after round, so that a slow phase of the machine affects all of them. */
export async function measure(rows: readonly Row[], quick: boolean): Promise<Figure[]> {
  const rounds = quick ? 3 : 7;
  const values = new Map<string, number[]>();
  for (let round = 0; round <= rounds; round++) {
    const bench = new Bench({ time: quick ? ROUND_MS / 4 : ROUND_MS, iterations: 3, warmup: false, throws: true });
    for (const { name, block } of rows) bench.add(name, block);
    await bench.run();
    // Round 0 is for the compilers.
    if (round === 0) continue;
    for (const { name, times } of rows) {
      const result = bench.getTask(name)?.result;
      if (result === undefined || !("latency" in result)) throw new Error(`${name} was not measured: ${result?.state}`);
      values.set(name, [...(values.get(name) ?? []), (result.latency.p50 * 1e6) / times]);
    }
  }
  const roundsOf = (name: string): Rounds => {
    const row = rows.find((each) => each.name === name);
    if (row === undefined) throw new Error(`There is no row ${name} to compare with`);
    return { name, unit: row.unit, values: values.get(name) ?? [] };
  };
  return rows.map(({ name, control }) => figure(roundsOf(name), control === undefined ? undefined : roundsOf(control)));
}
