/**
 * Notices when the addresses of this host change.
 *
 * @module
 */

import type { Clock, Timer } from "../platform/clock.ts";
import type { NetworkInterface, NetworkInterfaces } from "../platform/host.ts";
import { listed } from "./interfaces.ts";

/** How often it looks, in milliseconds: no runtime tells of changes. Listing takes 0.1 ms (Node 20, four interfaces). */
const LOOK_EVERY = 1000;

/** Looks again and again. */
export class InterfaceMonitor {
  readonly #clock: Clock;
  readonly #list: NetworkInterfaces;
  readonly #onLook: (list: readonly NetworkInterface[], isChanged: boolean) => void;
  readonly #onError: (cause: unknown) => void;
  #seen: string;
  #hasFailed = false;
  #timer: Timer | undefined;

  /**
   * `onLook` is called at each look, `isChanged` when the list differs from that of the look before; `onError` at the first
   * of those that fail one after the other, with the cause.
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

  /** Begins to look. */
  start(): void {
    this.#timer = this.#clock.setTimer(() => this.#look(), LOOK_EVERY);
  }

  /** Looks no more. */
  close(): void {
    this.#timer?.cancel();
  }

  #look(): void {
    // It may fail for a moment, as when no file descriptor is left.
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
