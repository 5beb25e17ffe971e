/**
 * Doctor: the program, run as a user runs it.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { DoctorReport } from "../../cli/doctor.ts";
import type { Finding } from "../../mod.ts";
import { type Exit, type ProgramOptions, type Runtime, type startProgram } from "./programs.ts";

/** For `within`: the program's standard output is a pipe that is no longer read. */
export const WITHOUT_READER: readonly string[] = shell('exec 3> >(exec true); wait $!; exec "$@" >&3 3>&-');

/** For `within`: the program's standard output is a full disk. */
export const ON_FULL_DISK: readonly string[] = shell('exec "$@" > /dev/full');

/** For `within`: the program's first line is its process id. */
export const SAYS_PID: readonly string[] = shell('echo $$; exec "$@"');

/** The result of a run. */
export interface Checkup {
  readonly exit: Exit;
  readonly report: DoctorReport;
}

/** Runs the program with `--json`. */
export async function checkUp(
  start: typeof startProgram,
  runtime: Runtime,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<Checkup> {
  const program = start(runtime, "cli/main.ts", { ...options, args: ["doctor", "--json", ...args] });
  const exit = await program.ended();
  const text = program.lines.join("\n");
  assert(text.startsWith("{"), program.describe());
  return { exit, report: JSON.parse(text) as DoctorReport };
}

/** Asserts that it found this error and no other, and ended with 1. Returns the error. */
export function assertError({ exit, report }: Checkup, code: Finding["code"]): Finding {
  const errors = report.findings.filter(({ severity }) => severity === "error");
  const text = JSON.stringify(report, null, 1);
  assertEquals(errors.map((finding) => finding.code), [code], text);
  assertEquals([exit, report.ok], [1, false], text);
  return errors[0] as Finding;
}

/** Asserts that it found these warnings and no error, and ended with 0. */
export function assertWarnings({ exit, report }: Checkup, ...codes: readonly Finding["code"][]): void {
  const found = report.findings.filter(({ severity }) => severity !== "info").map(({ code }) => code);
  const text = JSON.stringify(report, null, 1);
  assertEquals(found.sort(), [...codes].sort(), text);
  assertEquals([exit, report.ok], [0, true], text);
}

function shell(script: string): readonly string[] {
  return ["bash", "-c", script, "bash"];
}
