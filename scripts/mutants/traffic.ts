import { judgedBy, type Mutant } from "./mutant.ts";

/** Breakages of how keys are gathered, sent and looked up, which the tests of that must notice. */
export const TRAFFIC: readonly Mutant[] = judgedBy("traffic", [
  {
    name: "a lone key waits for others",
    file: "src/batcher.ts",
    find: "const wait = this.#isHurried || batchInterval === 0 ? 0 : budget.wait(now);",
    replace: "const wait = this.#isHurried || batchInterval === 0 ? 0 : Math.max(1, budget.wait(now));",
  },
  {
    name: "keys never share a datagram for the budget",
    file: "src/send_budget.ts",
    find: "if (this.#tokens > 1 - 1e-6) return 0;",
    replace: "if (this.#tokens > -Infinity) return 0;",
  },
  {
    name: "losses leave the budget as it is",
    file: "src/send_budget.ts",
    find: "Math.min(RATE, this.#pacer.rate * SHARE)",
    replace: "RATE",
  },
  {
    name: "a key may wait for longer than the interval",
    file: "src/batcher.ts",
    find: "now >= this.#open.since + batchInterval || budget.wait(now) === 0",
    replace: "budget.wait(now) === 0",
  },
  {
    name: "copies cost the budget nothing",
    file: "src/outbox.ts",
    find: "budget.spend(group.length * this.#copies);",
    replace: "budget.spend(group.length);",
  },
  {
    name: "a batch that may leave is closed to others",
    file: "src/batcher.ts",
    find: "const batch = this.#full.shift() ?? this.#takeOpen();",
    replace:
      "if (this.#isDue) this.#fill(this.#newBatch());\n    const batch = this.#full.shift() ?? this.#takeOpen();",
  },
  {
    name: "a key of a batch that was taken is pending still",
    file: "src/pending_keys.ts",
    find: "if (past < 0) {",
    replace: "if (past < -Infinity) {",
  },
  {
    name: "a key whose hash is pending is pending",
    file: "src/pending_keys.ts",
    find: "if (isSame(this.#bytesOf(serial), past & OFFSET_MASK, bytes, start, end)) return serial;",
    replace: "return serial;",
  },
  {
    name: "a key that was published lately is pending",
    file: "src/pending_keys.ts",
    find: "(this.#recentSerials[slot] as number) >= this.first && this.#recent[slot] === key",
    replace: "this.#recent[slot] === key",
  },
  {
    name: "a key that was pending alone is not known when another has come",
    file: "src/batcher.ts",
    find: "this.#keys.add(hash, first, BATCH_KEYS_OFFSET, 1);",
    replace: "",
  },
  {
    name: "batches leave at once however many have just left",
    file: "src/batcher.ts",
    find: "if (now - this.#atOnceAt < AT_ONCE_EVERY) {",
    replace: "if (now < this.#atOnceAt) {",
  },
  {
    name: "what was sent long ago is pending again",
    file: "src/pending_keys.ts",
    find: "if (this.first - this.#renewedAt > MAX_AGE) this.#renew(pending);",
    replace: "",
  },
  {
    name: "a key that is kept keeps its datagram",
    file: "src/wire/key_bytes.ts",
    find: "if (!this.#isAscii || length <= PIECE || this.#isAlone()) return this.text;",
    replace: "if (length >= 0) return this.text;",
  },
  {
    name: "the last piece of a key has some of the next",
    file: "src/wire/key_bytes.ts",
    find: "whole.substring(start + PIECE, start + length)",
    replace: "whole.substring(start + PIECE, start + length + 1)",
  },
  {
    name: "what is not UTF-8 comes when it has waited",
    file: "src/deliveries.ts",
    find: "if (key.move(start, end)) return key;",
    replace: "key.move(start, end);\n      return key;",
  },
  {
    name: "callbacks of keys that wait are not timed",
    file: "src/deliveries.ts",
    find: "if (taken > 0) this.#time();",
    replace: "",
  },
  {
    name: "callbacks that are slow while keys wait are timed for a while only",
    file: "src/deliveries.ts",
    find: "if (duration >= BUDGET) this.#wary = WARY_KEYS;",
    replace: "",
  },
  {
    name: "a datagram within a datagram takes in what follows it",
    file: "src/deliveries.ts",
    find:
      "this.#isBusy = false;\n    // A datagram may be handed over within a callback of another, whose other keys lie elsewhere.\n    this.#open = undefined;",
    replace: "this.#isBusy = false;",
  },
  {
    name: "what is no key may take any room while it waits",
    file: "src/deliveries.ts",
    find: "this.waiting >= CAPACITY || this.#bytes >= MAX_BYTES",
    replace: "this.waiting >= CAPACITY",
  },
  {
    name: "keys that wait lie where the next datagram is read",
    file: "src/wire/key_bytes.ts",
    find:
      "const copy = new Uint8Array(this.#to - this.start);\n    copy.set(this.bytes.subarray(this.start, this.#to));\n    return copy;",
    replace: "return this.bytes.subarray(this.start, this.#to);",
  },
  {
    name: "a turn that reads on and on calls back on and on",
    file: "src/deliveries.ts",
    find: "else if (now - this.#turnAt >= LONG_TURN) this.#isBehind = true;",
    replace: "",
  },
  {
    name: "a node that is busy for long is behind, though its turns are short",
    file: "src/deliveries.ts",
    find: "this.#turnEnd = undefined;\n    this.#turnAt = this.#clock.now();",
    replace: "this.#turnEnd = undefined;",
  },
  {
    name: "a pause between datagrams is time in which they were read",
    file: "src/deliveries.ts",
    find: "if (since >= CALM) this.#turnAt = now;\n    else if",
    replace: "if (this.#turnAt < 0) this.#turnAt = now;\n    else if",
  },
  {
    name: "keys of one's own wait when the turn is long",
    file: "src/deliveries.ts",
    find: "this.#begin(this.#clock.now(), Infinity, false);",
    replace: "this.begin();",
  },
  {
    name: "a node that cannot keep up takes all that comes",
    file: "src/deliveries.ts",
    find: "return this.waiting >= FULL;",
    replace: "return false;",
  },
  {
    name: "a flood keeps out the lone keys of others",
    file: "src/receiver.ts",
    find: "if (this.#config.isFull?.() && countOf(data) > FEW_KEYS) {",
    replace: "if (this.#config.isFull?.()) {",
  },
  {
    name: "a batch is used again while it is sent",
    file: "src/batcher.ts",
    find: "this.#taken.push(batch);",
    replace: "batch.writer.clear === undefined || this.#spare.push(batch);",
  },
  {
    name: "batches that are used again have the old id",
    file: "src/batcher.ts",
    find: "[this.#open, ...this.#full, ...this.#spare]",
    replace: "[this.#open, ...this.#full]",
  },
  {
    name: "batches that were under way have the old id later",
    file: "src/batcher.ts",
    find: "this.#taken.length = 0;",
    replace: "",
  },
  {
    name: "a key that waits for room is touched by no guard",
    file: "src/mesh_bus.ts",
    find: "onLate: (key, self) => {\n        this.#guards.touch(key);",
    replace: "onLate: (key, self) => {",
  },
  {
    name: "who waits comes out of turn",
    file: "src/wait_queue.ts",
    find: "this.#places.push(waiter);",
    replace: "this.#places.splice(this.#head, 0, waiter);",
  },
  {
    name: "a group takes more than the pace allows",
    file: "src/outbox.ts",
    find: "if (group.length + 1 > most || (pacer?.wait() ?? 0) > 0) break;",
    replace: "if (group.length + 1 > most) break;",
  },
  {
    name: "what one of several refuses is lost without a word",
    file: "src/outbox.ts",
    find: "this.#config.onError(error);\n      taken",
    replace: "taken",
  },
  {
    name: "a key is found by its hash alone",
    file: "src/key_table.ts",
    find: "if (this.#equals(record, bytes, start, end)) return this.#words[record] as number;",
    replace: "return this.#words[record] as number;",
  },
  {
    name: "a key with too many twins is not found",
    file: "src/key_table.ts",
    find: "return this.#crowd.size === 0 ? -1 : this.#crowd.get(readUtf8(bytes, start, end)) ?? -1;",
    replace: "return -1;",
  },
  {
    name: "removing a key hides one behind it",
    file: "src/key_table.ts",
    find: "if (((at - home) & mask) < ((at - hole) & mask)) continue;",
    replace: "continue;",
  },
]);
