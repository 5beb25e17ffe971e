/**
 * Latency benchmark: from `publish` to the callback in another process at several rates, with default options, compared
 * with a bare socket and, on Node, Redis and NATS. At the low rates all buses take turns key by key, at the others
 * round by round.
 *
 * @module
 */

import process from "node:process";
import { machineNow } from "./machine_clock.ts";
import type { BusName } from "./buses/bus.ts";
import { Line } from "./buses/line.ts";
import { type Figure, figure, print } from "./figures.ts";
import { openServers } from "./servers.ts";

const quick = process.argv.includes("--quick");

interface Rate {
  readonly perSecond: number;
  readonly rounds: number;
  readonly ms: number;
  /** Whether all buses are measured in one round, each key in the pauses of the others. */
  readonly atOnce: boolean;
}

// A round is as long as a 99.9th percentile needs, a thousand keys, where that is not too long.
const RATES: readonly Rate[] = quick
  ? [5, 50, 500, 5_000, 50_000].map((perSecond) => ({ perSecond, rounds: 1, ms: 200, atOnce: perSecond <= 50 }))
  : [
    { perSecond: 5, rounds: 2, ms: 7_000, atOnce: true },
    { perSecond: 50, rounds: 3, ms: 3_000, atOnce: true },
    { perSecond: 500, rounds: 3, ms: 2_000, atOnce: false },
    { perSecond: 5_000, rounds: 5, ms: 800, atOnce: false },
    { perSecond: 50_000, rounds: 5, ms: 800, atOnce: false },
  ];
const WARM_UP = { keys: quick ? 200 : 5_000, interval: 0.2 };
// Time between the request and the first key, so that the request is no part of the measurement.
const HEADSTART_MS = 20;
const QUANTILES = { p50: 0, p99: 0, p999: 1_000 } as const;
// The names of buses in figures.
const NAMES: Readonly<Partial<Record<BusName, string>>> = { key: "bare" };

type Times = Readonly<Record<string, number>>;

const servers = await openServers();
const lines = [
  new Line("key"),
  new Line("mesh"),
  ...servers.map(({ broker, server }) => new Line(broker, server)),
];
for (const line of lines) {
  await line.open(1, 1);
  await line.pace(WARM_UP.keys, WARM_UP.interval, machineNow() + HEADSTART_MS);
}
for (const rate of RATES) print(await figuresOf(rate));
await Promise.all(lines.map((line) => line.end()));
await Promise.all(servers.map(({ server }) => server.stop()));

async function figuresOf(rate: Rate): Promise<Figure[]> {
  const interval = 1_000 / rate.perSecond;
  const keys = Math.max(2, Math.round(rate.ms / interval));
  const rounds = new Map<Line, Times[]>(lines.map((line) => [line, []]));
  for (let round = 0; round < rate.rounds; round++) {
    const start = machineNow() + HEADSTART_MS;
    const measure = async (line: Line, i: number) => {
      const begin = rate.atOnce ? start + (i * interval) / lines.length : machineNow() + HEADSTART_MS;
      const { arrived: [arrived] } = await line.pace(keys, interval, begin);
      if (arrived === undefined || arrived.received === 0) throw new Error(`Nothing has come by ${line.bus}`);
      if (arrived.received < keys) {
        console.error(`${line.bus} has lost ${keys - arrived.received} of ${keys} keys at ${rate.perSecond} a second`);
      }
      rounds.get(line)?.push(arrived.times);
    };
    if (rate.atOnce) await Promise.all(lines.map(measure));
    else for (const [i, line] of lines.entries()) await measure(line, i);
  }
  return lines.flatMap((line) =>
    Object.entries(QUANTILES).filter(([, least]) => keys >= least).map(([quantile]) => {
      const of = ({ bus }: Line, times: readonly Times[] = []) => ({
        name: `latency.${rate.perSecond}.${NAMES[bus] ?? bus}.${quantile}`,
        unit: "ms" as const,
        values: times.map((each) => each[quantile] as number),
      });
      const [bare] = lines;
      const control = bare === undefined || line === bare ? undefined : of(bare, rounds.get(bare));
      return { ...figure(of(line, rounds.get(line)), control), samples: keys };
    })
  );
}
