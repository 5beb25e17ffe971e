/**
 * Targets: the limits that the figures have to meet.
 *
 * @module
 */

import type { Figures } from "./bench_document.ts";

/** A limit that a figure has to meet. */
export interface Target {
  /** `runtime/figure`. */
  readonly figure: string;
  readonly atMost?: number;
  readonly atLeast?: number;
  /** The limit is a multiple of this figure, `runtime/figure`. */
  readonly of?: string;
}

/** A target that was measured. */
export interface Outcome extends Target {
  readonly value: number;
  readonly met: boolean;
}

const RUNTIMES = ["node", "deno", "bun"] as const;
const RATES = [5, 50, 500, 5_000, 50_000] as const;

/** The targets that the project set itself. */
export const TARGETS: readonly Target[] = [
  ...RATES.flatMap((rate) =>
    ["p50", "p99"].flatMap((quantile) =>
      ["redis", "nats"].map((broker) => ({
        figure: `node/latency.${rate}.mesh.${quantile}`,
        atMost: 1,
        of: `node/latency.${rate}.${broker}.${quantile}`,
      }))
    )
  ),
  ...RATES.flatMap((rate) =>
    ["deno", "bun"].map((runtime) => ({
      figure: `${runtime}/latency.${rate}.mesh.p50`,
      atMost: 1.5,
      of: `node/latency.${rate}.mesh.p50`,
    }))
  ),
  // Twice what go-warp takes for it on a machine of its authors.
  { figure: "node/publish.pending", atMost: 2 * 28.6 },
  { figure: "node/throughput.1to1.filled.keys", atLeast: 1_500_000 },
  { figure: "node/awaited.latency.mesh.p50", atMost: 1.5, of: "node/awaited.latency.trip.p50" },
  { figure: "node/awaited.latency.mesh.p99", atMost: 10 },
  { figure: "node/awaited.throughput.mesh.keys", atLeast: 20_000 },
  { figure: "node/awaited.throughput.mesh.keys", atLeast: 2, of: "node/awaited.throughput.redis.keys" },
  { figure: "node/size.gzipped", atMost: 27_500 },
  { figure: "node/extension.batch", atMost: 24 },
  ...RUNTIMES.flatMap((runtime) => [
    { figure: `${runtime}/idle.mesh.p50`, atMost: 1 },
    { figure: `${runtime}/idle.mesh.p50`, atMost: 1.5, of: `${runtime}/idle.bare.p50` },
    { figure: `${runtime}/throughput.1to1.exact.keys`, atLeast: 0.6, of: `${runtime}/throughput.1to1.filled.keys` },
    ...["1to1", "1to4", "4to4"].flatMap((way) =>
      ["mesh", "filled"].map((bus) => ({ figure: `${runtime}/throughput.${way}.${bus}.lost`, atMost: 0 }))
    ),
    { figure: `${runtime}/throughput.1to1.exact.lost`, atMost: 0 },
    { figure: `${runtime}/repair.5.hole.p99`, atMost: 50 },
    { figure: `${runtime}/repair.5.tail.noticed.max`, atMost: 250 },
    { figure: `${runtime}/drop.lost`, atMost: 0 },
    { figure: `${runtime}/drop.covered`, atMost: 0.001 },
    { figure: `${runtime}/silent.cpu`, atMost: 0.01 },
    { figure: `${runtime}/silent.rss`, atMost: 20_000_000 },
  ]),
];

/** The outcomes of those targets whose figures were measured. */
export function outcomes(targets: readonly Target[], figures: Figures): Outcome[] {
  return targets.flatMap((target) => {
    const { figure, atMost = Infinity, atLeast = -Infinity, of } = target;
    const value = figures[figure]?.value;
    const unit = of === undefined ? 1 : figures[of]?.value;
    if (value === undefined || unit === undefined) return [];
    return [{ ...target, value, met: value <= atMost * unit && value >= atLeast * unit }];
  });
}
