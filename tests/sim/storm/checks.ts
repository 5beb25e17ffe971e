/**
 * Storm checks: the properties that must hold in a seeded world. Each check returns a description of what does not
 * hold:
 *
 * - P1: each subscriber gets every key that a node has accepted, or an event that covers it;
 * - P2: nothing that cannot lose a key causes a gap;
 * - P3: there is no event of a key that nobody published, and none comes twice;
 * - P4: memory is bounded, and no key waits for ever;
 * - P5: in the end nothing but heartbeats is sent;
 * - P6: in the end each node knows that it has everything;
 * - P7: go-warp can decode all that it is sent, and a node with `wire: "go-warp"` sends nothing that go-warp does not;
 * - P8: a closed world sends nothing;
 * - P9: a load guard is fresh until its key is touched, or the machine was suspended;
 * - P10: no gap has the reason `overwritten` for what is kept for retransmission;
 * - P11: no more batches are counted as recovered than were counted as missing;
 * - P18: as long as peers are lost, `status()` lists them;
 * - P22: a machine that was suspended is in doubt of all peers as soon as it wakes, and its `staleness` counts the
 *   sleep;
 * - P12: nodes that knew each other know each other again soon after the network lets them.
 *
 * The properties that must hold at every moment are in `invariants.ts`, those of one event each in `soon.ts`. P17 (late
 * datagrams bring no departed peer back) and P21 (unknown nodes get few copies) are checked as things happen. The
 * exceptions have names in `excuses.ts`.
 *
 * @module
 */

import type { Excuse } from "./excuses.ts";
import { meshProblem } from "./invariants.ts";
import { isSeed } from "./mishaps.ts";
import type { StormNode, StormSubscription, TakenGuard } from "./node.ts";
import type { StormWorld } from "./world.ts";

/** Memory that the kept datagrams may take beyond `repairBytes`, in bytes. */
const RING_SLACK = 65_536;
/** Least time for which a guard is kept, in milliseconds. */
const GUARD_LIFE = 60_000;
/** Holes that are kept apart in any case. */
const MAX_HOLES = 16;
/**
 * The end of a node causes a gap when it was first heard with an empty stream less than this before, in milliseconds.
 */
const YOUTH = 60_000;
/** A node whose stream has been empty for so many times the timeout is a reader. */
const READER_AFTER = 4;
/** Largest difference in speed between two clocks. */
const DRIFT = 0.002;
/** Longest time for which a peer may have been unheard in a calm network, in heartbeats. */
const FRESH = 2.5;

/**
 * What is still wrong when the storm is long over. `together` means that nodes which lost each other have had the time
 * to meet again.
 */
export function restProblem(world: StormWorld, together: boolean): string | undefined {
  const running = world.nodes.filter(({ state, mesh }) => state === "running" && mesh !== undefined);
  for (const { index, mesh } of running) {
    const { pending = 0, waiting = 0 } = mesh?.metrics() ?? {};
    if (pending + waiting > 0) return `P4: node ${index} has ${pending} keys pending and ${waiting} waiting`;
  }
  const leaving = world.nodes.find(({ state }) => state === "leaving");
  if (leaving !== undefined) return `P8: node ${leaving.index} is still leaving`;
  const extended = running.filter(({ kind }) => kind === "extended");
  const apart = new Set<StormNode>();
  if (world.plan.maxPeers === undefined) {
    for (const node of extended) {
      for (const other of extended) {
        if (node === other || !mustKnow(world, node, other)) continue;
        const isApart = !isKnown(node, other);
        if (isApart && !together) {
          apart.add(node);
          continue;
        }
        const where = `on node ${node.index} of node ${other.index}`;
        if (isApart) return `${node.metAt.has(other.nodeId) ? "P12" : "P6"}: ${where}: it is not known`;
        const problem = pairProblem(world, node, other);
        if (problem !== undefined) return `P6: ${where}: ${problem}`;
      }
    }
  }
  for (const node of extended) {
    const problem = lostProblem(world, node);
    if (problem !== undefined) return problem;
  }
  return coverProblem(world, apart);
}

