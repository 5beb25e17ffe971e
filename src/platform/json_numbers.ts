/**
 * Infinite numbers in JSON: written as the largest safe integer.
 *
 * @module
 */

/**
 * Gives an object whose numbers may be infinite a `toJSON` that writes the largest safe integer instead of `Infinity`.
 * That number is above any limit, and every reader of JSON accepts it, 64-bit integer readers too. The null that
 * `JSON.stringify` writes by itself is above no limit, so an alert on it would never fire.
 *
 * The method is not enumerable: printing, comparing, copying and cloning the object work as without it.
 */
export function withJson<T extends object>(value: T): T {
  return Object.defineProperty(value, "toJSON", { value: toJson });
}

function toJson(this: object): object {
  return Object.fromEntries(
    Object.entries(this).map(([name, value]) => [name, value === Infinity ? Number.MAX_SAFE_INTEGER : value]),
  );
}
