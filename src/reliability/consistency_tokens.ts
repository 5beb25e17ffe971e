/**
 * Consistency tokens: a short text that stands for what nodes have accepted, and the wait until all of that was
 * delivered here.
 *
 * Kin to the zookies of Zanzibar (Pang et al., USENIX ATC 2019, section 2.4) and to the operation times of causally
 * consistent sessions in MongoDB: a client carries the token from the replica that it wrote to to the one that it reads
 * from.
 *
 * @module
 */

import { ClosedError, misuse, TokenError } from "../errors.ts";
import { checkSignal, onAbort, type Signal } from "../platform/abort_signal.ts";
import { fromBase64url, toBase64url } from "../platform/base64url.ts";
import type { Clock } from "../platform/clock.ts";
import { checkKnown, knownOptions } from "../platform/known_options.ts";
import { readU48, writeU48 } from "../wire/integers.ts";
import { NODE_ID_LENGTH, NUMBER_LENGTH } from "../wire/layout.ts";
import { formatNodeId } from "../wire/node_id.ts";
import type { ReceiveStream } from "./receive_stream.ts";

/** Options of `reached`. */
export interface ReachedOptions {
  /**
   * Longest wait, in milliseconds: 0 to 86,400,000. Then the promise rejects with a `TokenError`.
   *
   * @default {1000}
   */
  readonly timeout?: number | undefined;
  /** Ends the wait: the promise rejects with its reason. */
  readonly signal?: Signal | undefined;
}

const OPTIONS = knownOptions<ReachedOptions>({ timeout: true, signal: true });
const DEFAULT_TIMEOUT = 1000;
const MAX_TIMEOUT = 86_400_000;

/** The first byte of a token: the version of its format. */
const VERSION = 1;
const ENTRY_LENGTH: number = NODE_ID_LENGTH + NUMBER_LENGTH;

/**
 * Most nodes that a token stands for: with them it has 236 characters. A client that has written at more of them within
 * seconds loses the oldest.
 */
const MAX_NODES = 8;

/**
 * How long a batch that a token names may be on its way, in milliseconds, before its node is sent a catch-up request;
 * and the time between two of those. The position is announced 20 ms after a batch as well.
 */
const REQUEST_AFTER = 20;
const REQUEST_EVERY = 1000;

/** All batches of a node up to a number. */
interface TokenEntry {
  readonly nodeId: Uint8Array;
  readonly id: string;
  readonly number: number;
}

/** What {@linkcode ConsistencyTokens} are made of. What they call MUST NOT throw. */
export interface ConsistencyTokensConfig {
  /** The node's own id, 16 bytes, and its text. */
  readonly identity: { readonly bytes: Uint8Array; readonly text: string };
  readonly clock: Clock;
  /** The number of the batch that was sent last. */
  readonly stream: { readonly next: number };
  readonly batches: {
    /** How many batches hold keys that were accepted and not sent. They get the next numbers. */
    readonly pendingBatches: number;
  };
  readonly streams: () => {
    get(id: string): ReceiveStream | undefined;
    /** Whether there is a gap of a departed node that was not reported yet. */
    readonly owesGap: boolean;
    /** Sends a catch-up request, at most one in a second. */
    verify(stream: ReceiveStream): void;
  };
  readonly deliveries: {
    /** Calls back when everything that has arrived by now, and every gap known by now, was delivered. */
    whenDelivered(done: () => void): void;
  };
}

/** A call of `reached`. */
interface Wait {
  readonly entries: readonly TokenEntry[];
  /** Whether everything has arrived, and the deliveries were asked to call back: once, as datagrams keep coming. */
  isDelivering: boolean;
  settle(error?: unknown): void;
}

/** Makes tokens, and settles the calls of `reached`. */
export class ConsistencyTokens {
  readonly #config: ConsistencyTokensConfig;
  readonly #waits = new Set<Wait>();
  /** Ids of this node that its tokens have, and the highest number in them. */
  readonly #ownNumbers = new Map<string, number>();
  #isLookDue = false;
  #isClosed = false;

  constructor(config: ConsistencyTokensConfig) {
    this.#config = config;
  }

  /** Whether a call of `reached` waits for a batch. */
  get isAwaited(): boolean {
    return this.#waits.size > 0;
  }

