/**
 * The contexts in which callbacks run: what `AsyncLocalStorage` holds.
 *
 * @module
 */

/**
 * A port that a mesh can do without. With it a callback runs in the context of whoever subscribed, listened or wrote the
 * loop, and the mesh itself in none; without it in that of whatever happens to call.
 */
export interface Contexts {
  /** The same function, to be called in the context of now: what it takes, returns and throws is passed on. */
  bind<A extends unknown[], R>(callback: (...args: A) => R): (...args: A) => R;
  /** Calls `run` in no context, and returns what it does. */
  leave<R>(run: () => R): R;
}
