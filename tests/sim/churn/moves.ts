/**
 * Nodes that move: a host gets another address, a process restarts at the same address, a node closes and opens again:
 * C5.
 *
 * @module
 */

import { SeededRandom } from "../../../adapters/memory.ts";
import type { MeshOptions } from "../../../mod.ts";
import { pick } from "../storm/plan.ts";
import { hostAddress } from "../worlds.ts";
import { acquaintanceProblem, memoryProblem, reportProblem } from "./checks.ts";
import type { ChurnRun } from "./churn.ts";
import type { ChurnNode } from "./node.ts";
import { PORT } from "./plan.ts";
import { acquaintanceTime, closeAll, until, untilAcquainted } from "./rest.ts";
import { ChurnWorld } from "./world.ts";

/** Longest time in which a node detects that its host has another address, in milliseconds. */
const NOTICE = 1000;
/** Longest time for which a node is known after another process has replaced it, in heartbeats. */
const REPLACED = 2.5;

/** What happens to a node. */
type Move = "readdress" | "restart" | "reopen";
/** The port at which a node is reached: one that the system chooses, that of the mesh, or one of its own. */
type Port = "free" | "mesh" | "fixed";
const FIXED = 7000;

interface MovesPlan {
  readonly heartbeat: number;
  readonly size: number;
  readonly multicast: boolean;
  readonly loss: number;
  readonly delay: number;
  readonly ports: readonly Port[];
  readonly moves: readonly Move[];
}

/** Makes the world of a seed. */
export function makeMoves(seed: number, trace?: (line: string) => void): ChurnRun {
  const plan = planMoves(seed);
  const { heartbeat, size, multicast, loss, delay, ports, moves } = plan;
  const world = new ChurnWorld({ seed, heartbeat, faults: { loss, delay: { min: delay / 10, max: delay } }, trace });
  const description = `${size} nodes ${multicast ? "by multicast" : "by a seed"} at ${ports.join(" ")}, ` +
    `heartbeat ${heartbeat}, loss ${loss.toFixed(3)}, delay to ${delay.toFixed(2)} ms: ${moves.join(" ")}`;
  return { world, description, run: () => move(world, plan) };
}

function planMoves(seed: number): MovesPlan {
  const random = new SeededRandom(seed);
  const heartbeat = pick(random, [300, 1000, 5000]);
  const size = 3 + random.below(4);
  return {
    heartbeat,
    size,
    multicast: random.chance(0.5),
    loss: random.chance(0.7) ? 0 : random.next() * 0.1,
    delay: 0.1 + Math.min(20, heartbeat / 20) * random.next() ** 2,
    ports: Array.from({ length: size }, () => pick<Port>(random, ["free", "mesh", "fixed"])),
    moves: Array.from({ length: 2 + random.below(5) }, () => pick<Move>(random, ["readdress", "restart", "reopen"])),
  };
}

async function move(world: ChurnWorld, plan: MovesPlan): Promise<number> {
  const { random, heartbeat, network: { clock } } = world;
  for (let i = 0; i < plan.size; i++) await world.open(hostAddress(i), optionsOf(plan, i, hostAddress(i)));
  let slowest = await untilAcquainted(world);
  const places = new Map(world.nodes.map((node, place) => [node, place]));
  for (const [round, kind] of plan.moves.entries()) {
    await clock.advance(random.between(0, 3) * heartbeat);
    const node = pick(random, world.running());
    const place = places.get(node) ?? 0;
    if (kind === "readdress") {
      // The seed stays, as the others find it by its address.
      if (place === 0 && !plan.multicast) continue;
      world.readdress(node, hostAddress(100 + round));
      const isFixed = plan.ports[place] !== "free" && saysHost(place);
      const problem = () => isFixed ? acquaintanceProblem(world) : placeProblem(world, node);
      slowest = Math.max(slowest, await until(world, problem, acquaintanceTime(world) + NOTICE));
      await clock.advance(world.patience + 100);
    } else {
      const next = kind === "restart"
        ? await restart(world, plan, node, place)
        : await reopen(world, plan, node, place);
      places.set(next, place);
      slowest = Math.max(slowest, await untilAcquainted(world));
      await untilForgotten(world, node, next, plan.ports[place] !== "free" && kind === "restart");
    }
    world.check(memoryProblem(world) ?? reportProblem(world));
    if (!world.lossy) world.check(acquaintanceProblem(world));
  }
  // A node that advertises its old address is probed there now and then.
  await closeAll(world, plan.multicast && !plan.moves.includes("readdress"));
  return slowest;
}

function optionsOf({ multicast, ports }: MovesPlan, place: number, address: string): MeshOptions {
  const port = { free: 0, mesh: PORT, fixed: FIXED }[ports[place] ?? "free"];
  return {
    multicast,
    peers: multicast ? [] : [`${hostAddress(0)}:${PORT}`],
    ...(port === 0 ? {} : { advertiseAddr: saysHost(place) ? `${address}:${port}` : `:${port}` }),
  };
}

/** Whether a node with a port of its choice advertises its host too. It then advertises that host wherever it is. */
function saysHost(place: number): boolean {
  return place % 2 === 1;
}

async function restart(world: ChurnWorld, plan: MovesPlan, node: ChurnNode, place: number): Promise<ChurnNode> {
  const { random, heartbeat, network: { clock } } = world;
  world.crash(node);
  if (random.chance(0.6)) await clock.advance(random.between(0, 5) * heartbeat);
  return await world.open(node.host.address, optionsOf(plan, place, node.host.address));
}

async function reopen(world: ChurnWorld, plan: MovesPlan, node: ChurnNode, place: number): Promise<ChurnNode> {
  const { random, network: { clock } } = world;
  const closing = world.close(node);
  // A port of its own is free when the previous node has closed.
  if (plan.ports[place] === "fixed" || random.chance(0.5)) await clock.run(closing, 5000);
  return await world.open(node.host.address, optionsOf(plan, place, node.host.address));
}

/** A node that does not know the present address of another. */
function placeProblem(world: ChurnWorld, moved: ChurnNode): string | undefined {
  const { host: { address: host }, mesh: { address } } = moved;
  if (!address.startsWith(`${host}:`)) return `K1: node ${moved.index} says that it is at ${address}, not at ${host}`;
  const lost = world.running().find(({ mesh }) => mesh !== moved.mesh && !mesh.peers().includes(address));
  return lost === undefined
    ? acquaintanceProblem(world)
    : `K1: node ${lost.index} does not know that node ${moved.index} is at ${address}`;
}

/** A process that replaces another at its address shows that the other has departed, before its timeout. */
async function untilForgotten(world: ChurnWorld, node: ChurnNode, next: ChurnNode, inItsPlace: boolean): Promise<void> {
  const { heartbeat, patience, longestDelay, network: { clock } } = world;
  const silent = node.departedAt + patience;
  const replaced = inItsPlace && !world.lossy ? next.openedAt + REPLACED * heartbeat : Infinity;
  await clock.advance(Math.max(0, Math.min(silent, replaced) + 4 * longestDelay + 1 - world.now));
  const knows = world.running().find(({ known }) => known.has(node.id));
  if (knows === undefined) return;
  world.check(`K2: node ${knows.index} still knows node ${node.index}, though node ${next.index} is in its place`);
}