  /** The number of the batch that holds what was accepted last. */
  get #ownNumber(): number {
    const { batches, stream } = this.#config;
    return stream.next - 1 + batches.pendingBatches;
  }

  /** Implements `MeshBus.token`. */
  token(earlier?: string): string {
    const { identity } = this.#config;
    const entries = earlier === undefined ? [] : parse(earlier);
    const own = this.#ownNumber;
    this.#ownNumbers.set(identity.text, own);
    // A higher number under this id is one of a clone, or of this node before it was set back: it stays what it was.
    const number = Math.max(own, ...entries.map((entry) => entry.id === identity.text ? entry.number : 0));
    const first = number > 0 ? [{ nodeId: identity.bytes, id: identity.text, number }] : [];
    return format([...first, ...entries.filter(({ id }) => id !== identity.text)].slice(0, MAX_NODES));
  }

  /** Implements `MeshBus.reached`. */
  async reached(token: string, options: ReachedOptions = {}): Promise<void> {
    checkKnown("wait", options, OPTIONS);
    const { signal, timeout = DEFAULT_TIMEOUT } = options ?? {};
    if (!(typeof timeout === "number" && timeout >= 0 && timeout <= MAX_TIMEOUT)) {
      throw misuse("wait", `\`timeout\` must be a number of milliseconds from 0 to ${MAX_TIMEOUT}`, timeout, true);
    }
    if (signal !== undefined) {
      checkSignal("wait", signal);
      signal.throwIfAborted();
    }
    const entries = parse(token);
    if (this.#isClosed) throw new ClosedError("wait");
    await new Promise<void>((resolve, reject) => this.#wait(entries, timeout, signal, resolve, reject));
  }

  /** Something has changed in the receive streams. The datagram that did it may not be delivered yet. */
  changed(): void {
    if (this.#isLookDue) return;
    this.#isLookDue = true;
    queueTask(() => {
      this.#isLookDue = false;
      for (const wait of [...this.#waits]) this.#look(wait);
    });
  }

  /** Rejects all waits with a `ClosedError`. */
  close(): void {
    this.#isClosed = true;
    for (const wait of [...this.#waits]) wait.settle(new ClosedError("wait"));
  }

  #wait(
    entries: readonly TokenEntry[],
    timeout: number,
    signal: Signal | undefined,
    resolve: () => void,
    reject: (reason: unknown) => void,
  ): void {
    const { clock } = this.#config;
    const ends: (() => void)[] = [];
    const wait: Wait = {
      entries,
      isDelivering: false,
      settle: (error) => {
        if (!this.#waits.delete(wait)) return;
        for (const end of ends) end();
        if (error === undefined) resolve();
        else reject(error);
      },
    };
    this.#waits.add(wait);
    this.#look(wait);
    if (!this.#waits.has(wait)) return;
    const timeLimit = clock.setTimer(() => wait.settle(this.#timedOut(entries, timeout)), timeout);
    let request = clock.setTimer(() => onRequest(), REQUEST_AFTER);
    const onRequest = () => {
      this.#request(entries);
      request = clock.setTimer(onRequest, REQUEST_EVERY);
    };
    ends.push(() => timeLimit.cancel(), () => request.cancel());
    if (signal !== undefined) ends.push(onAbort(signal, () => wait.settle(signal.reason)));
  }

  /** Settles a wait when everything has arrived and was delivered, or can no longer arrive. */
  #look(wait: Wait): void {
    if (wait.isDelivering) return;
    let isReached = true;
    for (const entry of wait.entries) {
      const state = this.#stateOf(entry);
      if (state === "gone") return wait.settle(new TokenError("gone", entry.id));
      if (state !== "reached") isReached = false;
    }
    if (!isReached) return;
    wait.isDelivering = true;
    this.#config.deliveries.whenDelivered(() => wait.settle());
  }

  #stateOf({ id, number }: TokenEntry): "reached" | "missing" | "unknown" | "gone" {
    const { identity, streams } = this.#config;
    // A higher number is one of a clone with the same id, or of this node before it was set back.
    const own = id === identity.text ? this.#ownNumber : this.#ownNumbers.get(id) ?? 0;
    if (number <= own) return "reached";
    const stream = streams().get(id);
    if (stream === undefined) return "unknown";
    const isSettled = stream.catchUp === undefined && stream.window.settled >= number;
    if (!stream.isDeparted) return isSettled ? "reached" : "missing";
    // A gap of a departed node covers what was known of it by then.
    if (!isSettled) return "gone";
    return streams().owesGap ? "missing" : "reached";
  }

  /** Batches that are not known to exist may be lost: their nodes are sent a catch-up request. */
  #request(entries: readonly TokenEntry[]): void {
    const streams = this.#config.streams();
    for (const { id, number } of entries) {
      const stream = streams.get(id);
      if (stream !== undefined && !stream.isDeparted && number > stream.window.highest) streams.verify(stream);
    }
  }

  #timedOut(entries: readonly TokenEntry[], timeout: number): TokenError {
    const states = entries.map((entry) => [entry.id, this.#stateOf(entry)] as const);
    const [unknown] = states.find(([, state]) => state === "unknown") ?? [];
    if (unknown !== undefined) return new TokenError("unknown", unknown, timeout);
    const [missing] = states.find(([, state]) => state !== "reached") ?? [];
    return new TokenError("timeout", missing, timeout);
  }
}

/** Calls back after the turn on the stack. */
function queueTask(call: () => void): void {
  void Promise.resolve().then(call);
}

function format(entries: readonly TokenEntry[]): string {
  const bytes = new Uint8Array(1 + ENTRY_LENGTH * entries.length);
  bytes[0] = VERSION;
  entries.forEach(({ nodeId, number }, i) => {
    const start = 1 + ENTRY_LENGTH * i;
    bytes.set(nodeId, start);
    writeU48(bytes, start + NODE_ID_LENGTH, number);
  });
  return toBase64url(bytes);
}

/** @throws {TokenError} when the token is malformed, a `TypeError` when it is no text */
function parse(token: string): readonly TokenEntry[] {
  if (typeof token !== "string") throw misuse("read a token", "it must be a string", token);
  // A longer one is not decoded: it may be as long as a header can be.
  const longest = Math.ceil((1 + ENTRY_LENGTH * MAX_NODES) * 4 / 3);
  const bytes = token.length > longest ? undefined : fromBase64url(token);
  const count = ((bytes?.length ?? 0) - 1) / ENTRY_LENGTH;
  if (bytes?.[0] !== VERSION || !Number.isInteger(count)) throw new TokenError("malformed");
  return Array.from({ length: count }, (_, i) => {
    const start = 1 + ENTRY_LENGTH * i;
    const nodeId = bytes.slice(start, start + NODE_ID_LENGTH);
    const number = readU48(bytes, start + NODE_ID_LENGTH);
    if (number === 0) throw new TokenError("malformed");
    return { nodeId, id: formatNodeId(nodeId), number };
  });
}