/** What is wrong with the lost peers that `status()` lists. */
function lostProblem(world: StormWorld, { index, mesh, partings, joinedAt, heard }: StormNode): string | undefined {
  const status: object | undefined = mesh?.status();
  if (status === undefined) return undefined;
  const lost = "lost" in status && Array.isArray(status.lost) ? status.lost : [];
  const listed = new Set(lost.map((peer: { readonly id: string }) => peer.id));
  for (const [id, { reason, at, heardAt }] of partings) {
    const other = world.nodes.find(({ nodeId }) => nodeId === id);
    if (other === undefined || other.kind !== "extended" || reason !== "expired" || listed.has(id)) continue;
    // Of a node that died young, perhaps only a heartbeat without its extension had come: it was taken for a plain
    // node.
    const isYoung = other.endedAt - (heard.get(other.id)?.firstAt ?? Infinity) < YOUTH;
    if (isYoung && world.plan.troubles.has("truncate")) continue;
    // A node that joins replaces a lost peer, or one that is silent already; and a lost peer may be heard to leave.
    if (
      joinedAt < Math.min(at, heardAt) && other.leavesAt === Infinity &&
      (other.state === "crashed" || other.state === "running")
    ) {
      return `P18: node ${index} does not say that it has lost node ${other.index}`;
    }
  }
  for (const id of listed) {
    const parting = partings.get(id);
    if (parting?.reason === "left") return `P18: node ${index} says that it has lost ${id}, which has left`;
    if (parting === undefined) return `P18: node ${index} says that it has lost ${id}, which is there`;
  }
  const isCurrent = "state" in status && status.state === "current";
  return listed.size > 0 && isCurrent ? `P18: node ${index} is current, and has lost ${listed.size}` : undefined;
}

/** Whether some nodes have yet to meet again. */
export function areApart(world: StormWorld): boolean {
  const running = world.nodes.filter(({ state, kind }) => state === "running" && kind === "extended");
  if (world.plan.maxPeers !== undefined) return false;
  return running.some((node) =>
    running.some((other) => node !== other && mustKnow(world, node, other) && !isKnown(node, other))
  );
}

function isKnown({ metAt, partings }: StormNode, { nodeId }: StormNode): boolean {
  return metAt.has(nodeId) && !partings.has(nodeId);
}

/** The outer nodes of a star need not find each other, but those that have met know each other for good. */
function mustKnow(world: StormWorld, a: StormNode, b: StormNode): boolean {
  if (world.plan.reach !== "star") return true;
  if (isSeed(world, a.host.address) !== isSeed(world, b.host.address)) return true;
  return a.metAt.has(b.nodeId) && b.metAt.has(a.nodeId);
}

function pairProblem({ plan, excuses }: StormWorld, node: StormNode, other: StormNode): string | undefined {
  const { mesh, heartbeat } = node;
  const status = mesh?.status();
  const peer = status?.peers.find(({ id }) => id === other.nodeId);
  if (status === undefined || peer === undefined) return "it is not known";
  if (peer.state !== "current") return `its state is ${peer.state}`;
  if (peer.missing !== 0) return `${peer.missing} are missing`;
  const numbered = status.peers.filter(({ state }) => state !== "plain");
  if (status.plain !== status.peers.length - numbered.length) return `it counts ${status.plain} plain peers`;
  const worse = meshProblem(status);
  if (worse !== undefined) return worse;
  if (peer.staleness <= FRESH * Math.max(heartbeat, other.heartbeat)) return undefined;
  if (plan.lastingLoss > 0) {
    excuses.use("lasting loss");
    return undefined;
  }
  return `the staleness is ${peer.staleness}`;
}

/** A key of which a subscriber got neither an event nor a gap. */
function coverProblem(world: StormWorld, apart: ReadonlySet<StormNode>): string | undefined {
  const { nodes } = world;
  for (const publisher of nodes) {
    if (publisher.kind !== "extended" || publisher.accepted.size === 0) continue;
    for (const receiver of nodes) {
      if (receiver === publisher || receiver.kind !== "extended" || receiver.state !== "running") continue;
      const key = uncoveredKey(world, publisher, receiver);
      if (key === undefined || (apart.has(receiver) && publisher.state === "running")) continue;
      return `P1: node ${receiver.index} has neither ${quote(key)} of node ${publisher.index}, which is ` +
        `${publisher.state}, nor a gap`;
    }
  }
  return undefined;
}

