/**
 * Runs seeded worlds of churn in several processes, and reports the results.
 *
 *     npm run churn -- --count 1000               the worlds 1 to 1,000 of each kind but the quiet ones
 *     npm run churn -- --count 100 --from 501     others
 *     npm run churn -- --kind start --count 100   of one kind: unrest, split, quiet, start, hostile or moves
 *     npm run churn -- --hours 1000               quiet worlds that last so many hours in all
 *     npm run churn -- --kind moves --seed 17     one, with a trace
 *     npm run churn -- --jobs 4                   in so many processes: two unless said otherwise
 *     npm run churn -- --bail                     ends when a world fails
 *
 * @module
 */

import { parseArgs } from "node:util";
import { CHURN_KINDS, type ChurnKind, runChurn } from "../tests/sim/churn/churn.ts";
import { HOURS_IN_WORLDS } from "../tests/sim/churn/quiet.ts";
import { runWorlds, WORLD_OPTIONS } from "./world_workers.ts";

const { values } = parseArgs({
  options: {
    ...WORLD_OPTIONS,
    count: { type: "string", default: "100" },
    hours: { type: "string" },
    kind: { type: "string" },
  },
});

const kinds = CHURN_KINDS.filter((kind) => {
  if (values.kind !== undefined) return kind === values.kind;
  return (kind === "quiet") === (values.hours !== undefined);
});
const count = values.hours === undefined ? Number(values.count) : Math.ceil(Number(values.hours) / HOURS_IN_WORLDS);
const from = Number(values.from);
if (kinds.length === 0) {
  throw new TypeError(
    `Cannot run worlds as \`--kind\` must be one of ${CHURN_KINDS.join(", ")}: current value is ${values.kind}`,
  );
}
if (!(Number.isInteger(count) && count > 0 && Number.isInteger(from) && from > 0)) {
  throw new RangeError(
    `Cannot run worlds as \`--count\`, \`--hours\` and \`--from\` must be integers from 1: ` +
      `they are ${values.count}, ${values.hours} and ${values.from}`,
  );
}

const slowest = new Map<ChurnKind, { heartbeats: number; seed: number }>();

await runWorlds({
  script: import.meta.url,
  args: kinds.length === 1 ? ["--kind", ...kinds] : [],
  from,
  count,
  kinds,
  run: runChurn,
  sums: ["joins", "leaves", "crashes", "pauses", "partitions", "expired", "datagrams"],
  note: ({ kind, seed, slowest: heartbeats }) => {
    if (heartbeats < (slowest.get(kind)?.heartbeats ?? 0)) return;
    slowest.set(kind, { heartbeats: Number(heartbeats.toFixed(2)), seed });
  },
  summary: (hours, seconds) => ({
    slowest: Object.fromEntries(slowest),
    virtualHours: Number(hours.toFixed(2)),
    virtualHoursPerMinute: Number((hours / seconds * 60).toFixed(1)),
  }),
  names: (failures) => failures.map(({ failed, seed }) => `${failed} ${seed}`),
  ended: console.log,
}, values);
