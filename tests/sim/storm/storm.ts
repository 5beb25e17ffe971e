/**
 * Runs seeded worlds with faults of all kinds: `checks.ts` says what must hold in them nevertheless.
 *
 * @module
 */

import { areApart, calmProblem, nodeProblem, restProblem } from "./checks.ts";
import { NOT_OF_CLONES, runClones } from "./clones.ts";
import { LONGEST_SPIKE, makeTrouble } from "./faults.ts";
import { unknownNodeProblem, watchProblem } from "./invariants.ts";
import { describePlan, pick, planStorm, type StormPlan, type WorldKind } from "./plan.ts";
import { runQuiet } from "./quiet.ts";
import { runSoon } from "./soon.ts";
import { StormWorld } from "./world.ts";

/** A world is at rest after so long without anything but heartbeats, in milliseconds. */
const QUIET = 2000;
/** How often the checks run, in milliseconds. */
const STEP = 500;
/** Added to `peerTimeout` and four heartbeats, it is the limit within which every loss is a retransmission or a gap. */
const GRACE = 10_000;
/** Nodes that never answered cause at most four gaps a minute. */
const NEXT_GAP_OF_UNVALIDATED = 15_000;
/** Added to `peerTimeout` and eight heartbeats, it is the limit within which nodes that lost each other meet again. */
const REUNION = 60_000;

/** The totals of a world. */
export interface StormReport {
  readonly seed: number;
  readonly kind: WorldKind;
  readonly calm: boolean;
  /** Keys that were accepted, each as often as it was. */
  readonly keys: number;
  /** Keys that subscribers got. */
  readonly events: number;
  /** Gaps of meshes, by reason. */
  readonly overwritten: number;
  readonly lost: number;
  readonly left: number;
  readonly late: number;
  readonly reused: number;
  /** Batches that were detected as missing, and those of them that arrived. */
  readonly missing: number;
  readonly recovered: number;
  /** Publishes that were awaited: those that were confirmed, and those that were not. */
  readonly confirmed: number;
  readonly refused: number;
  /** Tokens that were reached, and those that were not. */
  readonly reached: number;
  readonly unreached: number;
  /** Datagrams that were sent. */
  readonly datagrams: number;
  /** Virtual time. */
  readonly ms: number;
  /** Equal for equal seeds: a hash of the times and lengths of all datagrams. */
  readonly digest: number;
}

/** A property does not hold. */
export class StormError extends Error {
  override readonly name = "StormError";
  readonly seed: number;

  constructor(plan: StormPlan, time: number, problem: string, options?: ErrorOptions) {
    const { seed } = plan;
    super(
      `World ${seed} at ${time} ms: ${problem}\n  ${describePlan(plan)}\n` +
        `  WARP_MESH_SEED=${seed} or \`npm run worlds -- --seed ${seed}\` replays it`,
      options,
    );
    this.seed = seed;
  }
}

/** How to run a world. */
export interface StormOptions {
  /** Gets a line for each thing that happens. */
  readonly trace?: ((line: string) => void) | undefined;
  /** Properties that are not checked, such as `P14`. */
  readonly without?: readonly string[] | undefined;
}

/**
 * Runs the world of a seed to its end.
 *
 * @throws {StormError} when a property does not hold
 */
export async function runStorm(seed: number, { trace, without }: StormOptions = {}): Promise<StormReport> {
  const plan = planStorm(seed);
  const world = new StormWorld(plan, trace, plan.kind === "clones" ? NOT_OF_CLONES : without);
  trace?.(describePlan(plan));
  try {
    if (plan.kind === "quiet") await runQuiet(world, (problem) => check(world, problem));
    else if (plan.kind === "clones") await runClones(world, (problem) => check(world, problem));
    else if (plan.kind === "soon") await runSoon(world, (problem) => check(world, problem));
    else await storm(world);
    await endStorm(world);
    await settle(world);
    for (const node of world.nodes) check(world, nodeProblem(world, node));
    check(world, world.awaits.problem() ?? world.awaits.restProblem());
    const totals = totalsOf(world);
    await closeAll(world);
    for (const [excuse, count] of world.excuses.counts) trace?.(`excused ${count} times: ${excuse}`);
    return { ...totals, ms: world.now };
  } catch (cause) {
    if (cause instanceof StormError) throw cause;
    throw new StormError(plan, world.now, `${cause instanceof Error ? cause.stack : cause}`, { cause });
  }
}

