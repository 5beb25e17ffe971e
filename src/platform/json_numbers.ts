/**
 * Numbers that JSON does not have.
 *
 * @module
 */

/**
 * Gives an object whose numbers may be infinite a `toJSON` that writes the largest safe integer instead: it is above any
 * limit, and every reader of JSON takes it, those that read whole numbers of 64 bits too. A null, which is what
 * `JSON.stringify` writes of itself, is above none, and an alert on it would never come.
 *
 * The method is not enumerable: the object looks, compares, copies and is cloned as without it.
 */
export function withJson<T extends object>(value: T): T {
  return Object.defineProperty(value, "toJSON", { value: toJson });
}

function toJson(this: object): object {
  return Object.fromEntries(
    Object.entries(this).map(([name, value]) => [name, value === Infinity ? Number.MAX_SAFE_INTEGER : value]),
  );
}
