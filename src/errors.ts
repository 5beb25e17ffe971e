/**
 * Errors that callers catch. Misuse (a wrong type, a number out of range) is a `TypeError` or `RangeError` instead.
 *
 * @module
 */

import type { Acknowledgement, Unacknowledged } from "./acknowledgement.ts";

/** Most nodes that the message of an error names. */
const MAX_NAMED = 4;

/** The bus is closed: nothing can be published or subscribed any more. */
export class ClosedError extends Error {
  /** `"ClosedError"`. */
  override readonly name = "ClosedError";

  /**
   * Number of peers of the closed bus that could not be told that a key was refused: they may go on with what they have
   * cached. 0 when all peers get a gap, or there was nothing to tell.
   */
  readonly untold: number;

  /** `action` is what was tried: "publish", "subscribe". */
  constructor(action: string, untold = 0) {
    const rest = untold === 0 ? "" : `, and ${untold} of its peers could not be told that something has changed`;
    super(`Cannot ${action} as the bus is closed${rest}`);
    this.untold = untold;
  }
}

/** The mesh could not be opened on this host: a port in use, an unknown interface, no multicast, no permission. */
export class MeshOpenError extends Error {
  /** `"MeshOpenError"`. */
  override readonly name = "MeshOpenError";
  /** The name of the option that this host cannot meet. */
  readonly option: string;
  /** Its value. */
  readonly value: unknown;

  /** `rule` completes "Cannot open the mesh as …". */
  constructor(option: string, value: unknown, rule: string, cause?: unknown) {
    super(`Cannot open the mesh as ${rule}: current value of \`${option}\` is ${show(value)}`, { cause });
    this.option = option;
    this.value = value;
  }
}

/** A key is longer than a datagram can carry, or a topic longer than any key. */
export class KeyTooLongError extends RangeError {
  /** `"KeyTooLongError"`. */
  override readonly name = "KeyTooLongError";
  /** Length of the key, in bytes of UTF-8. */
  readonly bytes: number;
  /** Longest key that can be published, in bytes of UTF-8. */
  readonly limit: number;

  /** `key` is shown by its first characters only. `action` is what was tried: "publish", "subscribe". */
  constructor(key: string, bytes: number, limit: number, action = "publish") {
    super(
      `Cannot ${action} as a key must fit one datagram, ${limit} bytes of UTF-8: ` +
        `current value ${show(key)} has ${bytes} bytes`,
    );
    this.bytes = bytes;
    this.limit = limit;
  }
}

/** Acknowledgements were requested, and no peer can give them. go-warp: `ErrQuorumUnsupported`. */
export class QuorumUnsupportedError extends Error {
  /** `"QuorumUnsupportedError"`. */
  override readonly name = "QuorumUnsupportedError";

  /** Takes no arguments: the message says what to do. */
  constructor() {
    super("Cannot await acknowledgements as no peer can give them (quorum unsupported): use `publish`, or 0 replicas");
  }
}

/** Fewer replicas than required have acknowledged the event. go-warp: `ErrQuorumNotSatisfied`. */
export class QuorumNotSatisfiedError extends Error {
  /** `"QuorumNotSatisfiedError"`. */
  override readonly name = "QuorumNotSatisfiedError";
  /** Number of replicas, or of zones, that were required. */
  readonly required: number;
  /** Number of replicas, or of zones, that have acknowledged. */
  readonly acknowledged: number;
  /** The answers that have come. Those with the outcome `failed` do not count. */
  readonly acknowledgements: readonly Acknowledgement[];
  /** The replicas that were awaited and have not acknowledged. When nothing was published, all that there are. */
  readonly missing: readonly Unacknowledged[];
  /** Whether the event was published: not when there were too few replicas, or zones, from the beginning. */
  readonly published: boolean;

  /** Both numbers are counts of `what`: replicas, or zones. */
  constructor(
    required: number,
    acknowledged: number,
    acknowledgements: readonly Acknowledgement[] = [],
    missing: readonly Unacknowledged[] = [],
    what: "replicas" | "zones" = "replicas",
    published = true,
  ) {
    const named = missing.slice(0, MAX_NAMED).map(({ node, reason }) => `${node} ${reason}`);
    const more = missing.length > MAX_NAMED ? [`${missing.length - MAX_NAMED} more`] : [];
    const rest = missing.length === 0 ? "" : ` (${[...named, ...more].join(", ")})`;
    const rule = `${acknowledged} of ${required} ${what} have acknowledged`;
    super(
      `Quorum not satisfied: ${published ? rule : `nothing was published as ${required} ${what} are not there`}${rest}`,
    );
    this.required = required;
    this.acknowledged = acknowledged;
    this.acknowledgements = acknowledgements;
    this.missing = missing;
    this.published = published;
  }
}

