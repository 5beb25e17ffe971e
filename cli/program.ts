/**
 * The program behind `npx @warp-mesh/bus`.
 *
 * @module
 */

import { readArguments, USAGE, UsageError } from "./arguments.ts";
import { examine } from "./doctor.ts";
import { coloured, plain, render } from "./render.ts";

/** Where the program writes, and what ends it. */
export interface Surroundings {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly hasColours: boolean;
  readonly signal?: AbortSignal;
}

/** Exit codes. */
const OK = 0;
const FOUND_ERRORS = 1;
const MISUSE = 2;

/**
 * Does what the arguments say. Resolves with the exit code: 0, 1 when a finding is an error, 2 for wrong arguments.
 * Rejects with the reason of `signal` when it aborts.
 */
export async function program(
  args: readonly string[],
  { out, err, hasColours, signal }: Surroundings,
): Promise<number> {
  try {
    const call = readArguments(args);
    if (call.do === "help") {
      out(USAGE);
      return OK;
    }
    const report = await examine({ ...call, ...signal && { signal } });
    out(call.isJson ? `${JSON.stringify(report, null, 2)}\n` : render(report, hasColours ? coloured : plain));
    return report.ok ? OK : FOUND_ERRORS;
  } catch (error) {
    const isMisuse = error instanceof UsageError || error instanceof TypeError || error instanceof RangeError;
    if (!isMisuse || signal?.aborted) throw error;
    err(`${error.message}\n${error instanceof UsageError ? `\n${USAGE}` : ""}`);
    return MISUSE;
  }
}
