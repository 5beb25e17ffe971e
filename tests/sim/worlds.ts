/**
 * Seeded worlds: a handful of nodes on a network in memory that fails at random.
 *
 * @module
 */

import { type MemoryHost, MemoryNetwork, SeededRandom } from "../../adapters/memory.ts";
import { MeshBus, type MeshOptions } from "../../mod.ts";
import { sized } from "../support/size.ts";

/** A node of a world, and all that its subscriber got. */
export interface WorldNode {
  readonly host: MemoryHost;
  readonly mesh: MeshBus;
  readonly got: string[];
}

/** A network, its nodes, and the random source of the test that drives them. */
export interface World {
  readonly network: MemoryNetwork;
  readonly nodes: readonly WorldNode[];
  readonly random: SeededRandom;
}

/** How a world is made. */
export interface WorldOptions {
  readonly seed: number;
  readonly nodes: number;
  /** Options of all nodes; `options(i)` of one. */
  readonly options?: (index: number) => MeshOptions;
}

/** The address of the host that node `index` runs on. */
export function hostAddress(index: number): string {
  return `10.0.0.${index + 1}`;
}

/** Opens the nodes of a world, each on a host of its own and with a subscriber to everything. */
export async function openWorld({ seed, nodes: count, options }: WorldOptions): Promise<World> {
  const network = new MemoryNetwork({ seed });
  const nodes = Array.from({ length: count }, async (_, index) => {
    const host = network.host(hostAddress(index));
    const mesh = await openAt(host, options?.(index));
    const got: string[] = [];
    mesh.subscribe({ prefix: "" }, (event) => got.push(event.key));
    return { host, mesh, got };
  });
  const opened = await network.clock.run(Promise.all(nodes), 1000);
  return { network, nodes: opened, random: new SeededRandom(seed + 1) };
}

/** Opens a node on the host of `index`. */
export function openOn(network: MemoryNetwork, index: number, options?: MeshOptions): Promise<MeshBus> {
  return openAt(network.host(hostAddress(index)), options);
}

function openAt(host: MemoryHost, options: MeshOptions | undefined): Promise<MeshBus> {
  const { bind, clock, randomBytes, resolve, resolveSrv, networkInterfaces } = host;
  return MeshBus.open({ ...options, bind, clock, randomBytes, resolve, resolveSrv, networkInterfaces });
}

/** Closes all nodes. Nothing is left that would ever happen. */
export async function closeWorld({ network, nodes }: World): Promise<void> {
  await network.clock.run(Promise.all(nodes.map(({ mesh }) => mesh.close())), 10_000);
}

/**
 * Runs `body` for each seed, a twelfth of them at small size, and names the seed of the first that fails.
 * `WARP_MESH_SEED` runs that one alone.
 */
export async function forSeeds(count: number, body: (seed: number) => Promise<void>): Promise<void> {
  const chosen = globalThis.process?.env.WARP_MESH_SEED;
  const seeds = chosen === undefined
    ? Array.from({ length: sized(count, Math.ceil(count / 12)) }, (_, i) => i + 1)
    : [Number(chosen)];
  for (const seed of seeds) {
    try {
      await body(seed);
    } catch (cause) {
      throw new Error(`World ${seed} fails; WARP_MESH_SEED=${seed} runs it alone: ${cause}`, { cause });
    }
  }
}
