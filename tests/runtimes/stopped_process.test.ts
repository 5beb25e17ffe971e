// Stopped processes: they stop, crash, or cannot keep up. What they missed arrives later, or is a gap.

import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async";
import process from "node:process";
import { test } from "node:test";
import type { MeshEvent, MeshOptions } from "../../mod.ts";
import { freePort } from "../support/free_port.ts";
import type { Settled } from "../support/loss_node.ts";
import { type LossProcess, type StartLossNode, type Streams, withLossProcesses } from "../support/loss_process.ts";
import { RUNTIMES } from "../support/programs.ts";
import { sized } from "../support/size.ts";

const LOOPBACK: MeshOptions = { interface: "127.0.0.1" };
const STOPPED_MS = sized(3_000, 1_500);
const STOPPED = `${STOPPED_MS / 1000} s`;
// Within this time after the last publish everything is settled: far more than needed.
const WITHIN_MS = 30_000;
// For a machine under load; a timer is not late by itself.
const SLACK_MS = 2_000;

const skip = process.platform === "win32" ? "Windows has no signals that stop a process" : false;

/** A publisher on Node and a receiver on each runtime, all on the loopback interface, which know each other. */
async function startReceivers(
  start: StartLossNode,
  publishing: MeshOptions,
  receiving: MeshOptions,
  busy?: readonly [keys: number, ms: number],
): Promise<[LossProcess, LossProcess[]]> {
  const port = await freePort();
  const publisher = start("node");
  const receivers = RUNTIMES.map((runtime) => start(runtime));
  await Promise.all([
    publisher.open({ ...LOOPBACK, ...publishing, port }),
    ...receivers.map((receiver) => receiver.open({ ...LOOPBACK, ...receiving, port }, busy)),
  ]);
  await Promise.all([
    ...receivers.flatMap((receiver) => [receiver.joined(publisher), publisher.joined(receiver)]),
  ]);
  return [publisher, receivers];
}

/** Asserts that all is delivered or covered; resolves with the results. */
async function assertSettled(receivers: readonly LossProcess[], streams: Streams): Promise<Settled[]> {
  return await Promise.all(receivers.map(async (receiver) => {
    const settled = await receiver.settle(streams, WITHIN_MS);
    assertEquals([settled.lost, settled.repeated], [0, 0], `${receiver.runtime}: ${JSON.stringify(settled)}`);
    return settled;
  }));
}

async function stopAll(receivers: readonly LossProcess[]): Promise<void> {
  for (const receiver of receivers) receiver.signal("SIGSTOP");
  await delay(STOPPED_MS);
  for (const receiver of receivers) receiver.signal("SIGCONT");
}

test(
  `a receiver stopped for ${STOPPED}, less than a heartbeat, and continued gets all that it missed, with no gap`,
  { skip },
  () =>
    withLossProcesses(async (start) => {
      const options = { heartbeat: 5_000, peerTimeout: 15_000 };
      const [publisher, receivers] = await startReceivers(start, options, options);
      // 500 datagrams a second: far less than the sender keeps, more than a system's usual receive buffer.
      await publisher.start({ stream: "a", perTurn: 100, pause: 10 });
      await Promise.all(receivers.map((receiver) => receiver.reached("a", 1_000)));
      await stopAll(receivers);
      const streams = await publisher.stop();
      for (const { covered, invented } of await assertSettled(receivers, streams)) {
        assertEquals([covered, invented], [0, 0]);
      }
      for (const receiver of receivers) {
        assertEquals(receiver.gapsAt(), [], receiver.runtime);
        const { state } = await receiver.current(WITHIN_MS);
        assertEquals(state, "current", receiver.runtime);
      }
    }),
);

test(
  "a receiver stopped for twice as long, less than a heartbeat, gets all that it missed, as datagrams of a key each, with no gap",
  { skip },
  () =>
    withLossProcesses(async (start) => {
      // A receiver stopped for longer than a heartbeat has a gap, and need not request what that covers.
      const options = { heartbeat: 15_000, peerTimeout: 60_000, maxRepairTime: 60_000, batchSize: 1 };
      const [publisher, receivers] = await startReceivers(start, options, { ...options, receiveBuffer: 65_536 });
      await publisher.start({ stream: "a", perTurn: 10, pause: 5 });
      await Promise.all(receivers.map((receiver) => receiver.reached("a", 1_000)));
      for (const receiver of receivers) receiver.signal("SIGSTOP");
      await delay(2 * STOPPED_MS);
      for (const receiver of receivers) receiver.signal("SIGCONT");
      const streams = await publisher.stop();
      for (const { covered, invented } of await assertSettled(receivers, streams)) {
        assertEquals([covered, invented], [0, 0]);
      }
      for (const receiver of receivers) {
        assertEquals(receiver.gapsAt(), [], receiver.runtime);
        const { state, peers } = await receiver.current(WITHIN_MS);
        const gaps = receiver.events().filter(({ type }) => type === "gap");
        assertEquals([state, peers[0]?.missing, gaps], ["current", 0, []], receiver.runtime);
        assert((await receiver.metrics()).recovered > 1_000, receiver.runtime);
      }
    }),
);

