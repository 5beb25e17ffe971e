/**
 * Mutants of traffic: breakages of how keys are batched, sent and looked up.
 *
 * @module
 */

import { judgedBy, type Mutant } from "./mutant.ts";

/** Breakages of how keys are batched, sent and looked up, which the tests of that must notice. */
export const TRAFFIC: readonly Mutant[] = judgedBy("traffic", [
  {
    name: "a single key waits for others",
    file: "src/pubsub/batcher.ts",
    find: "const wait = this.#isHurried || batchInterval === 0 ? 0 : budget.wait(now);",
    replace: "const wait = this.#isHurried || batchInterval === 0 ? 0 : Math.max(1, budget.wait(now));",
  },
  {
    name: "keys never share a datagram for the budget",
    file: "src/net/send_budget.ts",
    find: "if (this.#tokens > 1 - 1e-6) return 0;",
    replace: "if (this.#tokens > -Infinity) return 0;",
  },
  {
    name: "losses do not lower the budget",
    file: "src/net/send_budget.ts",
    find: "Math.min(RATE, this.#pacer.rate * SHARE)",
    replace: "RATE",
  },
  {
    name: "a key may wait longer than the interval",
    file: "src/pubsub/batcher.ts",
    find: "now >= this.#open.since + batchInterval || budget.wait(now) === 0",
    replace: "budget.wait(now) === 0",
  },
  {
    name: "copies cost no budget",
    file: "src/net/transmit_queue.ts",
    find: "budget.spend(burst.length * this.#copies);",
    replace: "budget.spend(burst.length);",
  },
  {
    name: "a batch that may leave is closed to others",
    file: "src/pubsub/batcher.ts",
    find: "const batch = this.#full.shift() ?? this.#takeOpen();",
    replace:
      "if (this.#isDue) this.#fill(this.#nextBatch());\n    const batch = this.#full.shift() ?? this.#takeOpen();",
  },
  {
    name: "a key of a batch that was taken is still pending",
    file: "src/pubsub/pending_keys.ts",
    find: "if (past < 0) {",
    replace: "if (past < -Infinity) {",
  },
  {
    name: "a key with the hash of a pending one is pending",
    file: "src/pubsub/pending_keys.ts",
    find: "if (isSame(this.#bytesOf(serial), past & OFFSET_MASK, bytes, start, end)) return serial;",
    replace: "return serial;",
  },
  {
    name: "a key that was published recently is pending",
    file: "src/pubsub/pending_keys.ts",
    find: "(this.#recentSerials[slot] as number) >= this.first && this.#recent[slot] === key",
    replace: "this.#recent[slot] === key",
  },
  {
    name: "a key that was pending alone is not known when another has come",
    file: "src/pubsub/batcher.ts",
    find: "this.#keys.add(hash, first, BATCH_KEYS_OFFSET, 1);",
    replace: "",
  },
  {
    name: "batches leave at once, however many have just left",
    file: "src/pubsub/batcher.ts",
    find: "if (now - this.#immediateAt < IMMEDIATE_INTERVAL) {",
    replace: "if (now < this.#immediateAt) {",
  },
  {
    name: "a key that was sent long ago is pending again",
    file: "src/pubsub/pending_keys.ts",
    find: "if (this.first - this.#renewedAt > MAX_AGE) this.#renew(pending);",
    replace: "",
  },
  {
    name: "a key that is kept retains its datagram",
    file: "src/wire/key_bytes.ts",
    find: "if (!this.#isAscii || length <= MAX_COPIED || this.#isAlone()) return this.text;",
    replace: "if (length >= 0) return this.text;",
  },
  {
    name: "the last piece of a key has bytes of the next",
    file: "src/wire/key_bytes.ts",
    find: "whole.substring(start + MAX_COPIED, start + length)",
    replace: "whole.substring(start + MAX_COPIED, start + length + 1)",
  },
  {
    name: "a key that is not UTF-8 is delivered when it has waited",
    file: "src/pubsub/dispatcher.ts",
    find: "if (key.move(start, end)) return key;",
    replace: "key.move(start, end);\n      return key;",
  },
  {
    name: "callbacks of keys that wait are not timed",
    file: "src/pubsub/dispatcher.ts",
    find: "subscriptions.offer(key, newest, isOwn);\n    this.#isRunning = false;\n    if (taken > 0) this.#time();",
    replace: "subscriptions.offer(key, newest, isOwn);\n    this.#isRunning = false;",
  },
  {
    name: "callbacks that are slow while keys wait are timed for a while only",
    file: "src/pubsub/dispatcher.ts",
    find: "if (duration >= BUDGET) this.#keysToTime = TIMED_KEYS;",
    replace: "",
  },
  {
    name: "a nested datagram takes the bytes that follow it",
    file: "src/pubsub/dispatcher.ts",
    find:
      "this.#isBusy = false;\n    // A datagram may be delivered within a callback of another one, whose remaining keys lie elsewhere.\n    this.#open = undefined;",
    replace: "this.#isBusy = false;",
  },
  {
    name: "bytes that are no key may take any room while they wait",
    file: "src/pubsub/dispatcher.ts",
    find: "this.waiting >= CAPACITY || this.#bytes >= MAX_BYTES",
    replace: "this.waiting >= CAPACITY",
  },
  {
    name: "waiting keys lie in the memory of the next datagram",
    file: "src/wire/key_bytes.ts",
    find:
      "const copy = new Uint8Array(this.#to - this.start);\n    copy.set(this.bytes.subarray(this.start, this.#to));\n    return copy;",
    replace: "return this.bytes.subarray(this.start, this.#to);",
  },
  {
    name: "a datagram within a callback replaces the key of that",
    file: "src/pubsub/dispatcher.ts",
    find: "if (this.#offers !== undefined) this.#fallBehind();\n      if",
    replace: "if",
  },
  {
    name: "the many subscribers of a key are called in one turn",
    file: "src/pubsub/subscriptions.ts",
    find: "if (table.shortAt(place) === undefined && isGroup(recipients)) return -1;",
    replace: "",
  },
  {
    name: "a turn that reads on and on makes callbacks on and on",
    file: "src/pubsub/dispatcher.ts",
    find: "else if (now - this.#turnAt >= LONG_TURN) this.#isBehind = true;",
    replace: "",
  },
  {
    name: "a node that is busy for long is behind, though its turns are short",
    file: "src/pubsub/dispatcher.ts",
    find: "this.#turnEnd = undefined;\n    this.#turnAt = this.#clock.now();",
    replace: "this.#turnEnd = undefined;",
  },
  {
    name: "a pause between datagrams counts as time in which they were read",
    file: "src/pubsub/dispatcher.ts",
    find: "if (since >= IDLE_INTERVAL) this.#turnAt = now;\n    else if",
    replace: "if (this.#turnAt < 0) this.#turnAt = now;\n    else if",
  },
  {
    name: "a node's own keys wait when the turn is long",
    file: "src/pubsub/dispatcher.ts",
    find: "this.#begin(this.#clock.now(), Infinity, false);",
    replace: "this.begin();",
  },
  {
    name: "a node that cannot keep up accepts all that comes",
    file: "src/pubsub/dispatcher.ts",
    find: "return this.waiting >= REFUSE_BATCHES_FROM;",
    replace: "return false;",
  },
  {
    name: "a flood keeps out the single keys of others",
    file: "src/net/receiver.ts",
    find: "if (this.#keys.isFull && countOf(data) > FEW_KEYS) {",
    replace: "if (this.#keys.isFull) {",
  },
  {
    name: "a batch is used again while it is sent",
    file: "src/pubsub/batcher.ts",
    find: "this.#taken.push(batch);",
    replace: "batch.writer.clear === undefined || this.#spare.push(batch);",
  },
  {
    name: "batches that are reused have the old id",
    file: "src/pubsub/batcher.ts",
    find: "[this.#open, ...this.#full, ...this.#spare]",
    replace: "[this.#open, ...this.#full]",
  },
  {
    name: "batches that were under way keep the old id",
    file: "src/pubsub/batcher.ts",
    find: "this.#taken.length = 0;",
    replace: "",
  },
  {
    name: "a key that waits for room is touched by no guard",
    file: "src/pubsub/own_keys.ts",
    find: 'if (typeof key === "string") guards.touch(key);\n    else if',
    replace: "if",
  },
  {
    name: "waiting publishers are served out of order",
    file: "src/pubsub/publish_waiters.ts",
    find: "this.#places.push(waiter);",
    replace: "this.#places.splice(this.#head, 0, waiter);",
  },
  {
    name: "a burst takes more than the pace allows",
    file: "src/net/transmit_queue.ts",
    find: "if (burst.length + 1 > limit || (pacer?.wait() ?? 0) > 0) break;",
    replace: "if (burst.length + 1 > limit) break;",
  },
  {
    name: "a datagram of several that was refused is not reported",
    file: "src/net/transmit_queue.ts",
    find: "this.#config.onError(error);\n      taken",
    replace: "taken",
  },
  {
    name: "a key is found by its hash alone",
    file: "src/pubsub/key_table.ts",
    find: "if (this.#equals(record, bytes, start, end)) return this.#words[record] as number;",
    replace: "return this.#words[record] as number;",
  },
  {
    name: "a key with too many collisions is not found",
    file: "src/pubsub/key_table.ts",
    find: "return this.#overflow.size === 0 ? -1 : this.#overflow.get(readUtf8(bytes, start, end)) ?? -1;",
    replace: "return -1;",
  },
  {
    name: "removing a key hides one behind it",
    file: "src/pubsub/key_table.ts",
    find: "if (((at - home) & mask) < ((at - hole) & mask)) continue;",
    replace: "continue;",
  },
]);
