import { inspect } from "node:util";
import { AssertionError, withSuffix } from "./assertion_error.ts";

/** The class of an expected error, abstract ones included. */
export type ErrorClass<E extends Error> = abstract new (...args: never) => E;

type Expectation<E extends Error> = [msg?: string] | [errorClass: ErrorClass<E>, msgIncludes?: string, msg?: string];

/** Fails unless `fn` throws. Returns what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Fails unless `fn` throws an `ErrorClass` whose message contains `msgIncludes`. Returns the error. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows<E extends Error>(fn: () => unknown, ...expectation: Expectation<E>): unknown {
  try {
    fn();
  } catch (error) {
    return checked(error, expectation);
  }
  throw new AssertionError(withSuffix("Expected function to throw.", ownMessage(expectation)));
}

/** Fails unless `fn` returns a promise that rejects. Resolves to what it rejected with. */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
/** Fails unless `fn` returns a promise that rejects with an `ErrorClass` whose message contains `msgIncludes`. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects<E extends Error>(
  fn: () => PromiseLike<unknown>,
  ...expectation: Expectation<E>
): Promise<unknown> {
  const msg = ownMessage(expectation);
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (error) {
    throw new AssertionError(withSuffix(`Function throws when expected to reject: ${inspect(error)}.`, msg));
  }
  if (typeof promise?.then !== "function") {
    throw new AssertionError(withSuffix("Function throws when expected to reject: it returned no promise.", msg));
  }
  try {
    await promise;
  } catch (error) {
    return checked(error, expectation);
  }
  throw new AssertionError(withSuffix("Expected function to reject.", msg));
}

function ownMessage<E extends Error>(expectation: Expectation<E>): string | undefined {
  return typeof expectation[0] === "function" ? expectation[2] : expectation[0];
}

function checked<E extends Error>(error: unknown, expectation: Expectation<E>): unknown {
  const [errorClass, msgIncludes, msg] = expectation;
  if (typeof errorClass !== "function") return error;
  if (!(error instanceof errorClass)) {
    throw new AssertionError(withSuffix(`Expected a ${errorClass.name}: current value is ${inspect(error)}.`, msg));
  }
  if (msgIncludes !== undefined && !error.message.includes(msgIncludes)) {
    const message = `Expected error message to include ${inspect(msgIncludes)}: current value is ${
      inspect(error.message)
    }.`;
    throw new AssertionError(withSuffix(message, msg));
  }
  return error;
}
