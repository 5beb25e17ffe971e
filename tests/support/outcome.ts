// Outcomes: the state of a promise so far.

/** The state of a promise so far: fulfilled, rejected or pending. */
export interface Outcome {
  state: "waiting" | "fulfilled" | "rejected";
  reason?: unknown;
}

/** Watches a promise. Its state is known once the microtasks that are ready have run. */
export function watch(promise: PromiseLike<unknown>): Outcome {
  const outcome: Outcome = { state: "waiting" };
  promise.then(
    () => {
      outcome.state = "fulfilled";
    },
    (reason) => {
      outcome.state = "rejected";
      outcome.reason = reason;
    },
  );
  return outcome;
}

/** The outcome of a promise: never rejects. */
export async function outcomeOf(promise: PromiseLike<unknown>): Promise<Outcome> {
  try {
    await promise;
    return { state: "fulfilled" };
  } catch (reason) {
    return { state: "rejected", reason };
  }
}

/** Resolves when the microtasks that are ready now have run, and those that they queued, ten levels deep. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await undefined;
}
