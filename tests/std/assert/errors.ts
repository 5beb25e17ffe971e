// Error assertions: what a function throws or a promise rejects with.
import { inspect } from "node:util";
import { AssertionError, withSuffix } from "./assertion_error.ts";

/** The class of an expected error, abstract ones included. */
export type ErrorClass<E extends Error> = abstract new (...args: never) => E;

interface Expectation {
  readonly errorClass: ErrorClass<Error> | undefined;
  readonly msgIncludes: string | undefined;
  readonly msg: string | undefined;
}

/** Fails unless `fn` throws. Returns what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Fails unless `fn` throws an `ErrorClass` whose message contains `msgIncludes`. Returns the error. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows(
  fn: () => unknown,
  errorClassOrMsg?: ErrorClass<Error> | string,
  msgIncludes?: string,
  msg?: string,
): unknown {
  const expectation = expectationOf(errorClassOrMsg, msgIncludes, msg);
  try {
    fn();
  } catch (error) {
    return checked(error, expectation);
  }
  throw new AssertionError(withSuffix("Expected function to throw.", expectation.msg));
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
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  errorClassOrMsg?: ErrorClass<Error> | string,
  msgIncludes?: string,
  msg?: string,
): Promise<unknown> {
  const expectation = expectationOf(errorClassOrMsg, msgIncludes, msg);
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (error) {
    throw new AssertionError(
      withSuffix(`Function throws when expected to reject: ${inspect(error)}.`, expectation.msg),
    );
  }
  if (typeof promise?.then !== "function") {
    throw new AssertionError(
      withSuffix("Function throws when expected to reject: it returned no promise.", expectation.msg),
    );
  }
  try {
    await promise;
  } catch (error) {
    return checked(error, expectation);
  }
  throw new AssertionError(withSuffix("Expected function to reject.", expectation.msg));
}

function expectationOf(
  first: ErrorClass<Error> | string | undefined,
  msgIncludes: string | undefined,
  msg: string | undefined,
): Expectation {
  if (typeof first === "function") return { errorClass: first, msgIncludes, msg };
  return { errorClass: undefined, msgIncludes: undefined, msg: first };
}

function checked(error: unknown, { errorClass, msgIncludes, msg }: Expectation): unknown {
  if (!errorClass) return error;
  if (!(error instanceof errorClass)) {
    throw new AssertionError(withSuffix(`Expected a ${errorClass.name}: current value is ${inspect(error)}.`, msg));
  }
  if (msgIncludes !== undefined && !error.message.includes(msgIncludes)) {
    const current = inspect(error.message);
    throw new AssertionError(
      withSuffix(`Expected error message to include ${inspect(msgIncludes)}: current value is ${current}.`, msg),
    );
  }
  return error;
}
