/**
 * Checks: comparisons that name what was expected and the current value, without an assertion library.
 *
 * @module
 */

/** Throws unless `actual` and `expected` have the same text. What is `undefined` counts as absent. */
export function equal(actual: unknown, expected: unknown, what: string): void {
  const [is, must] = [textOf(actual), textOf(expected)];
  if (is !== must) throw new Error(`${what} must be ${must}: current value is ${is}`);
}

/** Throws unless `value` is true. */
export function isTrue(value: boolean, what: string): void {
  if (value !== true) throw new Error(`it must be so that ${what}: current value is ${textOf(value)}`);
}

/** Throws unless `call` throws an error with one of these names. */
export function throws(call: () => unknown, what: string, ...names: readonly string[]): void {
  let result: unknown;
  try {
    result = call();
  } catch (error) {
    return isNamed(error, what, names);
  }
  throw new Error(`${what} must throw a ${names.join(" or ")}: it returned ${textOf(result)}`);
}

/** Throws unless `error` has one of these names. Names are compared, as a test runner may load classes twice. */
export function isNamed(error: unknown, what: string, names: readonly string[]): void {
  const name = error instanceof Error ? error.name : textOf(error);
  if (names.includes(name)) return;
  const message = error instanceof Error ? ` (${error.message})` : "";
  throw new Error(`${what} must fail with a ${names.join(" or ")}: current value is ${name}${message}`);
}

/** A value as text: members in alphabetical order, without those that are `undefined`. */
export function textOf(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "string") return JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}…` : value);
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) return `[${value.map(textOf).join(", ")}]`;
  if (value instanceof Error) return `${value.name} (${value.message})`;
  const members = Object.entries(value).filter(([, member]) => member !== undefined).sort(([a], [b]) => a < b ? -1 : 1);
  return `{ ${members.map(([name, member]) => `${name}: ${textOf(member)}`).join(", ")} }`;
}
