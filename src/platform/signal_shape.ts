/**
 * PORT: the type of an `AbortSignal`, taken from the types of the program that uses the package.
 *
 * @module
 */

/** The members of an `AbortSignal` that are used, written out for programs whose types do not have it. */
export interface SignalShape {
  /** Whether it has aborted. */
  readonly aborted: boolean;
  /** The reason of the abort. */
  readonly reason: unknown;
  /** Calls `listener` when it aborts. */
  addEventListener(type: "abort", listener: () => void): void;
  /** Removes such a listener. */
  removeEventListener(type: "abort", listener: () => void): void;
  /** Throws the reason if it has aborted. */
  throwIfAborted(): void;
}

/**
 * The `AbortSignal` of the program's own types, such as those of `DOM` or `@types/node`. The declarations of this
 * package so need neither: where there is none, it is {@linkcode SignalShape}.
 */
export type Signal = typeof globalThis extends { AbortSignal: { prototype: infer T extends SignalShape } } ? T
  : SignalShape;