function uncoveredKey(world: StormWorld, publisher: StormNode, receiver: StormNode): string | undefined {
  for (const [key, accepted] of publisher.accepted) {
    for (const subscription of receiver.subscriptions) {
      if (!subscription.covers(key) || subscription.openedAt > accepted) continue;
      if (subscription.hasSince(key, accepted)) continue;
      const excuse = coverExcuse(world, publisher, receiver, accepted);
      if (excuse === undefined) return key;
      world.excuses.use(excuse);
    }
  }
  return undefined;
}

/** Why a key that was accepted at a moment needs no event. */
export function coverExcuse(
  world: StormWorld,
  publisher: StormNode,
  receiver: StormNode,
  accepted: number,
): Excuse | undefined {
  const { nodeId, id } = publisher;
  const heard = receiver.heard.get(id);
  const metAt = receiver.metAt.get(nodeId);
  if (world.plan.maxPeers !== undefined && !isKnown(receiver, publisher)) return "no room";
  if (metAt === undefined || heard === undefined) {
    // A node that was heard with an empty stream may have died young.
    const isYoung = heard?.isNewborn === true && publisher.endedAt - heard.firstAt < YOUTH;
    if (isYoung && (receiver.gapOf.get(nodeId) ?? Infinity) < accepted) return "away";
    return isYoung ? undefined : "never met";
  }
  // Its heartbeats had lost their extension: it was taken for a plain node, and died before it could respond.
  if (receiver.metAsPlain.has(nodeId) && publisher.endedAt - heard.firstAt < YOUTH) return "never met";
  if (publisher.state === "running") return undefined;
  const parting = receiver.partings.get(nodeId);
  if (parting === undefined) return undefined;
  if (parting.order < accepted) return "away";
  const isReader = heard.known === 0 && parting.at - metAt >= READER_AFTER * receiver.peerTimeout;
  return isReader ? "a reader's first key" : undefined;
}

/** What has happened to a node that must not. */
export function nodeProblem(world: StormWorld, node: StormNode): string | undefined {
  const { mesh, peer, index, kind } = node;
  if (kind !== "extended" && world.tap.extendedSenders.has(node.id)) {
    return `P7: node ${index}, ${kind}, has sent an extension`;
  }
  if (peer !== undefined && peer.malformed > 0 && !world.plan.troubles.has("truncate")) {
    return `P7: node ${index}, an original, got ${peer.malformed} malformed datagrams`;
  }
  if (mesh !== undefined && node.state === "running") {
    const { retainedBytes, missing, recovered } = mesh.metrics();
    if (recovered > missing) return `P11: node ${index} has ${missing} missing and ${recovered} repaired`;
    if (retainedBytes > node.repairBytes + RING_SLACK) return `P4: node ${index} keeps ${retainedBytes} bytes`;
    for (const taken of node.guards) {
      const problem = guardProblem(node, taken, world.now);
      if (problem !== undefined) return problem;
    }
  }
  return calmProblem(world, node) ?? eventProblem(world, node);
}

/** A gap in a world that must have none. */
export function calmProblem({ plan, excuses }: StormWorld, node: StormNode): string | undefined {
  const gaps = node.subscriptions.reduce((sum, subscription) => sum + subscription.gaps, 0);
  const unexcused = node.gaps.length > 0 ? node.gaps.length - node.excusedGaps : gaps;
  if (!plan.calm || unexcused === 0) {
    for (let i = node.excusedGaps; plan.calm && i > 0; i--) excuses.use("met on leaving");
    return undefined;
  }
  if (node.longestStall > node.heartbeat) {
    excuses.use("own stall");
    return undefined;
  }
  return `P2: node ${node.index} has ${gaps} gap events, and ${node.gaps.join(", ") || "none of the mesh"}`;
}