function check(world: StormWorld, problem?: string): void {
  const problems = [...world.problems, ...world.tap.misuses, ...(problem === undefined ? [] : [problem])]
    .filter((text) => !world.without.some((property) => text.startsWith(`${property}:`)));
  const [first] = problems;
  if (first === undefined) return;
  const more = problems.length > 1 ? `, and ${problems.length - 1} more` : "";
  throw new StormError(world.plan, world.now, first + more);
}

async function storm(world: StormWorld): Promise<void> {
  const { plan, random, network: { clock } } = world;
  for (const kind of plan.kinds) {
    await world.open(kind, world.hosts++);
    if (random.chance(0.2)) await clock.advance(random.below(300));
  }
  // Otherwise the first keys leave before any node is known.
  if (random.chance(0.5)) await clock.advance(20);
  const troubles = [...plan.troubles];
  const end = clock.now() + plan.duration;
  // A step is 20 ms and a burst is 5.5 keys on average.
  const bursts = plan.keys / 5.5 / (plan.duration / 20);
  while (clock.now() < Math.max(end, world.until)) {
    await clock.advance(1 + random.below(39));
    await world.keepAppointments(false);
    if (troubles.length > 0 && random.chance(0.1)) await makeTrouble(world, pick(random, troubles));
    if (random.chance(bursts)) world.traffic(1 + random.below(10));
    if (random.chance(0.1)) world.guard();
    world.awaits.play();
    check(world, world.awaits.problem());
    if (random.chance(0.2)) world.late?.play();
    if (random.chance(0.1)) await world.unknownNode?.play();
    check(world, watchProblem(world));
    if (world.unknownNode !== undefined) check(world, unknownNodeProblem(world));
  }
}

async function endStorm(world: StormWorld): Promise<void> {
  world.storming = false;
  await world.keepAppointments(true);
  world.network.heal();
  world.unknownNode?.close();
  world.set({
    loss: world.plan.lastingLoss,
    duplicate: 0,
    reorder: 0,
    truncate: 0,
    drop: undefined,
    delay: world.plan.pathDelay > 1 ? world.delay : { min: 0.1, max: 2 },
  });
  world.note(() => "the storm is over");
}

async function settle(world: StormWorld): Promise<void> {
  const { plan, tap, network: { clock } } = world;
  const heartbeat = Math.max(plan.heartbeat, ...world.nodes.map((node) => node.heartbeat));
  const peerTimeout = Math.max(plan.peerTimeout, ...world.nodes.map((node) => node.peerTimeout));
  const recovered = Math.ceil(clock.now()) + repairTime(world);
  // With an unknown node, the gap of a node that died young may come later.
  const grace = plan.unknownNode ? GRACE + NEXT_GAP_OF_UNVALIDATED : GRACE;
  const settled = recovered + peerTimeout + 4 * heartbeat + grace + 20 * plan.pathDelay;
  const together = recovered + peerTimeout + 8 * heartbeat + REUNION + Math.ceil(awayFor(world) / 60);
  let bound = settled;
  const isQuiet = () => tap.lastNoise <= clock.now() - QUIET;
  // By then slow datagrams have arrived, and peers that were probed have responded.
  const calmAt = clock.now() + (plan.troubles.has("spike") ? LONGEST_SPIKE : 0);
  let hasRested = false;
  while (clock.now() < bound) {
    const isCalm = clock.now() >= calmAt;
    const before = world.network.stats.sent;
    await clock.advance(Math.min(Math.max(0.001, bound - clock.now()), STEP));
    check(world, watchProblem(world));
    if (clock.now() >= settled && areApart(world)) {
      check(world, restProblem(world, false));
      bound = together;
    }
    const sent = world.network.stats.sent - before;
    if (!isCalm || !isQuiet() || restProblem(world, true) !== undefined) continue;
    if (sent > mostHeartbeats(world) && plan.kind === "storm") check(world, `P5: ${sent} heartbeats in ${STEP} ms`);
    hasRested = true;
    if (!plan.thorough) return;
  }
  // As long as datagrams are lost, some peer may be silent at any moment.
  if (hasRested && plan.lastingLoss > 0) return;
  // The same holds where heartbeats come seldom and responses late.
  if (hasRested && plan.pathDelay > 1 && plan.varied) return world.excuses.use("long delays");
  check(world, restProblem(world, true));
  if (plan.lastingLoss > 0 || isQuiet()) return;
  check(world, `P5: something else than heartbeats was sent at ${tap.lastNoise} ms`);
}

