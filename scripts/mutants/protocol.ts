/**
 * Mutants of the protocol: breakages of loss recovery.
 *
 * @module
 */

import { judgedBy, type Mutant } from "./mutant.ts";

/** Breakages of loss recovery, which the storms must notice. */
export const PROTOCOL: readonly Mutant[] = judgedBy("storms", [
  {
    name: "numbers that were requested in vain delay all other requests",
    file: "src/reliability/receive_window.ts",
    find: "return attempts >= VAIN_ATTEMPTS && heardAt",
    replace: "return attempts >= Infinity && heardAt",
  },
  {
    name: "forged numbers count as missing for ever",
    file: "src/reliability/receive_window.ts",
    find: "if (hole.attempts > 0) this.#shared.requested -= count;",
    replace: "",
  },
  {
    name: "every loss is congestion",
    file: "src/reliability/congestion_detector.ts",
    find: "return share * count + 2 * Math.sqrt(share * count) + 2;",
    replace: "return 0 * share * count;",
  },
  {
    name: "no loss is congestion",
    file: "src/reliability/send_stream.ts",
    find: 'loss === "congestion" && !isStale && pacer.onLoss(carried)',
    replace: "false",
  },
  {
    name: "a loss of long ago is congestion",
    file: "src/reliability/send_stream.ts",
    find: "!isStale && pacer.onLoss",
    replace: "pacer.onLoss",
  },
  {
    name: "numbers that arrived before the rate fell are not counted",
    file: "src/reliability/congestion_detector.ts",
    find: "if (fall === undefined || !isCongested) return",
    replace: "return",
  },
  {
    name: "a peer that was suspended is taken for a narrow path",
    file: "src/reliability/congestion_detector.ts",
    find: "if (lost === WINDOW) return",
    replace: "if (lost > WINDOW) return",
  },
  {
    name: "a node that is behind requests before it reads",
    file: "src/reliability/nak_scheduler.ts",
    find: "this.#turns = TURNS;",
    replace: "this.#turns = 0;",
  },
  {
    name: "batches do not get smaller on a narrow path",
    file: "src/membership/path_mtu.ts",
    find: "this.#config.batcher.limit = limit;",
    replace: "",
  },
  {
    name: "a narrow path stays narrow for ever",
    file: "src/membership/path_mtu.ts",
    find: "path.timer = clock.setTimer(() => this.#raise(id, path), RAISE_AFTER);",
    replace: "",
  },
  {
    name: "a random loss is taken for a narrow path",
    file: "src/membership/path_mtu.ts",
    find: "return lost ** tries < UNLIKELY;",
    replace: "return tries > 0;",
  },
  {
    name: "the position is not announced after a burst",
    file: "src/reliability/send_stream.ts",
    find: 'if (isDue) transmit.sendControlPacket(encodeControl(TYPE_STATE, nodeId, this.positionRecords), "extended");',
    replace: "",
  },
  {
    name: "the position is announced for ever",
    file: "src/reliability/send_stream.ts",
    find: "const after = ANNOUNCE_AFTER[round];",
    replace: "const after = ANNOUNCE_AFTER[round] ?? 1000;",
  },
  {
    name: "the announcement after a steady flow is late",
    file: "src/reliability/send_stream.ts",
    find: "Math.min(this.#interval * FLOW_PATIENCE, MAX_FLOW_PATIENCE) - first",
    replace: "20 * this.#interval - first",
  },
  {
    name: "a steady flow is announced as a burst",
    file: "src/reliability/send_stream.ts",
    find: "if (this.#flow < MIN_FLOW) return 0;",
    replace: "return 0;",
  },
  {
    name: "heartbeats carry no position",
    file: "src/membership/heartbeat_sender.ts",
    find: "encodeExtension({ ...records, ...payload, node })",
    replace: "encodeExtension({ position: { last: 0, oldest: 1, age: Infinity }, ...payload, node })",
  },
  {
    name: "a duplicate is accepted as new",
    file: "src/reliability/receive_streams.ts",
    find: "this.#reused(stream, number, number);\n      return false;",
    replace: "this.#reused(stream, number, number);",
  },
  {
    name: "the first number of a hole is taken for a duplicate",
    file: "src/reliability/receive_window.ts",
    find: "hole.from > number) return",
    replace: "hole.from >= number) return",
  },
  {
    name: "a hole begins one too late",
    file: "src/reliability/receive_window.ts",
    find: "from: this.#highest + 1,",
    replace: "from: Math.min(this.#highest + 2, last),",
  },
  {
    name: "a hole ends one too early",
    file: "src/reliability/receive_window.ts",
    find: "this.extend(number - 1, now, due);",
    replace: "this.extend(number - 2, now, due);",
  },
  {
    name: "numbers below a retransmission in the middle of a hole are forgotten",
    file: "src/reliability/receive_window.ts",
    find: "this.#insert(index, { ...hole, to: number - 1 });",
    replace: "this.#missing -= number - hole.from;",
  },
  {
    name: "a lost stream is no gap",
    file: "src/reliability/receive_streams.ts",
    find: 'if (isLoss) this.#config.losses.gap(stream.id, stream.giveUp(now), undefined, "lost");',
    replace: "if (isLoss) stream.giveUp(now);",
  },
  {
    name: "a stream that is heard all the time is lost",
    file: "src/reliability/receive_streams.ts",
    find: "    stream.heardAt = now;\n",
    replace: "",
  },
  {
    name: "numbers below `oldest` are no gap",
    file: "src/reliability/receive_streams.ts",
    find: "this.#reportOverwritten(stream, stream.window.startAt(position.oldest));",
    replace: "stream.window.startAt(position.oldest);",
  },
  {
    name: "a hole is requested once",
    file: "src/reliability/nak_scheduler.ts",
    find: "window.nakSent(hole, now, now + this.#retryAfter(stream, hole.attempts + 1, isSeldom));",
    replace: "window.nakSent(hole, now, now + 1e9);",
  },
  {
    name: "requests are not answered",
    file: "src/reliability/send_stream.ts",
    find: "if (isValidated && this.#enqueue(request.ranges ?? [], requester)) return;",
    replace: "if (isValidated) return;",
  },
  {
    name: "a retransmission is never sent to the group",
    file: "src/reliability/retransmit_queue.ts",
    find: "waiting.size > 1 && now",
    replace: "waiting.size > Infinity && now",
  },
  {
    name: "on first contact no older number is requested",
    file: "src/reliability/receive_stream.ts",
    find: "if (this.#covers(age, now)) {",
    replace: "if (age >= 0) {",
  },
  {
    name: "on first contact only half of the time is covered",
    file: "src/reliability/receive_stream.ts",
    find: "return (now - this.#since) * (1 + DRIFT) + AGE_GRAIN;",
    replace: "return (now - this.#since) / 2;",
  },
  {
    name: "a base is accepted with any age of what is before it",
    file: "src/reliability/receive_stream.ts",
    find: "this.#covers(base.age, now)",
    replace: "base.age >= 0",
  },
  {
    name: "a leave carries no last position",
    file: "src/reliability/send_stream.ts",
    find: "encodeControl(TYPE_LEAVE, nodeId, { position: this.position })",
    replace: "encodeControl(TYPE_LEAVE, nodeId, { position: { last: 0, oldest: 1, age: Infinity } })",
  },
  {
    name: "a node sends no leave",
    file: "src/reliability/shutdown.ts",
    find: "await reliability.leave(",
    replace: "await Promise.resolve(",
  },
  {
    name: "a leave is acknowledged at once",
    file: "src/reliability/receive_streams.ts",
    find: "stream.leavingAt ??= now;",
    replace: "stream.leavingAt ??= now;\n    this.#config.acks.onSettled(stream, extension.position?.last ?? 0);",
  },
  {
    name: "what a departing node has not retransmitted is no gap",
    file: "src/reliability/receive_streams.ts",
    find: 'this.#config.losses.gap(stream.id, stream.giveUp(now), highest, "left");',
    replace: "stream.giveUp(now);",
  },
  {
    name: "the numbers of a lost stream are forgotten",
    file: "src/reliability/receive_streams.ts",
    find: "    stream.announced.length = 0;\n    this.#table.markDeparted(stream);",
    replace: "    stream.announced.length = 0;\n    this.#table.forget(stream);",
  },
  {
    name: "the buffer does not have the oldest number that it claims to hold",
    file: "src/reliability/retransmit_buffer.ts",
    find: "return this.#isHeld(number,",
    replace: "return number !== this.#oldest && this.#isHeld(number,",
  },
  {
    name: "the buffer grows beyond its bound",
    file: "src/reliability/retransmit_buffer.ts",
    find: "Math.floor(maxBytes / this.#segmentLength)",
    replace: "Math.floor(8 * maxBytes / this.#segmentLength)",
  },
  {
    name: "a gap soon after another is not reported",
    file: "src/pubsub/gap_reporter.ts",
    find: "else this.#timer =",
    replace: "else if (wait > 1e9) this.#timer =",
  },
  {
    name: "an event does not touch the guard of its key",
    file: "src/pubsub/key_intake.ts",
    find: "if (!this.#guards.idle) this.#guards.touch(key.text);\n    this.#dispatcher",
    replace: "this.#dispatcher",
  },
  {
    name: 'with `wire: "go-warp"` a node extends what it sends',
    file: "src/node_parts.ts",
    find: "const pacer = extended ?",
    replace: "const pacer = extended || true ?",
  },
  {
    name: "numbers that were given up are still requested",
    file: "src/reliability/receive_stream.ts",
    find: "const from = this.window.settled + 1;\n    this.#begin(this.window.highest + 1);",
    replace: "const from = this.window.settled + 1;",
  },
  {
    name: "the numbers of a node that has left are forgotten",
    file: "src/reliability/receive_streams.ts",
    find: "    stream.leftAt = now;\n    this.#table.markDeparted(stream);",
    replace: "    stream.leftAt = now;\n    this.#table.forget(stream);",
  },
  {
    name: "`minSendRate` is no floor",
    file: "src/net/pacer.ts",
    find: "Math.max(this.#min, rate)",
    replace: "Math.max(1, rate)",
  },
  {
    name: "the status is current whatever is missing",
    file: "src/observability/status.ts",
    find: 'isSettled ? "current" : "repairing"',
    replace: '"current"',
  },
  {
    name: "a round of gap events does not touch the guards",
    file: "src/pubsub/loss_notifier.ts",
    find: "this.#config.guards.touchAll();\n    this.#config.dispatcher",
    replace: "this.#config.dispatcher",
  },
  {
    name: "the announcement goes to the group alone",
    file: "src/reliability/send_stream.ts",
    find: 'this.positionRecords), "extended");',
    replace: 'this.positionRecords), "group");',
  },
  {
    name: "all nodes of a large mesh acknowledge the leave of an unknown node",
    file: "src/reliability/acknowledgements.ts",
    find: "isKnown || suppression.isChosen(0)",
    replace: "isKnown || suppression",
  },
  {
    name: "acknowledgements have no limit",
    file: "src/reliability/acknowledgements.ts",
    find: "if (this.#limit.allow()) transmit",
    replace: "transmit",
  },
]);
