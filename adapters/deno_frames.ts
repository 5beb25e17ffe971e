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
 * but to see that two contexts are the same, and only when it behaves like that: `undefined` when it does not.
 */
export function frameOfNowIn(global: object): FrameOfNow | undefined {
  const { Deno } = global as { readonly Deno?: DenoInternals };
  const storage = new AsyncLocalStorage<boolean>();
  try {
    const frameOfNow = Deno?.[Deno.internal]?.core?.getAsyncContext as FrameOfNow;
    const twice = () => [frameOfNow(), frameOfNow()];
    const changed = () => (storage.enterWith(false), twice());
    const frames = [twice(), ...storage.run(true, () => [twice(), changed()]), storage.run(true, twice)];
    const isSteady = frames.every(([first, second]) => first === second);
    return isSteady && new Set(frames.flat()).size === frames.length ? frameOfNow : undefined;
  } catch {
    return undefined;
  }
}
