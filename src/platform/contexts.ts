/**
 * PORT: async contexts, what `AsyncLocalStorage` holds while callbacks run.
 *
 * @module
 */

/** Calls `run` in a captured context. Its return value and what it throws are passed on. */
export type EnterContext = <R>(run: () => R) => R;

/**
 * An optional port. With it a callback runs in the context of the code that subscribed, listened or wrote the loop, and
 * the mesh itself runs in no context. Without it a callback runs in the context of whatever code happens to call it.
 */
export interface Contexts {
  /**
   * Captures the current context. When two calls return the same function, the contexts are the same. The mesh then
   * enters it once for all the callbacks that a datagram concerns, so a value that one of them sets by `enterWith` may
   * be seen by the others. Different functions do not mean different contexts.
   */
  capture(): EnterContext;
  /** Calls `run` in no context, and returns what it does. */
  leave<R>(run: () => R): R;
}
