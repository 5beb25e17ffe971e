/**
 * What must hold in a world of nodes that come and go. Each check returns in words what does not:
 *
 * - K1: within a bound after the last change all that run know each other;
 * - K2: nobody knows a node that is gone: who was told that it left 100 ms later, all others when it was silent for
 *   `peerTimeout`, or for 60 s when it could not be asked; and nobody gets to know it again;
 * - K3: no node that runs and can be heard is taken for gone, whatever is lost and whoever stands still for up to one
 *   heartbeat;
 * - K4: events, `peers()`, `status()` and `metrics()` say the same, and nothing that is not there;
 * - K5: in the end nothing but heartbeats is sent, as few as there need be;
 * - K6: a closed world is still;
 * - K7: whatever strangers say, what is kept and sent is bounded, and an address that has not answered gets no
 *   more than one datagram each time that a pause is over, which doubles from a heartbeat on.
 *
 * K3 is noticed by {@linkcode ChurnWorld} as it happens.
 *
 * @module
 */

import type { ChurnNode } from "./node.ts";
import type { ChurnWorld } from "./world.ts";

/** Time in which a leave is known, in milliseconds; to it comes the time under way. */
const LEAVE_TIME = 100;
/** Time in which a leave is told again and again to those who have not acknowledged it, in milliseconds. */
const LEAVE_INSISTS = 1000;

/** Silence after which one is lost that has never answered, in milliseconds. */
const QUIET_TIMEOUT = 60_000;
/** Time in which who is heard has answered, in heartbeats, when nothing is lost; and when something is: it is asked four times. */
const ANSWER_TIME = { sure: 0.1, lossy: 5 };
/** Heartbeats for which one who has stood still waits before it takes another for gone. */
const AFTER_WAKING = 1.25 + 1 / 16;

/** Two that do not know each other. */
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

/** One who knows a node that is gone, for longer than it may. */
export function memoryProblem(world: ChurnWorld): string | undefined {
  const running = world.running();
  for (const gone of world.nodes) {
    if (gone.isRunning || gone.isForgotten) continue;
    let isKnown = false;
    for (const node of running) {
      if (!node.known.has(gone.id)) continue;
      isKnown = true;
      const deadline = forgottenAt(world, node, gone);
      if (world.now <= deadline) continue;
      return `K2: node ${node.index} still knows node ${gone.index}, ${gone.state} at ${gone.goneAt} ms, ` +
        `though it was to forget it by ${deadline.toFixed(1)} ms`;
    }
    gone.isForgotten = !isKnown && world.now > lastWord(world, gone);
  }
  return undefined;
}

/** When a node has forgotten another that is gone. */
function forgottenAt(world: ChurnWorld, node: ChurnNode, gone: ChurnNode): number {
  const { longestWay, patience, heartbeat, lossy, now } = world;
  const { goneAt, state } = gone;
  // One that has moved may be looked for where it was, when what says so is lost.
  const isLost = lossy && goneAt - node.movedAt < 10 * heartbeat;
  const told = state === "closed" && !isLost && hasAnswered(world, node, gone, goneAt) &&
    !world.wereApart(node, gone, goneAt - longestWay, goneAt + LEAVE_INSISTS);
  const time = told
    ? (lossy ? LEAVE_INSISTS : LEAVE_TIME)
    : hasAnswered(world, gone, node, goneAt)
    ? patience
    : QUIET_TIMEOUT;
  const stalled = node.stalledIn(goneAt - longestWay, now);
  // Who wakes begins anew, and asks every 1/16 of a heartbeat.
  const woken = stalled > 0 ? (node.stalls.at(-1)?.to ?? now) + AFTER_WAKING * heartbeat : 0;
  return Math.max(goneAt + time + stalled, woken) + longestWay + 0.01;
}

/** Whether one must have shown another by a moment that it can be asked. */
function hasAnswered(world: ChurnWorld, one: ChurnNode, other: ChurnNode, by: number): boolean {
  const { heartbeat, longestWay, lossy } = world;
  const since = other.known.get(one.id) ?? by;
  const stalled = one.stalledIn(since, by) + other.stalledIn(since, by);
  const time = (lossy ? ANSWER_TIME.lossy : ANSWER_TIME.sure) * heartbeat + 4 * longestWay + stalled;
  if (by - since <= time) return false;
  // When the first questions are lost others follow.
  const isOften = by - since > time + ANSWER_TIME.lossy * heartbeat;
  return !world.wereApart(one, other, since - longestWay, since + time) ||
    (isOften && !world.wereApart(one, other, by - time - ANSWER_TIME.lossy * heartbeat, by));
}

/** When the last of what a gone node has sent can be read. */
function lastWord({ longestWay, heartbeat }: ChurnWorld, { goneAt, state }: ChurnNode): number {
  return goneAt + (state === "closed" ? LEAVE_INSISTS : 0) + longestWay + heartbeat;
}

/** A node that says one thing here and another there. */
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
