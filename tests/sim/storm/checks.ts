/**
 * What must hold in a seeded world. Each check returns in words what does not: P1 to P11 are
 *
 * - P1: what a node has accepted, each subscriber gets, or an event that covers it;
 * - P2: nothing that cannot lose a key makes a gap;
 * - P3: no event of a key that nobody published, and none twice;
 * - P4: memory is bounded, and nothing waits for ever;
 * - P5: in the end nothing but heartbeats is sent;
 * - P6: in the end all know that they have everything;
 * - P7: the original can read all that it is sent, and `wire: "go-warp"` sends nothing else than it does;
 * - P8: a closed world is still;
 * - P9: a load guard is fresh until it is touched, or the machine was suspended;
 * - P10: what is kept for repair is not told to be gone;
 * - P11: nothing is counted as repaired that was not counted as missing;
 * - P18: as long as peers are lost, `status()` says so;
 * - P22: a machine that was suspended is in doubt of all peers as soon as it wakes, and counts the sleep;
 * - P12: who knew each other know each other again, soon after they can talk.
 *
 * Those that must hold at every moment are in `invariants.ts`, those of one time each in `soon.ts`; P17, that what is
 * late brings nobody back, and P21, that nodes which nobody knows get few copies, are looked at when something happens. What is let pass has a name in `excuses.ts`.
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
/** Least time that a guard is kept, in milliseconds. */
const GUARD_LIFE = 60_000;
/** Holes that are told apart in any case. */
const MAX_HOLES = 16;
/** A node that ends within so many milliseconds of being heard with an empty stream is a gap. */
const YOUTH = 60_000;
/** A node with an empty stream is a reader after so many times the timeout. */
const READER_AFTER = 4;
/** Two clocks differ by so much in speed. */
const DRIFT = 0.002;
/** Longest that a peer may have been unheard in a calm network, in heartbeats. */
const FRESH = 2.5;

/**
 * What is not yet as it must be when the storm is long over. `together` says that those who have lost each other have had
 * the time to meet again.
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

/** What `status()` says of those who were lost. */
function lostProblem(world: StormWorld, { index, mesh, partings, joinedAt, heard }: StormNode): string | undefined {
  const status: object | undefined = mesh?.status();
  if (status === undefined) return undefined;
  const lost = "lost" in status && Array.isArray(status.lost) ? status.lost : [];
  const told = new Set(lost.map((peer: { readonly id: string }) => peer.id));
  for (const [id, { reason, at, heardAt }] of partings) {
    const other = world.nodes.find(({ nodeId }) => nodeId === id);
    if (other === undefined || other.kind !== "extended" || reason !== "expired" || told.has(id)) continue;
    // Of one that died young nothing may have come but a heartbeat without its extension: it was plain.
    const isYoung = other.endedAt - (heard.get(other.id)?.firstAt ?? Infinity) < YOUTH;
    if (isYoung && world.plan.troubles.has("truncate")) continue;
    // Each newcomer stands for one that was lost, or is silent already; and who was lost may be heard to leave.
    if (
      joinedAt < Math.min(at, heardAt) && other.leavesAt === Infinity &&
      (other.state === "crashed" || other.state === "running")
    ) {
      return `P18: node ${index} does not say that it has lost node ${other.index}`;
    }
  }
  for (const id of told) {
    const parting = partings.get(id);
    if (parting?.reason === "left") return `P18: node ${index} says that it has lost ${id}, which has left`;
    if (parting === undefined) return `P18: node ${index} says that it has lost ${id}, which is there`;
  }
  const isCurrent = "state" in status && status.state === "current";
  return told.size > 0 && isCurrent ? `P18: node ${index} is current, and has lost ${told.size}` : undefined;
}

/** Whether some have yet to meet again. */
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

/** The points of a star need not find each other, but those who have know each other for good. */
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

