/**
 * Invariants: the properties that must hold at every moment of a seeded world, not only in the end:
 *
 * - P14: `staleness` is never less than the age of the oldest key that was accepted and is outstanding;
 * - P15: a peer is not `current` while something is missing whose number the node has heard;
 * - P20: where nothing is lost, nothing is outstanding for more than two heartbeats, even when callbacks take long;
 * - P16: the state of the mesh is the worst of its peers' states, and a node that never answered is no peer.
 *
 * @module
 */

import type { MeshStatus } from "../../../mod.ts";
import type { StormNode } from "./node.ts";
import type { StormWorld } from "./world.ts";

/** Stalls that are too short to be detected, and the resolution of ages, in milliseconds. */
const SLACK = 505;
/** Largest difference in speed between two clocks. */
const DRIFT = 0.002;
/** Heartbeats after which a subscriber that cannot keep up gets an overflow. */
const LONGEST = 2;
const WEIGHTS = ["current", "partial", "repairing", "doubt"];

/** Checks all nodes. It costs next to nothing while nothing is outstanding for long. */
export function watchProblem(world: StormWorld): string | undefined {
  let [since, slack] = [NaN, NaN];
  const statuses = new Map<StormNode, MeshStatus | undefined>();
  const statusOf = (node: StormNode) => {
    if (!statuses.has(node)) statuses.set(node, node.mesh?.status());
    return statuses.get(node);
  };
  let problem: string | undefined;
  world.ledger.eachOwing(world.now, (receiver, publisher, { key, at, sentAt }) => {
    if (problem !== undefined || receiver.state !== "running" || receiver.asleep) return;
    const age = world.now - at;
    if (at !== since) [since, slack] = [at, SLACK + 2 * world.delays.variation(at)];
    // They may have met late, as the only node that both knew was absent.
    const together = Math.min(age, world.now - metAt(receiver, publisher));
    // A node that leaves before it knows the receiver sends it no leave: to the receiver that is a crash.
    const isWithoutLeave = publisher.state !== "running" && !publisher.metAt.has(receiver.nodeId);
    const isLong = world.plan.calm && together > LONGEST * receiver.heartbeat + slack &&
      world.plan.maxPeers === undefined && publisher.longestStall === 0 && !isWithoutLeave;
    if (isLong) {
      problem = `P20: on node ${receiver.index} of node ${publisher.index}, which is ${publisher.state}: ${
        JSON.stringify(key.slice(0, 40))
      } is outstanding for ${age.toFixed()} ms`;
      return;
    }
    const known = receiver.heard.get(publisher.id)?.known ?? 0;
    if (age * (1 - DRIFT) <= slack && known === 0) return;
    const missed = world.ledger.sentUpTo(receiver, publisher, known);
    if (age * (1 - DRIFT) <= slack && missed === undefined) return;
    const status = statusOf(receiver);
    const peer = status?.peers.find(({ id }) => id === publisher.nodeId);
    if (peer === undefined) return;
    const where = `on node ${receiver.index} of node ${publisher.index}, which is ${publisher.state}`;
    const isNew = (receiver.heard.get(publisher.id)?.firstAt ?? Infinity) > at;
    const held = isNew ? Math.min(sentAt, world.now) - at : 0;
    const isStale = peer.staleness + slack + held < age * (1 - DRIFT);
    if (isStale && (world.late?.playedAt(receiver, publisher.id) ?? -Infinity) >= at) {
      world.excuses.use("late copies");
    } else if (isStale) {
      problem = `P14: ${where}: the staleness is ${peer.staleness.toFixed()} ms, and ${
        JSON.stringify(key.slice(0, 40))
      } is outstanding for ${age.toFixed()} ms`;
    } else if (missed !== undefined && peer.state === "current") {
      problem = `P15: ${where}: current at ${peer.position} with ${peer.missing} missing, and batch ` +
        `${missed.number} of ${known} with ${JSON.stringify(missed.key.slice(0, 40))} has not come`;
    }
  });
  if (problem !== undefined) return problem;
  for (const [node, status] of statuses) {
    if (status === undefined) continue;
    const worse = meshProblem(status);
    if (worse !== undefined) return `P16: on node ${node.index}: ${worse}`;
  }
  return undefined;
}

/** Since when one node knows another, in milliseconds; `Infinity` when it does not. */
function metAt(receiver: StormNode, { nodeId }: StormNode): number {
  return receiver.partings.has(nodeId) ? Infinity : receiver.metAt.get(nodeId) ?? Infinity;
}

/** What an unknown node has caused at a node that should have ignored all of it. */
export function unknownNodeProblem(world: StormWorld): string | undefined {
  const { nodes, unknownNode, plan } = world;
  for (const { index, mesh, kind, state, longestStall } of nodes) {
    if (mesh === undefined || kind !== "extended" || state !== "running") continue;
    const status = mesh.status();
    const peer = status.peers.find(({ id, state }) => state !== "plain" && unknownNode?.isSilent(id));
    if (peer !== undefined) return `P16: on node ${index}: ${peer.id}, an unknown node, is in ${peer.state}`;
    // Keys that wait for slow callbacks count, whatever node published them.
    if (plan.kinds.some((each) => each !== "extended") || longestStall === Infinity) continue;
    const stalest = status.peers.filter(({ state }) => state !== "plain")
      .reduce((most, { staleness }) => Math.max(most, staleness), 0);
    if (status.staleness > stalest) {
      return `P16: on node ${index}: the staleness is ${status.staleness}, that of its peers ${stalest}`;
    }
  }
  return undefined;
}

/** The state of the mesh is better than that of one of its peers. */
export function meshProblem({ state, staleness, peers }: MeshStatus): string | undefined {
  for (const peer of peers) {
    if (peer.state === "plain") continue;
    if (WEIGHTS.indexOf(peer.state) > WEIGHTS.indexOf(state)) return `${state}, and a peer is in ${peer.state}`;
    if (peer.staleness > staleness) return `the staleness is ${staleness}, that of a peer ${peer.staleness}`;
  }
  return undefined;
}