test(
  `a receiver stopped for ${STOPPED} at full speed, and forgotten meanwhile, gets everything or a gap`,
  { skip },
  () =>
    withLossProcesses(async (start) => {
      const options = { heartbeat: 250, peerTimeout: 1_000, repairBytes: 65_536 };
      const [publisher, receivers] = await startReceivers(start, options, options);
      await publisher.start({ stream: "a", perTurn: 500 });
      await Promise.all(receivers.map((receiver) => receiver.reached("a", 1_000)));
      await stopAll(receivers);
      const streams = await publisher.stop();
      for (const { covered, invented } of await assertSettled(receivers, streams)) {
        // What was published meanwhile is many times what the sender keeps for retransmission.
        assert(covered > 0);
        assertEquals(invented, 0);
      }
      for (const receiver of receivers) {
        // A machine under load may have stopped it earlier, for less time.
        const isTheStop = (event: MeshEvent) => event.type === "stalled" && event.duration >= STOPPED_MS - 250;
        await receiver.happened(isTheStop, "the stall");
        await receiver.happened(({ type }) => type === "gap", "a gap");
      }
    }),
);

test(
  "receivers of a publisher that is killed in a burst get a gap within `peerTimeout`",
  { skip },
  () =>
    withLossProcesses(async (start) => {
      const peerTimeout = 2_000;
      const options = { heartbeat: 500, peerTimeout };
      const [publisher, receivers] = await startReceivers(start, options, options);
      await publisher.start({ stream: "a", perTurn: 200, tells: true });
      await Promise.all(receivers.map((receiver) => receiver.reached("a", 10_000)));
      publisher.signal("SIGKILL");
      const killedAt = Date.now();
      for (const receiver of receivers) {
        const { nodeId } = publisher.node;
        const { event, at } = await receiver.happened(
          (event) => event.type === "gap" && event.reason === "lost",
          "gap",
        );
        assert(event.type === "gap");
        assertEquals([event.node, event.to], [nodeId, undefined], receiver.runtime);
        assert(at - killedAt < peerTimeout + SLACK_MS, `${receiver.runtime}: ${at - killedAt} ms`);
        await receiver.happened((event) => event.type === "peerLeft" && event.reason === "expired", "leaving");
      }
      // The last report of the publisher: its later accepted keys are unknown.
      const streams = { a: [publisher.progress()] };
      await assertSettled(receivers, streams);
      for (const receiver of receivers) {
        assert(receiver.gapsAt().some((at) => at >= killedAt), receiver.runtime);
        const lost = receiver.events().filter((event) => event.type === "gap" && event.reason === "lost");
        assertEquals(lost.length, 1, receiver.runtime);
      }
    }),
);

test("receivers whose buffer overflows at full speed get everything or a gap", () =>
  withLossProcesses(async (start) => {
    const [publisher, receivers] = await startReceivers(
      start,
      // Full datagrams.
      { heartbeat: 250, peerTimeout: 5_000, batchSize: 65_535, queueSize: 10_000 },
      { heartbeat: 250, peerTimeout: 5_000, receiveBuffer: 16_384 },
      // A slow callback: what comes in meanwhile is many times what the buffer holds, at any rate.
      [20_000, 1_000],
    );
    const streams = await publisher.publish({ stream: "a", perTurn: 500, count: 50_000 });
    const settled = await assertSettled(receivers, streams);
    for (const [i, receiver] of receivers.entries()) {
      const { covered, invented } = settled[i] ?? { covered: NaN, invented: NaN };
      assertEquals(invented, 0);
      // What the callback's own stall covers need not be requested.
      const { missing } = await receiver.metrics();
      assert(covered + missing > 0, `${receiver.runtime} must have lost datagrams`);
      await receiver.current(WITHIN_MS);
    }
  }));
