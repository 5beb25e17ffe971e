/**
 * Runs seeded worlds in several processes, and says what became of them.
 *
 *     npm run worlds -- --count 100000            the worlds 1 to 100,000
 *     npm run worlds -- --count 1000 --from 5001  others
 *     npm run worlds -- --seed 4711               one, told line by line
 *     npm run worlds -- --jobs 4                  in so many processes: two unless said otherwise
 *     npm run worlds -- --bail                    ends when a world fails
 *
 * @module
 */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { runStorm, type StormReport } from "../tests/support/storm.ts";

/** What a process prints of each world: a line of JSON. */
type Line = StormReport | { readonly failed: number; readonly message: string };

const SUMS = ["keys", "events", "overwritten", "lost", "left", "missing", "repaired", "datagrams", "ms"] as const;
type Sums = Record<typeof SUMS[number], number>;

const SHOWN_FAILURES = 10;
const PROGRESS_MS = 30_000;

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    jobs: { type: "string", default: "2" },
    seed: { type: "string" },
    bail: { type: "boolean", default: false },
    // The process is one of several: it runs each `step`th world.
    step: { type: "string" },
  },
});

const count = Number(values.count);
const from = Number(values.from);
if (!(Number.isInteger(count) && count > 0 && Number.isInteger(from))) {
  throw new RangeError(
    `Cannot run worlds as \`--count\` and \`--from\` must be integers from 1: they are ${values.count} and ${values.from}`,
  );
}
if (values.seed !== undefined) await tell(Number(values.seed));
else if (values.step !== undefined) await work(Number(values.step));
else await lead(Math.min(Number(values.jobs), count));

async function tell(seed: number): Promise<void> {
  try {
    console.log(await runStorm(seed, console.log));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}

async function work(step: number): Promise<void> {
  for (let seed = from; seed < from + count; seed += step) {
    let line: Line;
    try {
      line = await runStorm(seed);
    } catch (error) {
      line = { failed: seed, message: error instanceof Error ? error.message : String(error) };
    }
    console.log(JSON.stringify(line));
    if (values.bail && "failed" in line) return;
  }
}

async function lead(jobs: number): Promise<void> {
  const totals = { worlds: 0, calm: 0, ...Object.fromEntries(SUMS.map((name) => [name, 0])) as Sums };
  const failures: { readonly failed: number; readonly message: string }[] = [];
  const start = performance.now();
  let lastProgress = start;

  function take(line: Line): void {
    totals.worlds++;
    if ("failed" in line) {
      failures.push(line);
      if (failures.length <= SHOWN_FAILURES) console.log(line.message);
    } else {
      totals.calm += line.calm ? 1 : 0;
      for (const name of SUMS) totals[name] += line[name];
    }
    if (performance.now() - lastProgress < PROGRESS_MS) return;
    lastProgress = performance.now();
    console.log(`${totals.worlds} of ${count} worlds, ${failures.length} failed`);
  }

  const ends = await Promise.all(Array.from({ length: jobs }, (_, job) => runWorker(job, jobs, take)));
  const seconds = (performance.now() - start) / 1000;
  const { ms, ...shown } = totals;
  console.log({
    ...shown,
    failed: failures.length,
    virtualHours: Number((ms / 3_600_000).toFixed(2)),
    seconds: Math.round(seconds),
    msPerWorld: Number((seconds * 1000 * jobs / Math.max(1, totals.worlds)).toFixed(1)),
  });
  if (failures.length > 0) {
    const seeds = failures.map(({ failed }) => failed).sort((a, b) => a - b).slice(0, SHOWN_FAILURES);
    console.log(`Failed first: ${seeds.join(", ")}`);
    // "World 7 at 12 ms: P3: …"
    const kinds = failures.map(({ message }) => message.split(": ")[1] ?? "");
    const counts = [...new Set(kinds)].map((kind) => `${kind} ${kinds.filter((other) => other === kind).length}`);
    console.log(`By property: ${counts.join(", ")}`);
  }
  if (totals.worlds !== count) console.log(`Only ${totals.worlds} of ${count} worlds have run`);
  process.exitCode = failures.length === 0 && totals.worlds === count && ends.every((end) => end === 0) ? 0 : 1;
}

/** Resolves to the exit code of a process that runs its share of the worlds. */
function runWorker(job: number, jobs: number, take: (line: Line) => void): Promise<number | null> {
  const script = fileURLToPath(import.meta.url);
  const share = ["--from", String(from + job), "--count", String(count - job), "--step", String(jobs)];
  if (values.bail) share.push("--bail");
  const child = spawn(process.execPath, [...process.execArgv, script, ...share], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  createInterface({ input: child.stdout }).on("line", (line) => take(JSON.parse(line) as Line));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
}
