/**
 * Lazy diagnoser: loads the code of diagnosis with the first call of `diagnose`.
 *
 * @module
 */

import { misuse } from "./errors.ts";
import type { Diagnoser, DiagnoserConfig } from "./observability/diagnosis/diagnose.ts";
import type { DiagnoseOptions, Diagnosis } from "./observability/diagnosis/diagnosis.ts";
import { checkSignal, onAbort, type Signal } from "./platform/abort_signal.ts";
import { checkKnown, knownOptions } from "./platform/known_options.ts";

const OPTIONS = knownOptions<DiagnoseOptions>({ timeout: true, signal: true });
/** Default and range of the option `timeout`, in milliseconds. */
const TIMEOUT = { default: 2000, min: 100, max: 60_000 };

/**
 * Diagnoses this node. The first call loads the code of diagnosis, 9 kB after gzip, so a service that never diagnoses
 * does not carry it. After a failure, such as a bundle that was deployed without this chunk, the next call tries again,
 * as far as the runtime allows.
 */
export class LazyDiagnoser {
  readonly #config: DiagnoserConfig;
  #diagnoser: Diagnoser | undefined;
  #loading: Promise<void> | undefined;

  constructor(config: DiagnoserConfig) {
    this.#config = config;
  }

  /** Implements `MeshBus.diagnose`. Rejects for misuse, when `signal` aborts, and when the code cannot be loaded. */
  async diagnose(options: DiagnoseOptions = {}): Promise<Diagnosis> {
    const timeout = checkedTimeout(options);
    const { signal } = options;
    signal?.throwIfAborted();
    while (this.#diagnoser === undefined) {
      this.#loading ??= this.#load().finally(() => this.#loading = undefined);
      await abortable(this.#loading, signal);
    }
    return await this.#diagnoser.diagnose(timeout, signal);
  }

  /**
   * Called when a peer has joined: ends the wait for a first peer. Code that is still being loaded finds the peer in
   * the table.
   */
  met(): void {
    this.#diagnoser?.met();
  }

  /** Ends a diagnosis that is under way. Code that is still being loaded finds that the node is closed. */
  close(): void {
    this.#diagnoser?.close();
  }

  async #load(): Promise<void> {
    const module = import("./observability/diagnosis/diagnose.ts");
    this.#config.ports.clock.holdWhile?.(module);
    const { Diagnoser } = await module;
    this.#diagnoser = new Diagnoser(this.#config);
  }
}

/** Settles as `promise` does, or rejects with the reason of `signal` when that aborts first. */
function abortable(promise: Promise<void>, signal: Signal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const retract = signal && onAbort(signal, () => reject(signal.reason));
    void promise.finally(retract).then(resolve, reject);
  });
}

/** The time that a diagnosis may take, in milliseconds. */
function checkedTimeout(options: DiagnoseOptions): number {
  checkKnown("diagnose", options, OPTIONS, undefined, true);
  const { timeout = TIMEOUT.default, signal } = options;
  if (typeof timeout !== "number" || !(timeout >= TIMEOUT.min && timeout <= TIMEOUT.max)) {
    const rule = `\`timeout\` must be a number of milliseconds from ${TIMEOUT.min} to ${TIMEOUT.max}`;
    throw misuse("diagnose", rule, timeout, true);
  }
  if (signal !== undefined) checkSignal("diagnose", signal);
  return timeout;
}
