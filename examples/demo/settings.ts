/**
 * Settings: the options of the demo, read from the command line.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { type Runtime, RUNTIMES } from "./replica_process.ts";

/** The options in words. */
export const USAGE = `Usage: npm start -- [--rounds <count>] [--bound <ms>] [--deaf <runtime>] [--crash <runtime>]

  --rounds <count>   how often a user is changed                                 (12)
  --bound <ms>       time after which no replica may serve the old value         (250)
  --deaf <runtime>   the replica that leaves the subscription out                (none)
  --crash <runtime>  the replica that is killed after the first round;           (none)
                     the demo then fails, and leaves no process behind
  --help, -h         print this

A runtime is one of ${RUNTIMES.join(", ")}.`;

/** How the demo is run. */
export interface Settings {
  /** How often a user is changed. */
  readonly rounds: number;
  /** Time after which no replica may serve the old value, in milliseconds. */
  readonly bound: number;
  /** The replica that leaves the subscription out. */
  readonly deaf: Runtime | undefined;
  /** The replica that is killed after the first round. */
  readonly crash: Runtime | undefined;
}

/**
 * Reads the command line. Undefined when it asks for {@linkcode USAGE}.
 *
 * @throws {TypeError} for an option that there is not, or one without its value
 * @throws {RangeError} for a value that cannot be
 */
export function readSettings(args: readonly string[]): Settings | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "12" },
      bound: { type: "string", default: "250" },
      deaf: { type: "string" },
      crash: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return undefined;
  const [rounds, bound] = [Number(values.rounds), Number(values.bound)];
  if (!Number.isInteger(rounds) || rounds < 1) throw misuse("--rounds", "an integer from 1", values.rounds);
  if (!(bound > 0)) throw misuse("--bound", "a number of milliseconds above 0", values.bound);
  return { rounds, bound, deaf: runtime("--deaf", values.deaf), crash: runtime("--crash", values.crash) };
}

function runtime(option: string, value: string | undefined): Runtime | undefined {
  const found = RUNTIMES.find((known) => known === value);
  if (found === undefined && value !== undefined) throw misuse(option, `one of ${RUNTIMES.join(", ")}`, value);
  return found;
}

function misuse(option: string, rule: string, value: string): RangeError {
  return new RangeError(`Cannot run the demo as \`${option}\` must be ${rule}: current value is ${value}`);
}
