import type { Figure } from "./figures.ts";

/** What a figure has to reach. */
export interface Target {
  /** `runtime/figure`. */
  readonly figure: string;
  readonly atMost?: number;
  readonly atLeast?: number;
}

const RUNTIMES = ["node", "deno", "bun"] as const;

/** What the project set itself. */
export const TARGETS: readonly Target[] = [
  // Twice what the original takes for it on a machine of its authors.
  { figure: "node/publish.pending", atMost: 2 * 28.6 },
  { figure: "node/throughput.held.prefix.delivered", atLeast: 2_000_000 },
  { figure: "node/latency.mesh.p50", atMost: 1 },
  { figure: "deno/latency.mesh.p50", atMost: 1 },
  { figure: "bun/latency.mesh.p50", atMost: 1 },
  { figure: "node/size.gzipped", atMost: 27_500 },
  { figure: "node/fullspeed.unicast.delivered", atLeast: 1_500_000 },
  { figure: "node/extension.batch", atMost: 24 },
  ...RUNTIMES.flatMap((runtime) => [
    { figure: `${runtime}/fullspeed.unicast.loss`, atMost: 0 },
    { figure: `${runtime}/fullspeed.both.loss`, atMost: 0 },
    { figure: `${runtime}/repair.hole.p99`, atMost: 50 },
    { figure: `${runtime}/repair.tail.noticed.max`, atMost: 250 },
    { figure: `${runtime}/drop.lost`, atMost: 0 },
    { figure: `${runtime}/drop.covered`, atMost: 0.001 },
    { figure: `${runtime}/silent.cpu`, atMost: 0.01 },
    { figure: `${runtime}/silent.rss`, atMost: 20_000_000 },
  ]),
];

/** Whether a figure reaches what it has to. */
export function isMet({ atMost = Infinity, atLeast = -Infinity }: Target, { value }: Figure): boolean {
  return value <= atMost && value >= atLeast;
}
