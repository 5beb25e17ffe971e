/**
 * Rows: those of "How soon" in `docs/guarantees.md` and other time limits, each with a world in which it applies.
 *
 * @module
 */

import type { MemoryDatagram } from "../../../adapters/memory.ts";
import { encodePacket, type MeshOptions } from "../../../mod.ts";
import { LEAST_SLEEP, NOTICED_WITHIN, type StormNode } from "./node.ts";
import { GAP_PAUSE, type Stage } from "./stage.ts";
import { BATCH, firstNumberOf, HEARTBEAT, keysOf, recordsOf, senderOf, STATE } from "./wire.ts";

/** An incident, and how soon subscribers get its event. */
export interface Row {
  /** In the words of the document. */
  readonly what: string;
  /** Whether the table "How soon" has it. */
  readonly isDocumented: boolean;
  /** Whether it takes a second of processor time: then it is drawn seldom. */
  readonly isDear?: boolean;
  play(stage: Stage, what: string): Promise<void>;
}

/** When the position is announced after a burst, in milliseconds: see `docs/wire.md`. */
const ANNOUNCED = [20, 60, 120, 220, 450];
/** Longest time for which the first announcement waits for the next batch while batches flow, in milliseconds. */
const FLOW = 250;
/**
 * `close` tries to send for so long, then waits for so long; what is outstanding after so long is a gap. In
 * milliseconds.
 */
const SENDS_FOR = 600;
const LINGERS_FOR = 1000;
const PATIENCE = 2000;
/** Host prefix of the plain nodes that forged heartbeats name, and the copies of batches that they get in a second. */
const NOBODY = "10.0.9.";
const COPIES = 256;

