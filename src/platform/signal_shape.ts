/**
 * PORT: the type of an `AbortSignal`, in the words of the program that uses the package.
 *
 * @module
 */

/** What is used of an `AbortSignal`, written out for programs whose types do not know it. */
export interface SignalShape {
  /** Whether it has aborted. */
  readonly aborted: boolean;
  /** With what. */
  readonly reason: unknown;
  /** Calls `listener` when it aborts. */
  addEventListener(type: "abort", listener: () => void): void;
  /** Takes that back. */
  removeEventListener(type: "abort", listener: () => void): void;
  /** Throws the reason if it has aborted. */
  throwIfAborted(): void;
}

/**
 * The `AbortSignal` of the program's own types, as of `DOM` or `@types/node`. The declarations so need neither: where
 * there is none, its {@linkcode SignalShape}.
 */
export type Signal = typeof globalThis extends { AbortSignal: { prototype: infer T extends SignalShape } } ? T
  : SignalShape;
