/**
 * Error reporter: collects failures that no caller waits for. All are counted, and reported at a bounded rate.
 *
 * @module
 */

import { show } from "../errors.ts";
import type { MeshEvent, Stage } from "../events.ts";
import type { Clock } from "../platform/clock.ts";
import { TokenBucket } from "../platform/token_bucket.ts";

/** The last failure of a stage, and when it happened by the node's clock. */
export interface Failure {
  readonly error: Error;
  readonly at: number;
}

/** The failures of one stage. */
interface StageErrors {
  readonly limit: TokenBucket;
  last: Failure;
  count: number;
  suppressed: number;
}

/** Counts and reports failures by stage. */
export class ErrorReporter {
  readonly #clock: Clock;
  readonly #emit: (event: MeshEvent) => void;
  readonly #stages = new Map<Stage, StageErrors>();

  /** `emit` gets at most one `error` event a second for each stage. */
  constructor(clock: Clock, emit: (event: MeshEvent) => void) {
    this.#clock = clock;
    this.#emit = emit;
  }

  /** Counts a failure, and emits an event unless its stage emitted one in the last second. */
  report(stage: Stage, thrown: unknown): void {
    const last = { error: toError(thrown), at: this.#clock.now() };
    let state = this.#stages.get(stage);
    if (state === undefined) {
      state = { limit: new TokenBucket(this.#clock, 1, 1), last, count: 0, suppressed: 0 };
      this.#stages.set(stage, state);
    }
    state.last = last;
    state.count++;
    if (!state.limit.allow()) {
      state.suppressed++;
      return;
    }
    const { suppressed } = state;
    state.suppressed = 0;
    this.#emit({ type: "error", stage, error: last.error, suppressed });
  }

  /** The last failure of a stage. */
  last(stage: Stage): Failure | undefined {
    return this.#stages.get(stage)?.last;
  }

  /** Number of failures of a stage. */
  count(stage: Stage): number {
    return this.#stages.get(stage)?.count ?? 0;
  }
}

function toError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  return new Error(typeof thrown === "string" ? thrown : show(thrown), { cause: thrown });
}