const TABLE: readonly Row[] = [
  documented("nothing was lost", async (stage, what) => {
    const { random } = stage.world;
    const batchInterval = [0, 20, 100, 3000][random.below(4)] as number;
    const [publisher, ...receivers] = await openFor(stage, 2 + random.below(3), { batchInterval });
    for (let i = 0; i < 5; i++) {
      const accepted = await stage.publish(publisher, `key:${i}`);
      for (const receiver of receivers) {
        await stage.expect(what, receiver, `key:${i}`, accepted + batchInterval + stage.pathDelay + 5);
      }
      await stage.advance(random.below(200));
    }
  }),
  documented("a datagram in the middle of a burst was lost", async (stage, what) => {
    const [publisher, receiver] = await openFor(stage, 2, { batchSize: 1 });
    loseKeys(stage, publisher, receiver, ["key:1"]);
    await stage.publish(publisher, "key:0");
    await stage.publish(publisher, "key:1");
    await stage.advance(1 + stage.world.random.below(5));
    const next = await stage.publish(publisher, "key:2");
    await stage.expect(what, receiver, "key:1", next + stage.recovery);
  }),
  documented("the last datagram of a burst was lost", async (stage, what) => {
    const [publisher, receiver] = await openFor(stage, 2, { batchSize: 1 });
    const lost = stage.world.random.below(ANNOUNCED.length);
    let announced = 0;
    loseKeys(stage, publisher, receiver, ["key:1"], (data) => data[1] === STATE && announced++ < lost);
    await stage.publish(publisher, "key:0");
    await stage.advance(1);
    const last = await stage.publish(publisher, "key:1");
    await stage.expect(what, receiver, "key:1", last + FLOW + (ANNOUNCED[lost] as number) + stage.recovery);
  }),
  documented("all announcements were lost too, or the nodes were cut off", async (stage, what) => {
    const { world, world: { random, plan, network } } = stage;
    const [publisher, receiver] = await openFor(stage, 2);
    const { id } = publisher;
    const isAnnouncement = (data: Uint8Array) => data[1] === STATE && keepsSilent(data);
    const isCut = random.chance(0.5);
    if (isCut) network.cut(publisher.host.address, receiver.host.address);
    world.set({ drop: ({ data }) => senderOf(data) === id && (firstOf(data) > 0 || isAnnouncement(data)) });
    await stage.publish(publisher, "key:0");
    if (isCut) {
      await stage.advance(Math.max(ANNOUNCED.at(-1) as number, random.between(0.1, 0.5) * plan.peerTimeout) + 50);
    }
    network.heal();
    const isHeard = () => (receiver.heard.get(id)?.known ?? 0) > 0 || stage.noticed(receiver, "key:0") !== undefined;
    await network.clock.runUntil(isHeard, 2 * plan.heartbeat + plan.peerTimeout);
    await stage.expect(what, receiver, "key:0", stage.now + stage.recovery + GAP_PAUSE);
  }),
  documented("the publisher does not hold it any more (`repairBytes`, `repairAge`)", async (stage, what) => {
    const { plan, network } = stage.world;
    const [publisher, receiver] = await openFor(stage, 2, { repairAge: 100 });
    network.cut(publisher.host.address, receiver.host.address);
    await stage.publish(publisher, "key:0");
    await stage.advance(Math.max(600, 0.4 * plan.peerTimeout));
    await stage.publish(publisher, "key:1");
    await stage.advance(120);
    network.heal();
    const healed = stage.now;
    const isHeard = () => (receiver.heard.get(publisher.id)?.lastAt ?? 0) > healed;
    await network.clock.runUntil(isHeard, 2 * plan.heartbeat + plan.peerTimeout);
    await stage.expect(what, receiver, "key:0", stage.now + stage.recovery + GAP_PAUSE);
  }),
  documented("something of a publisher that is heard is missing for `maxRepairTime`", async (stage, what) => {
    const { world, world: { random } } = stage;
    const maxRepairTime = random.between(100, 1500);
    const [receiver, publisher] = await openFor(stage, 2, { maxRepairTime });
    const isOfKey = (data: Uint8Array) => data[1] === BATCH && keysOf(data).includes("key:0");
    world.set({ drop: ({ data, receiver: to }) => to === receiver.host.address && isOfKey(data) });
    await stage.publish(publisher, "key:0");
    const next = await stage.publish(publisher, "key:1");
    const found = next + stage.pathDelay;
    while (stage.now < found + maxRepairTime) {
      await stage.advance(50);
      await stage.publish(publisher, `key:${stage.now}`);
    }
    await stage.expect(what, receiver, "key:0", found + maxRepairTime + 50 + stage.pathDelay + GAP_PAUSE + 5);
  }),
  documented("the publisher crashed, or was cut off for longer than `peerTimeout`", async (stage, what) => {
    const { world, world: { random, plan, network } } = stage;
    const [receiver] = await openFor(stage, 2);
    await stage.advance(random.below(3 * plan.heartbeat));
    const publisher = await stage.open();
    publisher.isReplaced = true;
    await stage.advance(
      random.chance(0.5) ? random.between(0, 5) + stage.pathDelay : random.between(0.1, 3) * plan.heartbeat,
    );
    const isUnheard = random.chance(0.5);
    if (isUnheard) network.cut(publisher.host.address, receiver.host.address);
    await stage.publish(publisher, "key:0");
    await stage.advance(random.below(5));
    const isCrash = random.chance(0.7);
    if (isCrash) world.crash(publisher);
    else network.cut(publisher.host.address, receiver.host.address);
    if (isCrash && random.chance(0.3)) {
      await world.open("extended", Number(publisher.host.address.split(".")[3]) - 1);
    }
    await stage.advance(2 * stage.pathDelay);
    const heard = receiver.heard.get(publisher.id);
    if (heard === undefined) return;
    const lost = heard.lastAt + receiver.peerTimeout + plan.heartbeat;
    await stage.expect(what, receiver, "key:0", lost + GAP_PAUSE + 50);
    network.heal();
  }),
  documented("the publisher left by `close()`", async (stage, what) => {
    const { world, world: { random } } = stage;
    const [publisher, receiver] = await openFor(stage, 2);
    world.set({ loss: random.between(0.05, 0.4) });
    const keys = Array.from({ length: 1 + random.below(10) }, (_, i) => `key:${i}`);
    for (const key of keys) await stage.publish(publisher, key);
    const closing = stage.now;
    publisher.isReplaced = true;
    world.leave(publisher);
    await world.network.clock.runUntil(() => publisher.state === "left", LINGERS_FOR + SENDS_FOR + 500);
    const isSettled = stage.now - closing < LINGERS_FOR - 20;
    // By that time no peer can have reported anything missing: an event that comes later is a gap.
    const by = isSettled ? stage.now : stage.now + PATIENCE + world.plan.peerTimeout + world.plan.heartbeat;
    for (const key of keys) await stage.expect(what, receiver, key, by + GAP_PAUSE + 50);
    world.set({ loss: 0 });
  }),
  documented("it left and retransmissions took longer than that second", async (stage, what) => {
    const { world } = stage;
    const [publisher, receiver] = await openFor(stage, 2);
    const { id } = publisher;
    const { address } = receiver.host;
    world.set({ drop: ({ data, receiver: to }) => to === address && data[1] === BATCH && senderOf(data) === id });
    await stage.publish(publisher, "key:0");
    const closing = stage.now;
    publisher.isReplaced = true;
    world.leave(publisher);
    await stage.expect(what, receiver, "key:0", closing + PATIENCE + 2 * stage.pathDelay + GAP_PAUSE + 50);
    world.set({ drop: undefined });
  }),
  documented("the publisher closed and could not send everything within 0.6 s", async (stage, what) => {
    const { world } = stage;
    const [publisher, receiver] = await openFor(stage, 2, {
      batchSize: 1,
      queueSize: 1000,
      minSendRate: 1,
      maxSendRate: 5,
    });
    const count = 60;
    for (let i = 0; i < count; i++) world.publishKey(publisher, `key:${i}`);
    await stage.advance(1);
    const closing = stage.now;
    publisher.isReplaced = true;
    world.leave(publisher);
    const by = closing + SENDS_FOR + stage.recovery + GAP_PAUSE + 100;
    for (let i = 0; i < count; i++) await stage.expect(what, receiver, `key:${i}`, by);
  }),
  documented("it refused a key (`ClosedError`) after it had left", async (stage, what) => {
    const { world, world: { random, network: { clock } } } = stage;
    const [publisher, receiver] = await openFor(stage, 2);
    if (random.chance(0.5)) await stage.publish(publisher, "key:0");
    publisher.isReplaced = true;
    world.leave(publisher);
    await clock.runUntil(() => publisher.state === "left", LINGERS_FOR + SENDS_FOR);
    for (let i = 0; i < 1 + random.below(5); i++) {
      await stage.advance(random.below(3000));
      const since = stage.now;
      let isRefused = false;
      publisher.hasRefused = true;
      publisher.mesh?.publish("key:late").catch(() => isRefused = true);
      await stage.advance(stage.recovery + 2 * GAP_PAUSE);
      if (!isRefused) await stage.advance(400);
      if (!isRefused) stage.fail(what, "the key was taken");
      if (stage.noticed(receiver, "key:late", since) === undefined) {
        stage.fail(what, `a key at ${since} ms is not reported`);
      }
    }
  }),
  documented("it opened, published and closed within milliseconds (a job)", async (stage, what) => {
    const { world, world: { random, network: { clock } } } = stage;
    const receivers = await openFor(stage, 1 + random.below(4));
    const job = await stage.open();
    job.isReplaced = true;
    await stage.advance(random.below(10));
    world.publishKey(job, "key:0");
    world.leave(job);
    await clock.runUntil(() => job.state === "left", LINGERS_FOR + SENDS_FOR);
    const by = stage.now + stage.recovery + GAP_PAUSE;
    if (job.report?.isConfirmed !== true) stage.fail(what, JSON.stringify(job.report));
    for (const receiver of receivers) await stage.expect(what, receiver, "key:0", by);
  }),
  documented("your iterated prefix subscription is too slow", async (stage, what) => {
    const { world, world: { random, network: { clock } } } = stage;
    const [publisher, receiver] = await openFor(stage, 2);
    const capacity = 1 + random.below(8);
    const slow = receiver.mesh?.subscribe({ prefix: "key:" }, { capacity });
    if (slow === undefined) return;
    for (let i = 0; i < capacity + 5; i++) await stage.publish(publisher, `key:${i}`);
    await stage.advance(stage.recovery);
    const causes: string[] = [];
    const reading = (async () => {
      for await (const { cause } of slow) {
        causes.push(cause);
        if (cause === "overflow" || causes.length > capacity) return;
      }
    })();
    await clock.run(reading, 10);
    if (!causes.includes("overflow")) stage.fail(what, `${causes.join(", ")} for ${capacity + 5} keys`);
    void world;
  }),
  documented("the same, when batches came steadily, up to 200 ms apart", async (stage, what) => {
    const { random } = stage.world;
    const [publisher, receiver] = await openFor(stage, 2, { batchSize: 1 });
    const pause = random.between(1, 190);
    for (let i = 0; i < 8; i++) {
      await stage.publish(publisher, `key:${i}`);
      await stage.advance(pause);
    }
    loseKeys(stage, publisher, receiver, ["last"]);
    const last = await stage.publish(publisher, "last");
    await stage.expect(what, receiver, "last", last + Math.min(FLOW, Math.max(20, 2 * pause)) + stage.recovery);
  }),
  documented("callbacks of your process are slow", async (stage, what) => {
    const { world: { random, plan } } = stage;
    const [publisher, receiver] = await openFor(stage, 2, { queueSize: 1000 });
    receiver.busyFor = random.between(2, 60);
    const count = 100;
    for (let i = 0; i < count; i++) await stage.publish(publisher, `key:${i}`);
    // One callback of each of the node's two subscriptions may be under way.
    const by = stage.now + 2 * Math.max(plan.heartbeat, 100) + 3 * receiver.busyFor + stage.recovery;
    await stage.advance(by - stage.now);
    for (let i = 0; i < count; i++) await stage.expect(what, receiver, `key:${i}`, by);
    receiver.busyFor = 0;
  }),
  documented("your process (`heartbeat`, and 0.5 s) or its machine (1 s) stalled", async (stage, what) => {
    const { world: { random, plan } } = stage;
    const [, receiver] = await openFor(stage, 2);
    const isMachine = random.chance(0.5);
    if (isMachine) receiver.host.suspend();
    else receiver.host.pause();
    const time = isMachine ? LEAST_SLEEP : plan.heartbeat + 600;
    await stage.advance(time + random.between(0, plan.heartbeat));
    receiver.host.resume();
    const noticed = isMachine ? NOTICED_WITHIN : 0;
    await stage.expect(what, receiver, "a gap", stage.now + noticed + GAP_PAUSE + stage.recovery);
  }),
  documented("100 ms have not passed since the last gap", async (stage, what) => {
    const { world, world: { plan } } = stage;
    const [receiver, ...others] = await openFor(stage, 4);
    for (const node of others) {
      await stage.publish(node, `key:${node.index}`);
      await stage.advance(world.random.below(100));
    }
    const times: number[] = [];
    receiver.mesh?.events.listen((event) => {
      if (event.type === "gap") times.push(stage.now);
    });
    for (const node of others) {
      node.isReplaced = true;
      world.crash(node);
    }
    await stage.advance(plan.peerTimeout + 2 * plan.heartbeat + GAP_PAUSE);
    const gaps = stage.gaps(receiver);
    for (const at of times) {
      if (!gaps.some((time) => time >= at && time <= at + GAP_PAUSE + 1)) {
        stage.fail(what, `a gap at ${at} ms is not reported`);
      }
    }
    if (times.length < others.length) stage.fail(what, `${times.length} gaps of ${others.length} nodes`);
    if (gaps.some((time, i) => i > 0 && time - (gaps[i - 1] ?? 0) < GAP_PAUSE - 1)) {
      stage.fail(what, `rounds at ${gaps}`);
    }
  }),
];