/** A key that a subscriber neither got nor was told to have missed. */
export function coverProblem(world: StormWorld, apart: ReadonlySet<StormNode>): string | undefined {
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
function coverExcuse(
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
    // One that was heard with an empty stream may have died young.
    const isYoung = heard?.isNewborn === true && publisher.endedAt - heard.firstAt < YOUTH;
    if (isYoung && (receiver.gapOf.get(nodeId) ?? Infinity) < accepted) return "away";
    return isYoung ? undefined : "never met";
  }
  // Its heartbeats were cut before their extension: it was a plain node, and died before it could answer.
  if (receiver.metAsPlain.has(nodeId) && publisher.endedAt - heard.firstAt < YOUTH) return "never met";
  if (publisher.state === "running") return undefined;
  const parting = receiver.partings.get(nodeId);
  if (parting === undefined) return undefined;
  if (parting.order < accepted) return "away";
  const isReader = heard.told === 0 && parting.at - metAt >= READER_AFTER * receiver.peerTimeout;
  return isReader ? "a reader's first key" : undefined;
}

/** What should not have happened to a node. */
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

/** A gap where there must be none. */
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
      if (publisher === undefined) return `P3: ${event}, which nobody has published`;
      if (!subscription.covers(key)) return `P3: ${event}, which is not what was subscribed to`;
      if (publisher === receiver && from.size === 1) return `P3: ${event}, its own`;
      // A cut can take the number away from a batch, and of many holes some become one as long as their node has answered
      // nothing.
      if (publisher.kind !== "extended" || receiver.kind !== "extended") continue;
      if (count === 1 || publisher.calls.get(key)?.count !== 1) continue;
      if (plan.maxPeers !== undefined) {
        excuses.use("no room");
        continue;
      }
      // One that is set back sends again what was heard of it, and its numbers begin anew.
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

/** What a node says that is told nothing since its machine was suspended for so many milliseconds. */
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

/** A guard that says the wrong thing. */
export function guardProblem(
  node: StormNode,
  { key, guard, order, time }: TakenGuard,
  now: number,
): string | undefined {
  const callbacks = node.subscriptions.filter((subscription) => subscription.isCallback && subscription.covers(key));
  const touched = (node.calls.get(key)?.order ?? 0) > order ||
    callbacks.some((subscription) => wasTouched(subscription, key, order));
  if (guard.isFresh()) {
    // Where callbacks take long, an event may be of a key that had come, and was published, before the guard was taken.
    if (node.longestStall === Infinity && (node.calls.get(key)?.order ?? 0) <= order) return undefined;
    const why = touched ? "it was touched" : order < node.awakeSince ? "its machine was suspended" : undefined;
    return why && `P9: the guard of ${quote(key)} on node ${node.index} is fresh though ${why}`;
  }
  // Only who hears everything can say that nothing has touched it.
  const hearsAll = callbacks.some(({ topic, openedAt }) =>
    typeof topic !== "string" && topic.prefix === "" && openedAt < order
  );
  // One that had waited for room is published when it is accepted.
  const accepted = (node.accepted.get(key) ?? 0) > order;
  if (touched || accepted || !hearsAll || node.lastMeshGap > order || now - time > GUARD_LIFE) return undefined;
  if (node.isDrowsy(now)) return undefined;
  // It is touched as soon as a key has come, before the key's turn at a slow callback.
  if ((node.mesh?.metrics().backlog ?? 0) > 0) return undefined;
  // And by an overflow, of which callbacks that take long are told one after the other.
  const hasBeenNamed = node.subscriptions.some(({ isCallback, lastCover }) => isCallback && lastCover > order);
  if (node.longestStall === Infinity && hasBeenNamed) return undefined;
  return `P9: the guard of ${quote(key)} on node ${node.index} is not fresh though nothing touched it`;
}

function wasTouched(subscription: StormSubscription, key: string, order: number): boolean {
  return (subscription.lastEvent.get(key) ?? 0) > order || subscription.lastCover > order;
}

function quote(key: string): string {
  return JSON.stringify(key.length > 40 ? `${key.slice(0, 40)}…` : key);
}
