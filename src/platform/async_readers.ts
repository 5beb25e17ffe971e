/**
 * Waiting steps of async iterators: a value goes to the step that has waited longest.
 *
 * @module
 */

/** The queue of `next()` calls that have no value yet, in the order of the calls. */
export class AsyncReaders<Value> {
  readonly #waiting: ((result: IteratorResult<Value, undefined>) => void)[] = [];

  /** Resolves the step that has waited longest with a value. False when none waits. */
  give(value: Value): boolean {
    const reader = this.#waiting.shift();
    reader?.({ done: false, value });
    return reader !== undefined;
  }

  /** Ends all steps that wait. */
  end(): void {
    for (const reader of this.#waiting.splice(0)) reader({ done: true, value: undefined });
  }

  /**
   * One step of an iterator. It resolves to `value` if there is one, else to the end when `isOver`, else to the next
   * value given.
   */
  step(value: Value | undefined, isOver: boolean): Promise<IteratorResult<Value, undefined>> {
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (isOver) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