/** Fewer peers than required were known in time. */
export class PeersTimeoutError extends Error {
  /** `"PeersTimeoutError"`. */
  override readonly name = "PeersTimeoutError";
  /** Number of peers that were required. */
  readonly required: number;
  /** Number of peers that were known. */
  readonly peers: number;

  /** Both numbers are counts of peers; `timeout` is in milliseconds. */
  constructor(required: number, peers: number, timeout: number) {
    super(
      `Cannot wait for peers any longer as ${required} must be there within ${timeout} ms: current number is ${peers}`,
    );
    this.required = required;
    this.peers = peers;
  }
}

/**
 * Why a token of `mesh.token()` cannot be waited for:
 *
 * - `malformed`: it is no token of this version, or was changed.
 * - `gone`: a node that it stands for has departed, and not everything that the token stands for is known to have been
 *   delivered here.
 * - `unknown`: this node does not know a node that it stands for. That is one of another mesh, one that is gone for
 *   long, or one that this node has not met yet.
 * - `timeout`: not everything has arrived in time, or callbacks have not taken it in time.
 * - `unsupported`: the node has `wire: "go-warp"`, which numbers nothing.
 */
export type TokenProblem = "malformed" | "gone" | "unknown" | "timeout" | "unsupported";

/** It cannot be said that all has been delivered here that a token stands for: read from the store, not from a cache. */
export class TokenError extends Error {
  /** `"TokenError"`. */
  override readonly name = "TokenError";
  /** Why. */
  readonly reason: TokenProblem;
  /**
   * The id of the node that it is about; absent when the token is malformed or unsupported, and after a timeout when
   * everything has arrived and waits for slow callbacks.
   */
  readonly node: string | undefined;

  /** `timeout` is in milliseconds. */
  constructor(reason: TokenProblem, node?: string, timeout = 0) {
    super(`Cannot use the token as ${TOKEN_PROBLEMS[reason](node ?? "", timeout)}`);
    this.reason = reason;
    this.node = node;
  }
}

const TOKEN_PROBLEMS: Readonly<Record<TokenProblem, (node: string, timeout: number) => string>> = {
  malformed: () => "it is no token of this version, or was changed",
  gone: (node) => `node ${node} has departed, and something that it published has not arrived`,
  unknown: (node, timeout) => `node ${node} was not known here within ${timeout} ms`,
  timeout: (node, timeout) =>
    node === ""
      ? `callbacks are behind: what has arrived was not delivered within ${timeout} ms`
      : `not everything of node ${node} has arrived within ${timeout} ms`,
  unsupported: () => 'the wire format "go-warp" has no numbers',
};

/** A datagram could not be decoded. It is the only error of the decoder. */
export class DecodeError extends Error {
  /** `"DecodeError"`. */
  override readonly name = "DecodeError";

  /** `reason` completes "Cannot decode the datagram as …". */
  constructor(reason: string) {
    super(`Cannot decode the datagram as ${reason}`);
  }
}

/**
 * The error that misuse of the API throws. It states the rule, which completes "Cannot … as …", and the value. With
 * `isNumber`, a number is out of range: a `RangeError`. With "bigint", a bigint is as well.
 */
export function misuse(
  action: string,
  rule: string,
  value: unknown,
  isNumber: boolean | "bigint" = false,
): TypeError | RangeError {
  const isOutOfRange = isNumber !== false && (typeof value === "number" || typeof value === isNumber);
  const type = isOutOfRange ? RangeError : TypeError;
  return new type(`Cannot ${action} as ${rule}: current value is ${show(value)}`);
}

/** The text of a value in an error message: one line, at most 80 characters. Never throws, whatever the value is. */
export function show(value: unknown): string {
  let text: string;
  try {
    text = Array.isArray(value)
      ? `[${value.map((item) => Array.isArray(item) ? "[...]" : plain(item))}]`
      : plain(value);
  } catch {
    // The value has no text: an object without a prototype, or one whose toString throws.
    text = typeof value;
  }
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function plain(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value).replaceAll(/\s+/g, " ") || typeof value;
}
