/**
 * The one place where failures end up that nobody waits for: counted always, reported at a bounded rate.
 *
 * @module
 */

import type { Clock } from "./clock.ts";
import { show } from "./errors.ts";
import type { MeshEvent, Stage } from "./events.ts";
import { RateLimit } from "./rate_limit.ts";

/** Failures by stage. */
export class Failures {
  readonly #clock: Clock;
  readonly #emit: (event: MeshEvent) => void;
  readonly #stages = new Map<Stage, { readonly limit: RateLimit; count: number; suppressed: number }>();

  /** `emit` gets at most one `error` event a second for each stage. */
  constructor(clock: Clock, emit: (event: MeshEvent) => void) {
    this.#clock = clock;
    this.#emit = emit;
  }

  /** Counts a failure, and reports it if none of its stage was in the last second. */
  report(stage: Stage, error: unknown): void {
    let state = this.#stages.get(stage);
    if (state === undefined) {
      state = { limit: new RateLimit(this.#clock, 1, 1), count: 0, suppressed: 0 };
      this.#stages.set(stage, state);
    }
    state.count++;
    if (!state.limit.allow()) {
      state.suppressed++;
      return;
    }
    const { suppressed } = state;
    state.suppressed = 0;
    this.#emit({ type: "error", stage, error: toError(error), suppressed });
  }

  /** How many failures of a stage there were. */
  count(stage: Stage): number {
    return this.#stages.get(stage)?.count ?? 0;
  }
}

function toError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  return new Error(typeof thrown === "string" ? thrown : show(thrown), { cause: thrown });
}