const FURTHER: readonly Row[] = [
  further("a small datagram was lost among large ones that never arrive", async (stage, what) => {
    const { world, world: { random } } = stage;
    const [publisher, receiver] = await openFor(stage, 2, { minSendRate: 20_000, maxSendRate: 100_000 });
    let small = 0;
    const { address } = receiver.host;
    world.set({
      drop: ({ data, receiver: to }) =>
        to === address && (data.length > 1000 || (firstOf(data) > 0 && ++small % 5 === 0)),
    });
    const large = random.chance(0.5) ? 520 : 100;
    for (let i = 0; i < large; i++) {
      world.publishKey(publisher, `large:${i}`.padEnd(1300, "-"));
      if (i % 50 === 0) await stage.advance(20);
    }
    await stage.advance(1000);
    for (let i = 0; i < 10; i++) {
      const at = await stage.publish(publisher, `small:${i}`);
      await stage.expect(what, receiver, `small:${i}`, at + 1000 + stage.recovery);
    }
    world.set({ drop: undefined });
  }),
  further("forged heartbeats of plain nodes: 256 copies a second at most", async (stage, what) => {
    const { world: { network } } = stage;
    const [publisher] = await openFor(stage, 2, { batchSize: 1 });
    const forger = await network.host("10.0.0.250").bind({
      host: "0.0.0.0",
      port: 5000,
      shared: false,
      sendsMulticast: false,
      multicastLoopback: false,
      multicastTtl: 1,
    }, { message() {}, error() {} });
    for (let i = 1; i <= 100; i++) {
      const nodeId = stage.world.random.bytes(16);
      const key = new TextEncoder().encode(`${NOBODY}${i}:5000`);
      await forger.send(encodePacket({ type: HEARTBEAT, nodeId, keyHash: 0n, key }), publisher.host.address, 7946);
    }
    await stage.advance(10 + 2 * stage.pathDelay);
    let copies = 0;
    const end = network.tap(({ fate, data, to }) => {
      if (fate === "sent" && data[1] === BATCH && (to.host.startsWith(NOBODY) || to.port === 5000)) copies++;
    });
    for (let i = 0; i < 50; i++) {
      await stage.publish(publisher, `key:${i}`);
      await stage.advance(20);
    }
    end();
    await forger.close();
    if (copies > 2 * COPIES) stage.fail(what, `${copies} copies in a second`);
  }),
  further("a node publishes every 100 ms: 1.2 datagrams for each at most", async (stage, what) => {
    const { world: { plan, network } } = stage;
    if (plan.reach !== "multicast") return;
    const [publisher] = await openFor(stage, 2 + stage.world.random.below(3));
    let sent = 0;
    const end = network.tap(({ fate, data, from }) => {
      if (fate === "sent" && from.host === publisher.host.address && data[1] !== HEARTBEAT) sent++;
    });
    const count = 40;
    for (let i = 0; i < count; i++) {
      await stage.publish(publisher, `key:${i}`);
      await stage.advance(100);
    }
    end();
    if (sent > 1.2 * count + ANNOUNCED.length) stage.fail(what, `${sent} datagrams for ${count} keys`);
  }),
  dear("two of a hundred datagrams are lost: the rate stays above 80 %", async (stage, what) => {
    const { world, world: { network: { clock } } } = stage;
    const rate = 30_000;
    const options = { batchSize: 1, queueSize: 20_000, minSendRate: 2000, maxSendRate: rate };
    const [publisher] = await openFor(stage, 2, options);
    world.set({ loss: 0.02 });
    const count = 12_000;
    const begun = stage.now;
    for (let i = 0; i < count; i++) world.publishKey(publisher, `key:${i}`);
    const isDone = () => {
      const { pending = 0, waiting = 0 } = publisher.mesh?.metrics() ?? {};
      return pending + waiting === 0;
    };
    await clock.runUntil(isDone, 40_000);
    const took = stage.now - begun;
    if (took > count / rate / 0.8 * 1000 + 50) stage.fail(what, `${count} datagrams have taken ${took.toFixed()} ms`);
    world.set({ loss: 0 });
  }),
];

