/**
 * Command runner: runs a command, bounds its time and keeps its output.
 *
 * @module
 */

import { spawn } from "node:child_process";

/** How {@linkcode run} runs a command. */
export interface RunOptions {
  readonly cwd?: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Keeps the output off the terminal, unless the command fails. */
  readonly quiet?: boolean;
  /** Keeps the output off the terminal, for the caller to show. */
  readonly silent?: boolean;
  /** Milliseconds after which the command is ended and counts as failed. @default {600_000} */
  readonly timeout?: number;
}

/** The result of a command. */
export interface RunResult {
  readonly ok: boolean;
  /** Standard output and standard error, as they came. */
  readonly output: string;
}

// A killed test runner may leave children that keep its pipes open: their output is awaited for at most this long.
const PIPE_GRACE_MS = 2_000;

/** Runs a command with no standard input, shows what it prints and returns it. Never rejects. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { cwd, env = {}, quiet = false, silent = false, timeout = 600_000 } = options;
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let settled = false;
    const limit = setTimeout(() => {
      output += `\nEnded after ${timeout / 1000} s: ${command} ${args.join(" ")}\n`;
      child.kill("SIGKILL");
    }, timeout);

    function collect(chunk: string): void {
      output += chunk;
      if (!quiet && !silent) process.stdout.write(chunk);
    }
    function settle(ok: boolean): void {
      if (settled) return;
      settled = true;
      clearTimeout(limit);
      child.stdout.destroy();
      child.stderr.destroy();
      if (quiet && !ok) process.stdout.write(output);
      resolve({ ok, output });
    }

    child.stdout.setEncoding("utf8").on("data", collect);
    child.stderr.setEncoding("utf8").on("data", collect);
    child.on("error", (error) => {
      collect(`Cannot run ${command}: ${error.message}\n`);
      settle(false);
    });
    child.on("exit", (code) => setTimeout(() => settle(code === 0), PIPE_GRACE_MS).unref());
    child.on("close", (code) => settle(code === 0));
  });
}

/** Prints a line that separates the output of one step from that of the one before. */
export function header(title: string): void {
  console.log(`\n=== ${title} ===`);
}
