/**
 * Charts of `docs/performance.md`: which figures they show.
 *
 * @module
 */

import { barChart, lineChart, type Series } from "./svg_chart.ts";
import type { BenchDocument } from "./bench_document.ts";
import { amount } from "./report.ts";
import { TOPOLOGIES } from "./topologies.ts";

const RATES = [5, 50, 500, 5_000, 50_000];
const BUSES = [
  { bus: "mesh", name: "this mesh", color: "#3b82f6" },
  { bus: "redis", name: "Redis", color: "#e05d44" },
  { bus: "nats", name: "NATS", color: "#2da44e" },
  { bus: "bare", name: "bare socket", color: "#8b949e" },
] as const;
const THROUGHPUT = [
  { bus: "filled", name: "mesh, set up for it", color: "#3b82f6" },
  { bus: "mesh", name: "mesh, by default", color: "#6ea8fe" },
  { bus: "redis", name: "Redis", color: "#e05d44" },
  { bus: "nats", name: "NATS", color: "#2da44e" },
  { bus: "loop", name: "bare loop", color: "#8b949e" },
] as const;

/** Latency by rate on Node; `undefined` when it was not measured. */
export function latencyChart({ figures, versions }: BenchDocument): string | undefined {
  const series = BUSES.flatMap(({ bus, name, color }): Series[] => {
    const points = (quantile: string) =>
      RATES.flatMap((rate): [number, number][] => {
        const found = figures[`node/latency.${rate}.${bus}.${quantile}`];
        return found === undefined ? [] : [[rate, found.value]];
      });
    if (points("p50").length === 0) return [];
    return [{ name, color, points: points("p50") }, { name, color, faint: true, points: points("p99") }];
  });
  if (series.length === 0) return undefined;
  const title = `From publish to callback, Node ${versions["node"]}: median, and broken the 99th percentile`;
  const described = series.filter(({ faint }) => !faint).map(({ name, points }) =>
    `${name} ${points.map(([rate, ms]) => `${amount(ms, "ms")} at ${rate}`).join(", ")}`
  );
  const description = `Medians in milliseconds by keys a second: ${described.join("; ")}.`;
  return lineChart({ title, description }, { x: "keys a second", y: "ms", ticks: RATES }, series);
}

/** Keys a second on Node; `undefined` when they were not measured. */
export function throughputChart({ figures, versions }: BenchDocument): string | undefined {
  const groups = TOPOLOGIES.map(({ name: topology, publishers, subscribers }) => ({
    name: `${publishers} to ${subscribers}`,
    bars: THROUGHPUT.flatMap(({ bus, name, color }) => {
      const found = figures[`node/throughput.${topology}.${bus}.keys`];
      return found === undefined ? [] : [{ name, color, value: found.value, low: found.low, high: found.high }];
    }),
  }));
  if (groups.every(({ bars }) => bars.length === 0)) return undefined;
  const title = `Keys a second that each subscriber gets, Node ${
    versions["node"]
  }: median, and the extremes of the rounds`;
  const described = groups.map(({ name, bars }) =>
    `${name}: ${bars.map((bar) => `${bar.name} ${amount(bar.value, "keys/s")}`).join(", ")}`
  );
  return barChart({ title, description: `${described.join("; ")}.` }, groups, (value) => amount(value, "keys/s"));
}
