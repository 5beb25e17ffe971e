/**
 * Processes that are controlled by lines of JSON: their programs share `obey.ts`.
 *
 * @module
 */

import { now, type ProgramLine, type RemoteError } from "./obey.ts";
import { type Program, type ProgramOptions, type Runtime, withPrograms } from "./programs.ts";

/** A value, and the time of it, in milliseconds of the system's clock. */
export interface Timed<T> {
  readonly at: number;
  readonly value: T;
}

/** An operation of the other process has failed. */
export class RemoteFailure extends Error {
  override readonly name = "RemoteFailure";
  readonly error: RemoteError;

  constructor(runtime: Runtime, operation: string, error: RemoteError) {
    super(`The ${runtime} process has failed to ${operation}: ${error.message}`);
    this.error = error;
  }
}

/** A process whose program obeys calls, and prints lines of these types. */
export class CalledProcess<Call extends { readonly do: string }, Line extends ProgramLine> {
  readonly runtime: Runtime;
  protected readonly program: Program;
  #calls = 0;
  #isKilled = false;

  constructor(runtime: Runtime, program: Program) {
    this.runtime = runtime;
    this.program = program;
  }

  /** Whether it was ended by {@linkcode CalledProcess.kill}. */
  get isKilled(): boolean {
    return this.#isKilled;
  }

  /** Resolves when the program runs, with the runtime that it has detected. */
  started(): Promise<Runtime> {
    return this.line(({ runtime }) => runtime, "the first line");
  }

  /** Ends it at once, and waits for that. Resolves with the time. */
  async kill(): Promise<number> {
    this.#isKilled = true;
    const at = now();
    // Deno's own method closes the input first: a process that reads that leaves in good order.
    this.program.signal("SIGKILL");
    await this.program.exit;
    return at;
  }

  /**
   * Ends its input, so that it closes everything and ends by itself. Waits for that, and asserts that it ended with 0.
   */
  async end(): Promise<void> {
    if (this.#isKilled) return;
    this.program.endInput();
    const exit = await this.program.ended();
    if (exit !== 0) throw new Error(`The process must end with 0: it has ended with ${exit}: ${this.describe()}`);
  }

  /** A description for messages. */
  describe(): string {
    return this.program.describe();
  }

  /**
   * Resolves with the answer, and with the time of the call.
   *
   * @throws {RemoteFailure} when the operation fails
   */
  async call(call: Call): Promise<Timed<unknown>> {
    const id = this.#calls++;
    this.program.write(JSON.stringify({ id, ...call }));
    const { at = NaN, result, error } = await this.line(
      (line) => line.id === id ? line : undefined,
      `an answer to ${call.do}`,
    );
    if (error !== undefined) throw new RemoteFailure(this.runtime, call.do, error);
    return { at, value: result };
  }

  /** Resolves with the first result of `test`, of all lines since the start. */
  line<T>(test: (line: Line) => T | undefined, what: string): Promise<T> {
    return this.program.line((text) => test(JSON.parse(text) as Line), what);
  }

  /** All lines so far. */
  lines(): readonly Line[] {
    return this.program.lines.map((text) => JSON.parse(text) as Line);
  }
}

/** Starts a program of this folder on a runtime, as a process of a class. */
export type StartCalledProcess = <P extends { end(): Promise<void> }>(
  Process: new (runtime: Runtime, program: Program) => P,
  runtime: Runtime,
  file: string,
  options?: ProgramOptions,
) => P;

/**
 * Runs `body` with a function that starts processes, ends all of them by their input, and asserts that they end with 0.
 */
export function withCalledProcesses(body: (start: StartCalledProcess) => Promise<void>): Promise<void> {
  return withPrograms(async (start) => {
    const processes: { end(): Promise<void> }[] = [];
    await body((Process, runtime, file, options) => {
      const started = new Process(runtime, start(runtime, file, options));
      processes.push(started);
      return started;
    });
    await Promise.all(processes.map((process) => process.end()));
  });
}
