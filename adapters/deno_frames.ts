/**
 * Contexts as Deno keeps them: each in an object that never changes.
 *
 * @module
 */

import { AsyncLocalStorage } from "node:async_hooks";

/** Gives the object that holds the context of now, `undefined` in none. Where two are the same, so are the contexts. */
export type FrameOfNow = () => object | undefined;

/** The part of the `Deno` global that is used here. */
interface DenoInternals {
  /** The name of a property. */
  readonly internal: symbol;
  readonly [internal: symbol]: { readonly core?: { readonly getAsyncContext?: FrameOfNow } } | undefined;
}

/**
 * Finds it, where Deno has it (2.9): it is for Deno's own code, and nobody promises that it stays. So it is used for nothing
 * but to see that two contexts are the same, and only when it behaves like that; `undefined` when it does not.
 */
export function frameOfNowIn(global: object): FrameOfNow | undefined {
  const { Deno } = global as { readonly Deno?: DenoInternals };
  try {
    const frameOfNow = Deno?.[Deno.internal]?.core?.getAsyncContext;
    return frameOfNow !== undefined && tells(frameOfNow) ? frameOfNow : undefined;
  } catch {
    return undefined;
  }
}

/** Whether it is the same in the same context, and another one in each other. */
function tells(frameOfNow: FrameOfNow): boolean {
  const [first, second] = [new AsyncLocalStorage<number>(), new AsyncLocalStorage<number>()];
  const seen = new Set<object | undefined>();
  const isSteady = () => {
    const frame = frameOfNow();
    seen.add(frame);
    return frame === frameOfNow();
  };
  const steady = [
    isSteady(),
    first.run(1, isSteady),
    first.run(2, isSteady),
    first.run(2, () => second.run(3, isSteady)),
    isSteady(),
  ];
  return !steady.includes(false) && seen.size === 4;
}
