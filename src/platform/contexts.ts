/**
 * The contexts in which callbacks run: what `AsyncLocalStorage` holds.
 *
 * @module
 */

/** Calls `run` in a context that was captured: what it returns and throws is passed on. */
export type EnterContext = <R>(run: () => R) => R;

/**
 * A port that a mesh can do without. With it a callback runs in the context of whoever subscribed, listened or wrote the
 * loop, and the mesh itself in none; without it in that of whatever happens to call.
 */
export interface Contexts {
  /**
   * Captures the context of now. Where two calls return the same function, the contexts are the same, and a mesh enters it
   * once for all the callbacks that a datagram concerns, so that what one of them sets by `enterWith` the others may see;
   * different functions say nothing.
   */
  capture(): EnterContext;
  /** Calls `run` in no context, and returns what it does. */
  leave<R>(run: () => R): R;
}
