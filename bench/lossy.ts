import { SeededRandom } from "../adapters/memory/random.ts";
import type { Bind } from "../src/platform/datagram_socket.ts";
import { withSend } from "./wrapped.ts";

/** What a socket loses. */
export interface Loss {
  /** Share of the datagrams that are lost each way, from 0 to 1, or what it is at the moment. */
  readonly share: number | (() => number);
  /** The same seed loses in the same pattern. */
  readonly seed: number;
  /** Whether a datagram that came in is lost in any case. */
  readonly always: (data: Uint8Array) => boolean;
  /** Gets each datagram that came in and is lost. */
  readonly onDown: (data: Uint8Array) => void;
}

/** Sockets like those of `bind`, on a network that loses datagrams both ways. */
export function lossy(bind: Bind, { share, seed, always, onDown }: Loss): Bind {
  const random = new SeededRandom(seed);
  const now = typeof share === "number" ? () => share : share;
  return async (options, handlers) => {
    const socket = await bind(options, {
      message(data, host, port) {
        if (always(data) || random.chance(now())) onDown(data);
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
