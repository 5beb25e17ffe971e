/** One breakage of the protocol: a piece of a source file, which must be there exactly once, and what takes its place. */
export interface Mutant {
  readonly name: string;
  /** From the project's folder. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** Breakages that the storms must notice. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "the position is not announced after a burst",
    file: "src/own_stream.ts",
    find: "if (isDue) post(encodeControl(TYPE_STATE, nodeId, { position: this.position }));",
    replace: "",
  },
  {
    name: "the position is announced for ever",
    file: "src/own_stream.ts",
    find: "const after = ANNOUNCE_AFTER[round];",
    replace: "const after = ANNOUNCE_AFTER[round] ?? 1000;",
  },
  {
    name: "heartbeats do not say where the stream is",
    file: "src/mesh_bus.ts",
    find: "encodeExtension({ position, ...saying })",
    replace: "encodeExtension({ position: { last: 0, oldest: 1, age: Infinity }, ...saying })",
  },
  {
    name: "a duplicate is accepted as new",
    file: "src/peer_streams.ts",
    find: "this.duplicates++;\n      return false;",
    replace: "this.duplicates++;",
  },
  {
    name: "the first of a hole is taken for a duplicate",
    file: "src/window.ts",
    find: "hole.from > number) return",
    replace: "hole.from >= number) return",
  },
  {
    name: "a hole begins one too late",
    file: "src/window.ts",
    find: "from: this.#highest + 1,",
    replace: "from: Math.min(this.#highest + 2, last),",
  },
  {
    name: "a hole ends one too early",
    file: "src/window.ts",
    find: "this.extend(number - 1, now, due);",
    replace: "this.extend(number - 2, now, due);",
  },
  {
    name: "what is below a repair in the middle of a hole is forgotten",
    file: "src/window.ts",
    find: "this.#insert(index, { ...hole, to: number - 1 });",
    replace: "this.#missing -= number - hole.from;",
  },
  {
    name: "a lost stream is no gap",
    file: "src/peer_streams.ts",
    find: 'this.#config.onGap(stream.id, stream.giveUp(now), undefined, "lost");',
    replace: "stream.giveUp(now);",
  },
  {
    name: "a stream that is heard all the time is lost",
    file: "src/peer_streams.ts",
    find: "    stream.heardAt = now;\n",
    replace: "",
  },
  {
    name: "what is below `oldest` is no gap",
    file: "src/peer_streams.ts",
    find: "this.#tell(stream, stream.window.startAt(position.oldest));",
    replace: "stream.window.startAt(position.oldest);",
  },
  {
    name: "a hole is asked for once",
    file: "src/repair_requests.ts",
    find: "hole.due = now + this.#retryAfter(stream, hole.attempts);",
    replace: "hole.due = now + 1e9;",
  },
  {
    name: "requests are not answered",
    file: "src/own_stream.ts",
    find: "if (isProven && this.#enqueue(request.ranges ?? [], asker)) return;",
    replace: "if (isProven) return;",
  },
  {
    name: "a repair is never sent to the group",
    file: "src/repairs.ts",
    find: "waiting.size > 1 && now",
    replace: "waiting.size > Infinity && now",
  },
  {
    name: "on first contact nothing older is asked for",
    file: "src/peer_stream.ts",
    find: "if (this.#covers(age, now)) {",
    replace: "if (age >= 0) {",
  },
  {
    name: "on first contact only half of the time is covered",
    file: "src/peer_stream.ts",
    find: "return (now - this.#since) * (1 + DRIFT) + AGE_GRAIN;",
    replace: "return (now - this.#since) / 2;",
  },
  {
    name: "a base is taken whatever the age of what is before it",
    file: "src/peer_stream.ts",
    find: "this.#covers(base.age, now)",
    replace: "base.age >= 0",
  },
  {
    name: "leaving says no last position",
    file: "src/own_stream.ts",
    find: "encodeControl(TYPE_LEAVE, nodeId, { position: this.position })",
    replace: "encodeControl(TYPE_LEAVE, nodeId, { position: { last: 0, oldest: 1, age: Infinity } })",
  },
  {
    name: "a node leaves without a word",
    file: "src/mesh_bus.ts",
    find: "await this.#reliability.leave(",
    replace: "await Promise.resolve(",
  },
  {
    name: "a leave is acknowledged at once",
    file: "src/peer_streams.ts",
    find: "stream.leavingAt ??= now;",
    replace: "stream.leavingAt ??= now;\n    this.#config.onSettled(stream, extension.position?.last ?? 0);",
  },
  {
    name: "what a node that leaves still owes is no gap",
    file: "src/peer_streams.ts",
    find: 'this.#config.onGap(stream.id, stream.giveUp(now), highest, "left");',
    replace: "stream.giveUp(now);",
  },
  {
    name: "the numbers of a lost stream are forgotten",
    file: "src/peer_streams.ts",
    find: "    stream.lostAt = now;\n",
    replace: "    stream.lostAt = now;\n    this.#forget(stream);\n",
  },
  {
    name: "the ring does not have the oldest that it says it holds",
    file: "src/sent_ring.ts",
    find: "return this.#isHeld(number,",
    replace: "return number !== this.#oldest && this.#isHeld(number,",
  },
  {
    name: "the ring grows beyond its bound",
    file: "src/sent_ring.ts",
    find: "Math.floor(maxBytes / this.#segmentLength)",
    replace: "Math.floor(8 * maxBytes / this.#segmentLength)",
  },
  {
    name: "a gap soon after another is not told",
    file: "src/gap_reporter.ts",
    find: "else this.#timer =",
    replace: "else if (wait > 1e9) this.#timer =",
  },
  {
    name: "an event does not touch the guard of its key",
    file: "src/mesh_bus.ts",
    find: "if (!this.#guards.idle) this.#guards.touch(key);\n        this.#subscriptions",
    replace: "this.#subscriptions",
  },
  {
    name: 'with `wire: "go-warp"` a node extends what it sends',
    file: "src/mesh_bus.ts",
    find: "this.#reliability = settings.extended\n      ?",
    replace: "this.#reliability = settings.extended || true\n      ?",
  },
  {
    name: "what was given up is still asked for",
    file: "src/peer_stream.ts",
    find: "const from = this.window.settled + 1;\n    this.#begin(this.window.highest + 1);",
    replace: "const from = this.window.settled + 1;",
  },
  {
    name: "the numbers of a node that has left are forgotten",
    file: "src/peer_streams.ts",
    find: "    stream.leftAt = now;\n",
    replace: "    stream.leftAt = now;\n    this.#forget(stream);\n",
  },
  {
    name: "`minSendRate` is no floor",
    file: "src/pacer.ts",
    find: "Math.max(this.#min, rate)",
    replace: "Math.max(1, rate)",
  },
  {
    name: "the status is current whatever is missing",
    file: "src/mesh_status.ts",
    find: 'isSettled ? "current" : "repairing"',
    replace: '"current"',
  },
  {
    name: "a round of gap events does not touch the guards",
    file: "src/mesh_bus.ts",
    find: "this.#guards.touchAll();\n      this.#subscriptions.gap();",
    replace: "this.#subscriptions.gap();",
  },
];
