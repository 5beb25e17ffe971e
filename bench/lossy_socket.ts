/**
 * Lossy socket: wraps sockets so that they lose datagrams.
 *
 * @module
 */

import { SeededRandom } from "../adapters/memory/random.ts";
import type { Bind } from "../src/platform/datagram_socket.ts";
import { withSend } from "./socket_wrapper.ts";

/** The datagrams that a socket loses. */
export interface Loss {
  /**
   * Share of the datagrams that are lost in each direction, from 0 to 1, or a function that returns the current share.
   */
  readonly share: number | (() => number);
  /** The same seed loses in the same pattern. */
  readonly seed: number;
  /** Whether a datagram that came in is lost in any case. */
  readonly always: (data: Uint8Array) => boolean;
  /** Gets each datagram that came in and is lost. */
  readonly onLoss: (data: Uint8Array) => void;
}

/** Binds sockets like those of `bind`, on a network that loses datagrams in both directions. */
export function lossy(bind: Bind, { share, seed, always, onLoss }: Loss): Bind {
  const random = new SeededRandom(seed);
  const now = typeof share === "number" ? () => share : share;
  return async (options, handlers) => {
    const socket = await bind(options, {
      message(data, host, port) {
        if (always(data) || random.chance(now())) onLoss(data);
        else handlers.message(data, host, port);
      },
      error: (error, fatal) => handlers.error(error, fatal),
    });
    return withSend(
      socket,
      (data, host, port) => random.chance(now()) ? Promise.resolve() : socket.send(data, host, port),
    );
  };
}
