/**
 * Runs seeded worlds in which nodes come and go in several processes, and says what became of them.
 *
 *     npm run churn -- --count 1000               the worlds 1 to 1,000 of each kind but the quiet ones
 *     npm run churn -- --count 100 --from 501     others
 *     npm run churn -- --kind start --count 100   of one kind: unrest, split, quiet, start, hostile or moves
 *     npm run churn -- --hours 1000               quiet worlds that last so many hours in all
 *     npm run churn -- --kind moves --seed 17     one, told line by line
 *     npm run churn -- --jobs 4                   in so many processes: two unless said otherwise
 *     npm run churn -- --bail                     ends when a world fails
 *
 * @module
 */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { CHURN_KINDS, type ChurnKind, type ChurnReport, runChurn } from "../tests/support/churn.ts";
import { HOURS_IN_WORLDS } from "../tests/support/churn_quiet.ts";

/** What a process prints of each world: a line of JSON. */
type Line = ChurnReport | { readonly failed: string; readonly message: string };

const SUMS = ["joins", "leaves", "crashes", "pauses", "partitions", "expired", "datagrams", "ms"] as const;

const SHOWN_FAILURES = 10;
const PROGRESS_MS = 30_000;

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "100" },
    from: { type: "string", default: "1" },
    jobs: { type: "string", default: "2" },
    hours: { type: "string" },
    kind: { type: "string" },
    seed: { type: "string" },
    bail: { type: "boolean", default: false },
    // The process is one of several: it runs each `step`th world.
    step: { type: "string" },
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
if (values.seed !== undefined) await tell(kinds, Number(values.seed));
else if (values.step !== undefined) await work(Number(values.step));
else await lead(Math.min(Number(values.jobs), count));

async function tell([kind = "unrest"]: readonly ChurnKind[], seed: number): Promise<void> {
  try {
    console.log(await runChurn(kind, seed, console.log));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}

async function work(step: number): Promise<void> {
  for (let seed = from; seed < from + count; seed += step) {
    for (const kind of kinds) {
      let line: Line;
      try {
        line = await runChurn(kind, seed);
      } catch (error) {
        line = { failed: `${kind} ${seed}`, message: error instanceof Error ? error.message : String(error) };
      }
      console.log(JSON.stringify(line));
      if (values.bail && "failed" in line) return;
    }
  }
}

async function lead(jobs: number): Promise<void> {
  const totals = {
    worlds: 0,
    ...Object.fromEntries(SUMS.map((name) => [name, 0])) as Record<typeof SUMS[number], number>,
  };
  const slowest = new Map<ChurnKind, { heartbeats: number; seed: number }>();
  const failures: { readonly failed: string; readonly message: string }[] = [];
  const start = performance.now();
  let lastProgress = start;

  function take(line: Line): void {
    totals.worlds++;
    if ("failed" in line) {
      failures.push(line);
      if (failures.length <= SHOWN_FAILURES) console.log(line.message);
    } else {
      for (const name of SUMS) totals[name] += line[name];
      if (line.slowest >= (slowest.get(line.kind)?.heartbeats ?? 0)) {
        slowest.set(line.kind, { heartbeats: Number(line.slowest.toFixed(2)), seed: line.seed });
      }
    }
    if (performance.now() - lastProgress < PROGRESS_MS) return;
    lastProgress = performance.now();
    console.log(`${totals.worlds} of ${count * kinds.length} worlds, ${failures.length} failed`);
  }

  const ends = await Promise.all(Array.from({ length: jobs }, (_, job) => runWorker(job, jobs, take)));
  const seconds = (performance.now() - start) / 1000;
  const { ms, ...shown } = totals;
  const hours = ms / 3_600_000;
  console.log({
    ...shown,
    failed: failures.length,
    slowest: Object.fromEntries(slowest),
    virtualHours: Number(hours.toFixed(2)),
    virtualHoursPerMinute: Number((hours / seconds * 60).toFixed(1)),
    seconds: Math.round(seconds),
    msPerWorld: Number((seconds * 1000 * jobs / Math.max(1, totals.worlds)).toFixed(1)),
  });
  if (failures.length > 0) {
    console.log(`Failed first: ${failures.slice(0, SHOWN_FAILURES).map(({ failed }) => failed).join(", ")}`);
    // "World start 7 at 12 ms: K3: …"
    const problems = failures.map(({ message }) => message.split(": ")[1] ?? "");
    const counts = [...new Set(problems)].map((kind) => `${kind} ${problems.filter((other) => other === kind).length}`);
    console.log(`By property: ${counts.join(", ")}`);
  }
  const all = count * kinds.length;
  if (totals.worlds !== all) console.log(`Only ${totals.worlds} of ${all} worlds have run`);
  process.exitCode = failures.length === 0 && totals.worlds === all && ends.every((end) => end === 0) ? 0 : 1;
}

/** Resolves to the exit code of a process that runs its share of the worlds. */
function runWorker(job: number, jobs: number, take: (line: Line) => void): Promise<number | null> {
  const script = fileURLToPath(import.meta.url);
  const share = ["--from", String(from + job), "--count", String(count - job), "--step", String(jobs)];
  if (kinds.length === 1) share.push("--kind", ...kinds);
  if (values.bail) share.push("--bail");
  const child = spawn(process.execPath, [...process.execArgv, script, ...share], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  createInterface({ input: child.stdout }).on("line", (line) => take(JSON.parse(line) as Line));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code !== 0) console.log(`Process ${job} of ${jobs} ended with ${signal ?? code}`);
      resolve(code);
    });
  });
}
