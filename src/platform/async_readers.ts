/**
 * Loops that wait for what comes next.
 *
 * @module
 */

/** The steps of loops that wait, in the order in which they came. */
export class AsyncReaders<Value> {
  readonly #waiting: ((result: IteratorResult<Value, undefined>) => void)[] = [];

  /** Hands a value to the one that has waited longest. False when none does. */
  give(value: Value): boolean {
    const reader = this.#waiting.shift();
    reader?.({ done: false, value });
    return reader !== undefined;
  }

  /** Ends those that wait. */
  end(): void {
    for (const reader of this.#waiting.splice(0)) reader({ done: true, value: undefined });
  }

  /** One step: of `value` if there is one, else the end if that is reached, else what comes. */
  step(value: Value | undefined, isOver: boolean): Promise<IteratorResult<Value, undefined>> {
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (isOver) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
