/**
 * Runs seeded worlds in several processes, and reports the results: the common part of `worlds.ts` and `churn.ts`.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** Options of the command line, for `parseArgs`. */
export const WORLD_OPTIONS = {
  from: { type: "string", default: "1" },
  jobs: { type: "string", default: "2" },
  seed: { type: "string" },
  bail: { type: "boolean", default: false },
  // The process is one of several: it runs every `step`th seed.
  step: { type: "string" },
} as const;

/** The values that `parseArgs` makes of {@linkcode WORLD_OPTIONS}. */
export interface WorldValues {
  readonly jobs: string;
  readonly seed?: string | undefined;
  readonly bail: boolean;
  readonly step?: string | undefined;
}

/** A world in which a property does not hold. */
export interface Failure<Kind> {
  readonly failed: Kind;
  readonly seed: number;
  readonly message: string;
}

interface Timed {
  /** Virtual time. */
  readonly ms: number;
}

/** The worlds that a script runs, and how it reports them. */
export interface Worlds<Kind extends string, Report extends Timed> {
  /** URL of the script: the worker processes run it, too. */
  readonly script: string;
  /** Arguments of the processes besides {@linkcode WORLD_OPTIONS} and `--count`. */
  readonly args?: readonly string[];
  /** The first seed, and how many there are. */
  readonly from: number;
  readonly count: number;
  /** Each seed has a world of each kind. */
  readonly kinds: readonly Kind[];
  /** Runs a world to its end. Rejects when a property does not hold. */
  run(kind: Kind, seed: number, trace?: (line: string) => void): Promise<Report>;
  /** The figures of the reports that are summed, in the order of the summary. */
  readonly sums: readonly (keyof Report & string)[];
  /** Gets each report. */
  note?(report: Report): void;
  /** More for the summary: `hours` of virtual time have taken `seconds`. */
  summary(hours: number, seconds: number): object;
  /**
   * Orders the names of failed worlds for the report, first those to be shown first; they come in the order of their
   * ends.
   */
  names(failures: readonly Failure<Kind>[]): readonly string[];
  /** Gets a line for each process that has not ended well. */
  ended?(line: string): void;
}

const SHOWN_FAILURES = 10;
const PROGRESS_MS = 30_000;

/** Runs one world, a share of them or all, as the command line says. Sets the exit code. */
export async function runWorlds<Kind extends string, Report extends Timed>(
  worlds: Worlds<Kind, Report>,
  { seed, step, jobs, bail }: WorldValues,
): Promise<void> {
  if (seed !== undefined) await tell(worlds, Number(seed));
  else if (step !== undefined) await work(worlds, Number(step), bail);
  else await lead(worlds, Math.min(Number(jobs), worlds.count), bail);
}

async function tell<Kind extends string, Report extends Timed>(
  { kinds, run }: Worlds<Kind, Report>,
  seed: number,
): Promise<void> {
  try {
    console.log(await run(kinds[0] as Kind, seed, console.log));
  } catch (error) {
    console.error(messageOf(error));
    process.exitCode = 1;
  }
}

/** Prints a line of JSON for each world. */
async function work<Kind extends string, Report extends Timed>(
  { kinds, from, count, run }: Worlds<Kind, Report>,
  step: number,
  bail: boolean,
): Promise<void> {
  for (let seed = from; seed < from + count; seed += step) {
    for (const kind of kinds) {
      const line = await run(kind, seed).catch((error) => ({ failed: kind, seed, message: messageOf(error) }));
      console.log(JSON.stringify(line));
      if (bail && "failed" in line) return;
    }
  }
}

async function lead<Kind extends string, Report extends Timed>(
  worlds: Worlds<Kind, Report>,
  jobs: number,
  bail: boolean,
): Promise<void> {
  const { from, count, sums, ended, args = [] } = worlds;
  const all = count * worlds.kinds.length;
  const totals = Object.fromEntries(sums.map((name) => [name, 0]));
  const failures: Failure<Kind>[] = [];
  const start = performance.now();
  let lastProgress = start;
  let done = 0;
  let ms = 0;

  function take(line: Report | Failure<Kind>): void {
    done++;
    if ("failed" in line) {
      failures.push(line);
      if (failures.length <= SHOWN_FAILURES) console.log(line.message);
    } else {
      ms += line.ms;
      for (const name of sums) totals[name] = (totals[name] ?? 0) + Number(line[name]);
      worlds.note?.(line);
    }
    if (performance.now() - lastProgress < PROGRESS_MS) return;
    lastProgress = performance.now();
    console.log(`${done} of ${all} worlds, ${failures.length} failed`);
  }

  /** Resolves to the exit code of a process that runs its share of the worlds. */
  function runWorker(job: number): Promise<number | null> {
    const share = ["--from", `${from + job}`, "--count", `${count - job}`, "--step", `${jobs}`, ...args];
    if (bail) share.push("--bail");
    const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(worlds.script), ...share], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    createInterface({ input: child.stdout }).on("line", (line) => take(JSON.parse(line)));
    return new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) => {
        if (code !== 0) ended?.(`Process ${job} of ${jobs} ended with ${signal ?? code}`);
        resolve(code);
      });
    });
  }

  const ends = await Promise.all(Array.from({ length: jobs }, (_, job) => runWorker(job)));
  const seconds = (performance.now() - start) / 1000;
  console.log({
    worlds: done,
    ...totals,
    failed: failures.length,
    ...worlds.summary(ms / 3_600_000, seconds),
    seconds: Math.round(seconds),
    msPerWorld: Number((seconds * 1000 * jobs / Math.max(1, done)).toFixed(1)),
  });
  if (failures.length > 0) {
    console.log(`Failed first: ${worlds.names(failures).slice(0, SHOWN_FAILURES).join(", ")}`);
    // "World 7 at 12 ms: P3: …"
    const problems = failures.map(({ message }) => message.split(": ")[1] ?? "");
    const counts = [...new Set(problems)].map((kind) => `${kind} ${problems.filter((other) => other === kind).length}`);
    console.log(`By property: ${counts.join(", ")}`);
  }
  if (done !== all) console.log(`Only ${done} of ${all} worlds have run`);
  process.exitCode = failures.length === 0 && done === all && ends.every((end) => end === 0) ? 0 : 1;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
