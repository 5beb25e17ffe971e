/**
 * Receiver sinks: those of a receiver, for tests of some of its calls.
 *
 * @module
 */

import type { ControlSink, KeySink, NumberSink } from "../../src/net/receiver.ts";

/** Takes each key, and nothing else. */
export function keySink(take: KeySink["take"]): KeySink {
  return { isFull: false, within: (read) => read(), begin() {}, take, takePrefix() {}, look() {}, end() {} };
}

/** Takes the numbers of batches. */
export function numberSink(accept: NumberSink["accept"]): NumberSink {
  return { accept };
}

/** Takes everything that is no batch. A call that is left out is ignored. */
export function controlSink(sink: Partial<ControlSink> = {}): ControlSink {
  return { onHeartbeat() {}, onControl() {}, onOwnHeartbeat() {}, onOwnProbe() {}, ...sink };
}
