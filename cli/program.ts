/**
 * Command-line program: runs the command that the arguments name, and returns its exit code.
 *
 * @module
 */

import { systemClock } from "../adapters/system.ts";
import { readArguments, USAGE, UsageError } from "./arguments.ts";
import { type DoctorReport, type Examination, examine } from "./doctor.ts";
import { inFlags } from "./option_flags.ts";
import { Progress } from "./progress.ts";
import { coloured, plain, render } from "./render.ts";
import { VERSION } from "./version.ts";

/** Where the program writes, and what aborts it. */
export interface Surroundings {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly hasColours: boolean;
  /** Whether somebody waits at a terminal, and is shown the progress. */
  readonly isWatched?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Exit codes. */
const OK = 0;
const FOUND = 1;
const MISUSE = 2;

/**
 * Runs the command. Resolves with the exit code: 0, 1 when a finding is an error, or with `--strict` a warning, 2 for
 * wrong arguments. Rejects with the reason of `signal` when it aborts.
 */
export async function program(
  args: readonly string[],
  { out, err, hasColours, isWatched = false, signal }: Surroundings,
): Promise<number> {
  try {
    const call = readArguments(args);
    if (call.do !== "doctor") {
      out(call.do === "help" ? USAGE : `${VERSION}\n`);
      return OK;
    }
    const report = await examineBefore(isWatched && !call.isJson ? err : undefined, { ...call, signal });
    out(call.isJson ? `${JSON.stringify(report, null, 2)}\n` : render(report, hasColours ? coloured : plain));
    return isWell(report, call.isStrict) ? OK : FOUND;
  } catch (error) {
    if (!(error instanceof UsageError) || signal?.aborted) throw error;
    // What the mesh refuses is the value of an option, and not an unknown option.
    err(`${inFlags(error.message)}\n${error.cause === undefined ? "--help lists the options\n" : ""}`);
    return MISUSE;
  }
}

/** Examines the mesh, and shows the progress if `err` is given. */
async function examineBefore(
  err: ((text: string) => void) | undefined,
  examination: Examination,
): Promise<DoctorReport> {
  const progress = err && new Progress(err, systemClock);
  try {
    return await examine({ ...examination, progress });
  } finally {
    progress?.end();
  }
}

function isWell({ ok, findings }: DoctorReport, isStrict: boolean): boolean {
  return isStrict ? findings.every(({ severity }) => severity === "info") : ok;
}
