/**
 * Controlled programs: the common part of those that are controlled by lines of JSON on standard input, and answer with
 * such lines. `called_process.ts` is the other side.
 *
 * @module
 */

import process from "node:process";
import { createInterface } from "node:readline";
import type { Runtime } from "./programs.ts";

/** An error as a line carries it: the message, its fields, and the cause. */
export interface RemoteError {
  readonly name: string;
  readonly message: string;
  readonly option?: string;
  readonly value?: unknown;
  readonly cause?: { readonly code?: string };
}

/** The lines that every such program prints. */
export interface ProgramLine {
  /** The runtime that it has detected: the first line. */
  readonly runtime?: Runtime;
  /** The call that is answered, with a result or an error. */
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: RemoteError;
  /** The time of the call or of the event, in milliseconds of the system's clock. */
  readonly at?: number;
}

/** Milliseconds of the system's clock with fractions, the same for all processes of a machine. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

/** Prints a line. */
export function print(line: unknown): void {
  console.log(JSON.stringify(line, (_, value) => value instanceof Error ? errorFields(value) : value));
}

function errorFields(error: Error): unknown {
  const { name, message, cause } = error;
  return { ...error, name, message, ...(cause !== undefined && { cause }) };
}

/** Answers each call as it comes, whatever the result of those before it, and calls `close` when the input ends. */
export function obey<Call>(answer: (call: Call) => Promise<unknown>, close: () => void): void {
  const input = createInterface({ input: process.stdin });
  input.on("line", (line) => void obeyLine(line, answer));
  input.on("close", close);
  print({ runtime: "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node" });
}

async function obeyLine<Call>(line: string, answer: (call: Call) => Promise<unknown>): Promise<void> {
  const at = now();
  const call = JSON.parse(line) as Call & { readonly id: number };
  try {
    print({ id: call.id, at, result: await answer(call) ?? null });
  } catch (error) {
    print({ id: call.id, at, error });
  }
}
