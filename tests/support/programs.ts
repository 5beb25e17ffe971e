/**
 * Programs: each runs in a process of its own on a runtime that the test chooses.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { BUN, DENO, ROOT, typeFlags } from "../../scripts/runtimes.ts";
import { patient } from "./meshes.ts";
import { IS_FULL, IS_SMALL } from "./size.ts";

/** A runtime that programs are run on. */
export type Runtime = "node" | "deno" | "bun";

/** All of them. */
export const RUNTIMES: readonly Runtime[] = ["node", "deno", "bun"];

/** How {@linkcode startProgram} runs a program. */
export interface ProgramOptions {
  /** The arguments of the program. */
  readonly args?: readonly string[];
  /** The arguments of Deno before the program. @default {all permissions, and the unstable APIs of this Deno} */
  readonly denoFlags?: readonly string[];
  /** A command that runs the rest of its arguments, for example in a network namespace. */
  readonly within?: readonly string[];
}

/** How a process has ended: its exit code, or the signal that ended it. */
export type Exit = number | string;

const IN_DENO = process.versions["deno"] !== undefined;
const IN_BUN = process.versions["bun"] !== undefined;
// A Deno that runs these tests with the option or without it passes the same to its children.
const HAS_NATIVE_UDP = !IN_DENO ||
  (globalThis as { Deno?: { listenDatagram?: unknown } }).Deno?.listenDatagram !== undefined;
const DENO_FLAGS: readonly string[] = ["-A", ...(HAS_NATIVE_UDP ? ["--unstable-net"] : [])];

// Deno grants every permission to a child whose command is exactly its own path.
const DENO_PATH = IN_DENO ? `${ROOT}${DENO.slice(ROOT.length).replace("node_modules", "./node_modules")}` : DENO;

/**
 * The runtimes for tests that run on all of them: on Node all of them, except for versions of Node that come after
 * another, and elsewhere the runtime of the test itself.
 */
export const STARTED: readonly Runtime[] = IN_DENO
  ? ["deno"]
  : IN_BUN
  ? ["bun"]
  : IS_SMALL || IS_FULL
  ? RUNTIMES
  : ["node"];

const running = new Set<ChildProcess>();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** Starts a TypeScript program; `file` is its path from the project's folder. */
export function startProgram(runtime: Runtime, file: string, options: ProgramOptions = {}): Program {
  const { args = [], within = [] } = options;
  const path = join(ROOT, file);
  const [command = "", ...words] = [...within, ...commandOf(runtime, options), path, ...args];
  // By this variable Node's runner makes its children print for it alone.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = spawn(command, words, { cwd: ROOT, env: { ...env, NO_COLOR: "1" }, stdio: ["pipe", "pipe", "pipe"] });
  return new Program(`${runtime} ${file} ${args.join(" ")}`.trim(), child);
}

function commandOf(runtime: Runtime, { denoFlags = DENO_FLAGS }: ProgramOptions): readonly string[] {
  if (runtime === "deno") return [DENO_PATH, "run", "--no-check", ...denoFlags];
  if (runtime === "bun") return [BUN, "run"];
  if (IN_DENO || IN_BUN) return [process.env["npm_node_execpath"] ?? "node", "--import", "tsx"];
  return [process.execPath, ...typeFlags(process.versions.node)];
}

/** A program that runs, or has ended. */
export class Program {
  /** A description for messages. */
  readonly name: string;
  /** Resolves when it has ended and all of its output was read. */
  readonly exit: Promise<Exit>;
  /** The lines of its standard output so far. */
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #watchers = new Set<() => void>();
  #errors = "";
  #ended: string | undefined;

  constructor(name: string, child: ChildProcess) {
    this.name = name;
    this.#child = child;
    running.add(child);
    const { stdin, stdout, stderr } = child;
    if (stdin === null || stdout === null || stderr === null) throw new Error("The program must have pipes");
    createInterface({ input: stdout }).on("line", (line) => {
      this.lines.push(line);
      this.#wake();
    });
    stderr.setEncoding("utf8").on("data", (chunk: string) => this.#errors += chunk);
    // A write to a program that has ended fails; `exit` reports the end.
    stdin.on("error", () => {});
    this.exit = new Promise((resolve) => {
      child.on("error", (error) => this.#end(`could not be started: ${error.message}`));
      child.on("close", (code, signal) => {
        this.#end(`ended with ${signal ?? code}`);
        resolve(signal ?? code ?? "no exit code");
      });
    });
  }

  /** What it has printed to standard error. */
  get errors(): string {
    return this.#errors;
  }

  /** Resolves with the first line, from the beginning on, for which `test` returns a value. */
  async line<T>(test: (line: string) => T | undefined, what: string): Promise<T> {
    let read = 0;
    const found = new Promise<T>((resolve, reject) => {
      const look = (): void => {
        while (read < this.lines.length) {
          const result = test(this.lines[read++] as string);
          if (result === undefined) continue;
          this.#watchers.delete(look);
          return resolve(result);
        }
        if (this.#ended !== undefined) reject(new Error(this.#ended));
      };
      this.#watchers.add(look);
      look();
    });
    return await patient(found, () => `${what} of: ${this.describe()}`);
  }

  /** Writes a line to its standard input. */
  write(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** Ends its standard input. */
  endInput(): void {
    this.#child.stdin?.end();
  }

  /** Resolves with how it has ended. Rejects when it does not end by itself. */
  async ended(): Promise<Exit> {
    return await patient(this.exit, () => `the end of: ${this.describe()}`);
  }

  /** Sends it a signal, such as `SIGSTOP`, which stops it until `SIGCONT`. */
  signal(name: "SIGSTOP" | "SIGCONT" | "SIGKILL"): void {
    // Deno's own method does not return when it continues a process that is stopped.
    if (this.#child.pid !== undefined) process.kill(this.#child.pid, name);
  }

  /** Ends it at once if it still runs, and waits for that. */
  async kill(): Promise<void> {
    if (this.#ended === undefined) this.#child.kill("SIGKILL");
    await this.exit;
  }

  /** A description for messages. */
  describe(): string {
    const output = [...this.lines.slice(-20), this.#errors].join("\n");
    return `${this.name}, which ${this.#ended ?? "runs"} and has printed:\n${output}`;
  }

  #end(how: string): void {
    running.delete(this.#child);
    this.#ended ??= how;
    this.#wake();
  }

  #wake(): void {
    for (const look of [...this.#watchers]) look();
  }
}

/** Runs `body` with a function that starts programs, and ends all of them in any case. */
export async function withPrograms(body: (start: typeof startProgram) => Promise<void>): Promise<void> {
  const started: Program[] = [];
  try {
    await body((...args) => {
      const program = startProgram(...args);
      started.push(program);
      return program;
    });
  } finally {
    await Promise.all(started.map((program) => program.kill()));
  }
}
