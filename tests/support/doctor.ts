/**
 * The program `doctor`, run as a user does.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { Finding } from "../../mod.ts";
import type { DoctorReport } from "../../cli/doctor.ts";
import { type Exit, type ProgramOptions, type Runtime, type startProgram } from "./programs.ts";

/** What came of it. */
export interface Checkup {
  readonly exit: Exit;
  readonly report: DoctorReport;
}

/** Runs it with `--json`. */
export async function checkUp(
  start: typeof startProgram,
  runtime: Runtime,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<Checkup> {
  const program = start(runtime, "../../cli/main.ts", { ...options, args: ["doctor", "--json", ...args] });
  const exit = await program.ended();
  const text = program.lines.join("\n");
  assert(text.startsWith("{"), program.describe());
  return { exit, report: JSON.parse(text) as DoctorReport };
}

/** Holds that it has found this error and no other, and ended with 1. Returns it. */
export function assertError({ exit, report }: Checkup, code: Finding["code"]): Finding {
  const errors = report.findings.filter(({ severity }) => severity === "error");
  const text = JSON.stringify(report, null, 1);
  assertEquals(errors.map((finding) => finding.code), [code], text);
  assertEquals([exit, report.ok], [1, false], text);
  return errors[0] as Finding;
}

/** Holds that it has found these warnings and no error, and ended with 0. */
export function assertWarnings({ exit, report }: Checkup, ...codes: readonly Finding["code"][]): void {
  const found = report.findings.filter(({ severity }) => severity !== "info").map(({ code }) => code);
  const text = JSON.stringify(report, null, 1);
  assertEquals(found.sort(), [...codes].sort(), text);
  assertEquals([exit, report.ok], [0, true], text);
}
