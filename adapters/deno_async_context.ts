/**
 * Deno async contexts: identifies async contexts on Deno, which keeps each in an object that never changes.
 *
 * @module
 */

import { AsyncLocalStorage } from "node:async_hooks";

/**
 * Returns the object that holds the current context, `undefined` when there is none. Equal objects mean equal contexts.
 */
export type FrameOfNow = () => object | undefined;

/** The part of the `Deno` global that is used here. */
interface DenoInternals {
  /** The name of a property of `Deno`. */
  readonly internal: symbol;
  readonly [internal: symbol]: { readonly core?: { readonly getAsyncContext?: FrameOfNow } } | undefined;
}

/**
 * Finds that function, where Deno has it (2.9). It belongs to Deno's internals and may change, so it is used only to
 * see that two contexts are the same, and only when it behaves that way: `undefined` when it does not.
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
