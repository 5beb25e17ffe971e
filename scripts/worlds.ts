/**
 * Runs seeded worlds in several processes, and reports the results.
 *
 *     npm run worlds -- --count 100000            the worlds 1 to 100,000
 *     npm run worlds -- --count 1000 --from 5001  others
 *     npm run worlds -- --seed 4711               one, with a trace
 *     npm run worlds -- --jobs 4                  in so many processes: two unless said otherwise
 *     npm run worlds -- --bail                    ends when a world fails
 *     npm run worlds -- --without P14,P16         does not look at these properties
 *
 * @module
 */

import { parseArgs } from "node:util";
import { runStorm, type StormReport } from "../tests/sim/storm/storm.ts";
import type { WorldKind } from "../tests/sim/storm/plan.ts";
import { runWorlds, WORLD_OPTIONS } from "./world_workers.ts";

const { values } = parseArgs({
  options: { ...WORLD_OPTIONS, count: { type: "string", default: "1000" }, without: { type: "string" } },
});

const count = Number(values.count);
const from = Number(values.from);
if (!(Number.isInteger(count) && count > 0 && Number.isInteger(from))) {
  throw new RangeError(
    `Cannot run worlds as \`--count\` and \`--from\` must be integers from 1: they are ${values.count} and ${values.from}`,
  );
}

const kinds = new Map<WorldKind, number>();

await runWorlds<"storm", StormReport>({
  script: import.meta.url,
  from,
  count,
  kinds: ["storm"],
  args: values.without === undefined ? [] : ["--without", values.without],
  run: (_, seed, trace) => runStorm(seed, { trace, without: values.without?.split(",") }),
  sums: [
    "calm",
    "keys",
    "events",
    "overwritten",
    "lost",
    "left",
    "late",
    "missing",
    "recovered",
    "confirmed",
    "refused",
    "reached",
    "unreached",
    "datagrams",
  ],
  note: ({ kind }) => kinds.set(kind, (kinds.get(kind) ?? 0) + 1),
  summary: (hours, seconds) => ({
    ...Object.fromEntries(kinds),
    virtualHours: Number(hours.toFixed(2)),
    secondsPer1000: Number((seconds * 1000 / count).toFixed(1)),
  }),
  names: (failures) => failures.map(({ seed }) => seed).sort((a, b) => a - b).map(String),
}, values);
