/**
 * What a receiver hands over, for tests that look at some of it.
 *
 * @module
 */

import type { ControlSink, KeySink, NumberSink } from "../../src/net/receiver.ts";

/** Takes each key, and nothing else. */
export function keySink(take: KeySink["take"]): KeySink {
  return { isFull: false, within: (read) => read(), begin() {}, take, look() {}, end() {} };
}

/** Takes the numbers of batches. */
export function numberSink(accept: NumberSink["accept"]): NumberSink {
  return { accept };
}

/** Takes what is no batch: nothing heeds what is left out. */
export function controlSink(sink: Partial<ControlSink> = {}): ControlSink {
  return { onHeartbeat() {}, onControl() {}, onOwnHeartbeat() {}, onOwnProbe() {}, ...sink };
}
