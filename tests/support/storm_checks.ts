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
 * - P9: a load guard is fresh until it is touched;
 * - P10: what is kept for repair is not told to be gone;
 * - P11: nothing is counted as repaired that was not counted as missing.
 *
 * @module
 */

import type { StormNode, StormSubscription, TakenGuard } from "./storm_node.ts";
import type { StormWorld } from "./storm_world.ts";
import { hostAddress } from "./worlds.ts";

/** Memory that the kept datagrams may take beyond `repairBytes`, in bytes. */
const RING_SLACK = 65_536;
/** Least time that a guard is kept, in milliseconds. */
const GUARD_LIFE = 60_000;
/** Holes that are told apart in any case. */
const MAX_HOLES = 16;
/** Longest that a peer may have been unheard in a calm network, in heartbeats. */
const FRESH = 2.5;

/** What is not yet as it must be when the storm is long over. */
export function restProblem(world: StormWorld): string | undefined {
  const running = world.nodes.filter(({ state, mesh }) => state === "running" && mesh !== undefined);
  for (const { index, mesh } of running) {
    const { pending = 0, waiting = 0 } = mesh?.metrics() ?? {};
    if (pending + waiting > 0) return `P4: node ${index} has ${pending} keys pending and ${waiting} waiting`;
  }
  const leaving = world.nodes.find(({ state }) => state === "leaving");
  if (leaving !== undefined) return `P8: node ${leaving.index} is still leaving`;
  const extended = running.filter(({ kind }) => kind === "extended");
  for (const node of extended) {
    for (const other of extended) {
      if (node === other || !canTalk(world, node, other)) continue;
      const problem = pairProblem(world, node, other);
      if (problem !== undefined) return `P6: on node ${node.index} of node ${other.index}: ${problem}`;
    }
  }
  return coverProblem(world.nodes);
}

function canTalk({ plan }: StormWorld, a: StormNode, b: StormNode): boolean {
  const center = hostAddress(0);
  return plan.reach !== "star" || (a.host.address === center) !== (b.host.address === center);
}

function pairProblem({ plan }: StormWorld, { mesh }: StormNode, other: StormNode): string | undefined {
  const status = mesh?.status();
  const peer = status?.peers.find(({ id }) => id === other.nodeId);
  if (status === undefined || peer === undefined) return "it is not known";
  if (peer.state !== "current") return `its state is ${peer.state}`;
  if (peer.missing !== 0) return `${peer.missing} are missing`;
  const plain = status.peers.some(({ state }) => state === "plain");
  if (plain) {
    return status.staleness === Infinity ? undefined : `the staleness is ${status.staleness} with a plain peer`;
  }
  const longest = status.peers.reduce((most, { staleness }) => Math.max(most, staleness), 0);
  if (status.staleness !== longest) return `the staleness is ${status.staleness}, that of one peer ${longest}`;
  if (plan.lastingLoss > 0 || peer.staleness <= FRESH * plan.heartbeat) return undefined;
  return `the staleness is ${peer.staleness}`;
}

/** A key that a subscriber neither got nor was told to have missed. */
export function coverProblem(nodes: readonly StormNode[]): string | undefined {
  for (const publisher of nodes) {
    if (publisher.kind !== "extended" || publisher.accepted.size === 0) continue;
    for (const receiver of nodes) {
      if (receiver === publisher || receiver.kind !== "extended" || receiver.state !== "running") continue;
      const key = uncoveredKey(publisher, receiver);
      if (key === undefined) continue;
      return `P1: node ${receiver.index} has neither ${quote(key)} of node ${publisher.index}, which is ` +
        `${publisher.state}, nor a gap`;
    }
  }
  return undefined;
}

function uncoveredKey(publisher: StormNode, receiver: StormNode): string | undefined {
  const heard = receiver.heard.get(publisher.id);
  // Nothing is known of a node that was never heard.
  if (heard === undefined) return undefined;
  const lost = receiver.lost.get(publisher.nodeId) ?? 0;
  for (const [key, accepted] of publisher.accepted) {
    // Lost before, and not heard since: it was told then.
    if (lost > 0 && lost < accepted && heard.last < lost) continue;
    for (const subscription of receiver.subscriptions) {
      if (!subscription.covers(key) || subscription.openedAt > accepted) continue;
      if (!subscription.hasSince(key, accepted)) return key;
    }
  }
  return undefined;
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
    const { retainedBytes, missing, repaired } = mesh.metrics();
    if (repaired > missing) return `P11: node ${index} has ${missing} missing and ${repaired} repaired`;
    if (retainedBytes > node.repairBytes + RING_SLACK) return `P4: node ${index} keeps ${retainedBytes} bytes`;
    for (const taken of node.guards) {
      const problem = guardProblem(node, taken, world.now);
      if (problem !== undefined) return problem;
    }
  }
  return calmProblem(world, node) ?? eventProblem(world, node);
}

/** A gap where there must be none. */
export function calmProblem({ plan }: StormWorld, node: StormNode): string | undefined {
  const gaps = node.subscriptions.reduce((sum, subscription) => sum + subscription.gaps, 0);
  const unexcused = node.gaps.length > 0 ? node.gaps.length - node.excusedGaps : gaps;
  if (!plan.calm || unexcused === 0) return undefined;
  return `P2: node ${node.index} has ${gaps} gap events, and ${node.gaps.join(", ") || "none of the mesh"}`;
}

function eventProblem({ publishers, plan }: StormWorld, receiver: StormNode): string | undefined {
  for (const subscription of receiver.subscriptions) {
    for (const [key, count] of subscription.published) {
      const event = `an event of ${quote(key)} on node ${receiver.index}`;
      const from = publishers.get(key) ?? new Set();
      const [publisher] = from;
      if (publisher === undefined) return `P3: ${event}, which nobody has published`;
      if (!subscription.covers(key)) return `P3: ${event}, which is not what was subscribed to`;
      if (publisher === receiver && from.size === 1) return `P3: ${event}, its own`;
      // A cut can take the number away from a batch, who was lost may be new when it is heard again, and of many holes
      // some become one as long as their node has answered nothing.
      const exempt = plan.troubles.has("truncate") || from.size > 1 || publisher.kind !== "extended" ||
        receiver.kind !== "extended" || receiver.expired.has(publisher.nodeId) ||
        (receiver.heard.get(publisher.id)?.holes ?? 0) > MAX_HOLES;
      if (exempt || count === 1 || publisher.calls.get(key)?.count !== 1) continue;
      return `P3: ${count} times ${event}, published once by node ${publisher.index}`;
    }
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
    return touched ? `P9: the guard of ${quote(key)} on node ${node.index} is fresh though it was touched` : undefined;
  }
  // Only who hears everything can say that nothing has touched it.
  const hearsAll = callbacks.some(({ topic, openedAt }) =>
    typeof topic !== "string" && topic.prefix === "" && openedAt < order
  );
  // One that had waited for room is published when it is accepted.
  const accepted = (node.accepted.get(key) ?? 0) > order;
  if (touched || accepted || !hearsAll || node.lastMeshGap > order || now - time > GUARD_LIFE) return undefined;
  return `P9: the guard of ${quote(key)} on node ${node.index} is not fresh though nothing touched it`;
}

function wasTouched(subscription: StormSubscription, key: string, order: number): boolean {
  return (subscription.lastEvent.get(key) ?? 0) > order || subscription.lastGap > order;
}

function quote(key: string): string {
  return JSON.stringify(key.length > 40 ? `${key.slice(0, 40)}…` : key);
}