function eventProblem({ publishers, plan, excuses }: StormWorld, receiver: StormNode): string | undefined {
  for (const subscription of receiver.subscriptions) {
    for (const [key, count] of subscription.published) {
      const event = `an event of ${quote(key)} on node ${receiver.index}`;
      const from = publishers.get(key) ?? new Set();
      const [publisher] = from;
      if (publisher === undefined) return `P3: ${event}, which no node has published`;
      if (!subscription.covers(key)) return `P3: ${event}, which is not what was subscribed to`;
      if (publisher === receiver && from.size === 1) {
        if (receiver.renamings === 0) return `P3: ${event}, its own`;
        excuses.use("one id");
      }
      // A truncated batch may have lost its number, and holes are merged when there are many and their node has
      // answered nothing.
      if (publisher.kind !== "extended" || receiver.kind !== "extended") continue;
      if (count === 1 || publisher.calls.get(key)?.count !== 1) continue;
      if (plan.maxPeers !== undefined) {
        excuses.use("no room");
        continue;
      }
      // A node that was set back sends again what was heard of it, and its numbers begin anew.
      if (
        plan.kind === "clones" || plan.troubles.has("truncate") || from.size > 1 ||
        (receiver.heard.get(publisher.id)?.holes ?? 0) > MAX_HOLES
      ) {
        excuses.use("twice");
        continue;
      }
      return `P3: ${count} times ${event}, published once by node ${publisher.index}`;
    }
  }
  return undefined;
}

/** What is wrong with the status of a node that has received nothing since its machine was suspended for `time` ms. */
export function wakeProblem({ index, mesh, state }: StormNode, time: number): string | undefined {
  if (state !== "running") return undefined;
  for (const peer of mesh?.status().peers ?? []) {
    if (peer.state === "plain") continue;
    const where = `P22: on node ${index}, just awake after ${time.toFixed()} ms, of ${peer.id}`;
    if (peer.state !== "doubt") return `${where}: its state is ${peer.state}`;
    if (peer.staleness < time * (1 - DRIFT)) return `${where}: the staleness is ${peer.staleness}`;
  }
  return undefined;
}

/** What is wrong with the state of a guard. */
export function guardProblem(
  node: StormNode,
  { key, guard, order, time }: TakenGuard,
  now: number,
): string | undefined {
  const callbacks = node.subscriptions.filter((subscription) => subscription.isCallback && subscription.covers(key));
  const touched = node.calledAt(key) > order ||
    callbacks.some((subscription) => wasTouched(subscription, key, order));
  if (guard.isFresh()) {
    // Where callbacks take long, an event may be of a key that was published and arrived before the guard was taken.
    if (node.longestStall === Infinity && node.calledAt(key) <= order) return undefined;
    const why = touched ? "it was touched" : order < node.awakeSince ? "its machine was suspended" : undefined;
    return why && `P9: the guard of ${quote(key)} on node ${node.index} is fresh though ${why}`;
  }
  // Only a node that subscribes to everything shows that nothing has touched the key.
  const hearsAll = callbacks.some(({ topic, openedAt }) =>
    typeof topic !== "string" && topic.prefix === "" && openedAt < order
  );
  // A key that had waited for room is published when it is accepted.
  const accepted = (node.accepted.get(key) ?? 0) > order;
  if (touched || accepted || !hearsAll || node.lastMeshGap > order || now - time > GUARD_LIFE) return undefined;
  if (node.isDrowsy(now)) return undefined;
  // The key is touched as soon as it arrives, before its turn at a slow callback.
  if ((node.mesh?.metrics().backlog ?? 0) > 0) return undefined;
  // It is also touched by an overflow, of which slow callbacks are notified one after the other.
  const hasBeenNamed = node.subscriptions.some(({ isCallback, lastCover }) => isCallback && lastCover > order);
  if (node.longestStall === Infinity && hasBeenNamed) return undefined;
  return `P9: the guard of ${quote(key)} on node ${node.index} is not fresh though nothing touched it`;
}

function wasTouched(subscription: StormSubscription, key: string, order: number): boolean {
  return subscription.hasSince(key, order);
}

function quote(key: string): string {
  return JSON.stringify(key.length > 40 ? `${key.slice(0, 40)}…` : key);
}