/** All of them. */
export const ROWS: readonly Row[] = [...TABLE, ...FURTHER];

function documented(what: string, play: Row["play"]): Row {
  return { what, isDocumented: true, play };
}

function further(what: string, play: Row["play"]): Row {
  return { what, isDocumented: false, play };
}

function dear(what: string, play: Row["play"]): Row {
  return { ...further(what, play), isDear: true };
}

/** At least two nodes. */
async function openFor(
  stage: Stage,
  count: number,
  first: MeshOptions = {},
): Promise<[StormNode, StormNode, ...StormNode[]]> {
  return await stage.openAll(count, first) as [StormNode, StormNode, ...StormNode[]];
}

/** The number of a batch that is sent for the first time, else 0. */
function firstOf(data: Uint8Array): number {
  return data[1] === BATCH ? firstNumberOf(data, recordsOf(data) ?? []) : 0;
}

/**
 * Loses batches with one of these keys the first time that they are sent to a node, and whatever else carries the
 * position.
 */
function loseKeys(
  stage: Stage,
  { id }: StormNode,
  { host: { address } }: StormNode,
  keys: readonly string[],
  loses: (data: Uint8Array) => boolean = () => false,
): void {
  const drop = ({ data, receiver }: MemoryDatagram) => {
    if (receiver !== address || senderOf(data) !== id) return false;
    return loses(data) || (firstOf(data) > 0 && keysOf(data).some((key) => keys.includes(key)));
  };
  stage.world.set({ drop });
}

/** Lets answers to requests through again. */
function keepsSilent(data: Uint8Array): boolean {
  return !(recordsOf(data) ?? []).some(({ tag }) => tag === 4);
}