/** Longest absence of a node, in milliseconds: a node that was absent for long is probed seldom. */
function awayFor({ nodes, now }: StormWorld): number {
  let longest = 0;
  for (const { partings } of nodes) {
    for (const { at } of partings.values()) longest = Math.max(longest, now - at);
  }
  return longest;
}

/**
 * Most heartbeats in a step: those of each node to the group and to every address where a node is, was or may be, and
 * one more as nodes are not synchronized; and 16 in the time of one to each departed node that is still probed.
 */
function mostHeartbeats({ plan, nodes, hosts }: StormWorld): number {
  const running = nodes.filter(({ state }) => state === "running").length;
  const rounds = 1 + Math.ceil(STEP / Math.min(plan.heartbeat, ...nodes.map(({ heartbeat }) => heartbeat || Infinity)));
  return running * ((1 + nodes.length + hosts) * rounds + (nodes.length - running) * 16 * rounds);
}

/** How long the slowest sender takes to retransmit everything to each node, in milliseconds. */
function repairTime({ nodes, plan }: StormWorld): number {
  if (!plan.troubles.has("flood")) return 0;
  const times = nodes.map(({ mesh, minSendRate }) =>
    1000 * nodes.length * (mesh?.metrics().published ?? 0) / minSendRate
  );
  return Math.ceil(Math.max(0, ...times));
}

async function closeAll(world: StormWorld): Promise<void> {
  const { clock } = world.network;
  const [first, ...others] = world.nodes.filter(({ state }) => state === "running");
  const close = (node = first) => node?.peer?.close() ?? node?.mesh?.close();
  if (world.plan.calm) {
    if (first !== undefined) first.state = "leaving";
    await clock.run(Promise.resolve(close()), 5000);
    await clock.advance(300);
    for (const node of others) check(world, calmProblem(world, node));
  }
  await clock.run(Promise.all([close(), ...others.map(close)]), 5000);
  // Datagrams that are under way arrive.
  await clock.advance(1000 + 2 * world.plan.pathDelay);
  const { sent } = world.network.stats;
  if (clock.pending > 0) check(world, `P8: ${clock.pending} timers are left when all nodes are closed`);
  await clock.advance(5000);
  if (world.network.stats.sent > sent) check(world, "P8: something was sent when all nodes were closed");
}

function totalsOf(world: StormWorld): Omit<StormReport, "ms"> {
  let [events, missing, recovered] = [0, 0, 0];
  for (const { mesh, subscriptions } of world.nodes) {
    const metrics = mesh?.metrics();
    missing += metrics?.missing ?? 0;
    recovered += metrics?.recovered ?? 0;
    for (const { published } of subscriptions) for (const count of published.values()) events += count;
  }
  const { plan: { seed, kind, calm }, keys, gaps, tap: { digest }, network: { stats: { sent: datagrams } } } = world;
  return { seed, kind, calm, keys, events, ...gaps, ...world.awaits.counts, missing, recovered, datagrams, digest };
}
