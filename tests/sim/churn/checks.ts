/**
 * Churn checks: the properties that must hold in a world of churn. Each check returns a description of what does not
 * hold:
 *
 * - K1: within a limit after the last change all running nodes know each other;
 * - K2: no node knows a departed one: a node that got its leave forgets it within 100 ms, all others when it was silent
 *   for `peerTimeout`, or for 60 s when it could not be probed; and it does not become a peer again;
 * - K3: no running node that can be heard is lost, whatever datagrams are lost and whatever nodes stall for up to one
 *   heartbeat;
 * - K4: events, `peers()`, `status()` and `metrics()` agree, and report nothing that is not there;
 * - K5: in the end nothing but heartbeats is sent, and no more of them than necessary;
 * - K6: a closed world sends nothing;
 * - K7: whatever unknown nodes send, what is kept and sent is bounded, and an address that has not responded gets at
 *   most one datagram after each pause, which doubles from a heartbeat on.
 *
 * {@linkcode ChurnWorld} checks K3 as things happen.
 *
 * @module
 */

import type { ChurnNode } from "./node.ts";
import type { ChurnWorld } from "./world.ts";

/** Time in which a leave is known, in milliseconds, without the delay of the path. */
const LEAVE_TIME = 100;
/** Time for which a leave is repeated to peers that have not acknowledged it, in milliseconds. */
const LEAVE_INSISTS = 1000;

/** Silence after which a node that has never responded is lost, in milliseconds. */
const QUIET_TIMEOUT = 60_000;
/** Time in which a heard node has responded, in heartbeats, without loss and with it: it is probed four times. */
const ANSWER_TIME = { sure: 0.1, lossy: 5 };
/** Heartbeats for which a node that was stalled waits before a peer is lost to it. */
const AFTER_WAKING = 1.25 + 1 / 16;

/** Two nodes that do not know each other. */
export function acquaintanceProblem({ nodes }: ChurnWorld): string | undefined {
  const running = nodes.filter(({ isRunning }) => isRunning);
  for (const node of running) {
    if (node.known.size >= running.length && running.every((other) => node.known.has(other.id))) continue;
    const missing = running.filter((other) => other !== node && !node.known.has(other.id));
    const [first] = missing;
    if (first === undefined) continue;
    const isKnown = first.known.has(node.id) ? ", which knows it" : "";
    const more = missing.length > 1 ? `, nor ${missing.length - 1} more` : "";
    return `K1: node ${node.index} does not know node ${first.index}${isKnown}${more}`;
  }
  return undefined;
}

/** A node that knows a departed node for longer than it may. */
export function memoryProblem(world: ChurnWorld): string | undefined {
  const running = world.running();
  for (const departed of world.nodes) {
    if (departed.isRunning || departed.isForgotten) continue;
    let isKnown = false;
    for (const node of running) {
      if (!node.known.has(departed.id)) continue;
      isKnown = true;
      const deadline = forgottenAt(world, node, departed);
      if (world.now <= deadline) continue;
      return `K2: node ${node.index} still knows node ${departed.index}, ${departed.state} at ${departed.departedAt} ms, ` +
        `though it was to forget it by ${deadline.toFixed(1)} ms`;
    }
    departed.isForgotten = !isKnown && world.now > lastReadAt(world, departed);
  }
  return undefined;
}

/** When a node must have forgotten a departed one, at the latest. */
function forgottenAt(world: ChurnWorld, node: ChurnNode, departed: ChurnNode): number {
  const { longestDelay, patience, heartbeat, lossy, now } = world;
  const { departedAt, state } = departed;
  // A node that has moved may get the leave at its old address, when the datagrams from the new one are lost.
  const isLost = lossy && departedAt - node.movedAt < 10 * heartbeat;
  const hasLeft = state === "closed" && !isLost && hasAnswered(world, node, departed, departedAt) &&
    !world.wereApart(node, departed, departedAt - longestDelay, departedAt + LEAVE_INSISTS);
  const time = hasLeft
    ? (lossy ? LEAVE_INSISTS : LEAVE_TIME)
    : hasAnswered(world, departed, node, departedAt)
    ? patience
    : QUIET_TIMEOUT;
  const stalled = node.stalledIn(departedAt - longestDelay, now);
  // A node that was stalled begins anew, and probes every 1/16 of a heartbeat.
  const woken = stalled > 0 ? (node.stalls.at(-1)?.to ?? now) + AFTER_WAKING * heartbeat : 0;
  return Math.max(departedAt + time + stalled, woken) + longestDelay + 0.01;
}

/** Whether one node must have shown another by a moment that it can be probed. */
function hasAnswered(world: ChurnWorld, one: ChurnNode, other: ChurnNode, by: number): boolean {
  const { heartbeat, longestDelay, lossy } = world;
  const since = other.known.get(one.id) ?? by;
  const stalled = one.stalledIn(since, by) + other.stalledIn(since, by);
  const time = (lossy ? ANSWER_TIME.lossy : ANSWER_TIME.sure) * heartbeat + 4 * longestDelay + stalled;
  if (by - since <= time) return false;
  // When the first probes are lost others follow.
  const isOften = by - since > time + ANSWER_TIME.lossy * heartbeat;
  return !world.wereApart(one, other, since - longestDelay, since + time) ||
    (isOften && !world.wereApart(one, other, by - time - ANSWER_TIME.lossy * heartbeat, by));
}

/** When the last datagram of a departed node can be read. */
function lastReadAt({ longestDelay, heartbeat }: ChurnWorld, { departedAt, state }: ChurnNode): number {
  return departedAt + (state === "closed" ? LEAVE_INSISTS : 0) + longestDelay + heartbeat;
}

/** A node whose methods do not agree. */
export function reportProblem({ nodes }: ChurnWorld): string | undefined {
  for (const node of nodes) {
    if (!node.isRunning) continue;
    const { mesh, known, index } = node;
    const { peers } = mesh.metrics();
    if (peers !== known.size) return `K4: node ${index} counts ${peers} peers, and ${known.size} by its events`;
    const ids = new Set(mesh.status().peers.map(({ id }) => id));
    const unsaid = [...known.keys()].find((id) => !ids.has(id));
    if (unsaid !== undefined) return `K4: the status of node ${index} does not have its peer ${unsaid}`;
    const addresses = mesh.peers();
    for (const other of nodes) {
      if (!other.isRunning || !known.has(other.id) || addresses.includes(other.mesh.address)) continue;
      return `K4: node ${index} does not have node ${other.index} at ${other.mesh.address}`;
    }
    if (addresses.length > known.size) {
      return `K4: node ${index} has ${addresses.length} addresses, ${known.size} peers`;
    }
  }
  return undefined;
}
