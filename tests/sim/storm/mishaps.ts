/**
 * Mishaps: faults of a seeded world that take several steps, one after the other. Times are in milliseconds.
 *
 * @module
 */

import { hostAddress } from "../worlds.ts";
import type { StormNode } from "./node.ts";
import { pick, type Trouble } from "./plan.ts";
import type { StormWorld } from "./world.ts";

/** Most nodes that join by these faults in a world. */
const MOST_JOINING = 6;
/** A node with more keys than this still to send publishes no more at once. */
const FLOODED = 50;

export const MISHAPS = {
  /** Cuts a path in one direction, then in the other, and so on. */
  flip: (world) => {
    const { random, network } = world;
    let [from, to] = [world.anyHost(), world.anyHost()];
    let at = 0;
    for (let i = 2 + random.below(3); i > 0; i--) {
      const [source, target] = [from, to];
      world.later(at, false, () => network.cut(source, target));
      at += random.between(0.1, 0.8) * world.plan.peerTimeout;
      world.later(at, true, () => network.heal());
      [from, to] = [to, from];
    }
  },
  /** Stalls a node that has accepted keys. */
  stall: (world) => {
    const { random } = world;
    const node = anyMesh(world);
    if (node === undefined) return;
    for (let i = random.below(8); i >= 0; i--) world.publish(node);
    world.pause(node, random.between(100, 1.5 * world.plan.peerTimeout));
  },
  /**
   * Suspends a machine whose node has accepted keys. Meanwhile a node may open, publish and leave or crash, of which
   * the suspended one hears nothing.
   */
  suspend: async (world) => {
    const { random, plan } = world;
    const sleeper = anyMesh(world);
    // It would make a storm last longer.
    if (sleeper === undefined || world.now > plan.duration) return;
    for (let i = random.below(4); i > 0; i--) world.publish(sleeper);
    const time = random.chance(0.7) ? random.between(1010, 4000) : random.between(4000, 20_000);
    world.suspend(sleeper, time);
    if (!hasRoom(world) || random.chance(0.5)) return;
    await world.network.clock.advance(random.between(1, 500));
    const guest = await world.open("extended", world.hosts++);
    guest.isReplaced = true;
    soon(world, random.between(1, 300), () => {
      if (guest.isUp) world.publish(guest);
      soon(world, random.between(1, 300), () => {
        if (!guest.isUp || random.chance(0.3)) return;
        if (random.chance(0.5)) world.crash(guest);
        else world.leave(guest);
      });
    });
  },
  /**
   * Opens a node while another is stalled. It publishes and is heard no more, so what waits for the other node is old.
   */
  ambush: async (world) => {
    const { random } = world;
    const sleeper = anyMesh(world);
    if (sleeper === undefined || !hasRoom(world)) return;
    const time = random.between(600, 4000);
    world.pause(sleeper, time);
    const joining = await world.open("extended", world.hosts++);
    const { address } = joining.host;
    soon(world, random.between(20, 100), () => {
      world.set({ loss: 1 }, { from: address });
      if (joining.isUp) world.publish(joining);
    });
    world.later(time + random.between(100, 1500), true, () => world.set({ loss: 0 }, { from: address }));
  },
  /** A script opens, publishes and crashes. */
  flash: async (world) => {
    const { random } = world;
    if (!hasRoom(world)) return;
    const script = await world.open("extended", world.hosts++);
    script.isReplaced = true;
    const isUnheard = random.chance(0.5);
    soon(world, random.between(0.05, random.chance(0.7) ? 5 : 500), () => {
      if (!script.isUp) return;
      if (isUnheard) world.set({ loss: 1 }, { from: script.host.address });
      world.publish(script);
      soon(world, random.between(0, 5), () => {
        if (script.isUp) world.crash(script);
        if (isUnheard) world.set({ loss: 0 }, { from: script.host.address });
      });
    });
  },
  /** Ends a node for good, in a star mostly a seed. */
  retire: (world) => {
    const { random, plan } = world;
    const nodes = world.up();
    if (nodes.length < 3) return;
    const seeds = nodes.filter(({ host }) => isSeed(world, host.address));
    const node = pick(random, plan.reach === "star" && seeds.length > 0 && random.chance(0.8) ? seeds : nodes);
    node.isReplaced = true;
    if (random.chance(0.5)) world.crash(node);
    else world.leave(node);
  },
  /** Ends all seeds of a star for good, and partitions the nodes that met by them for longer than `peerTimeout`. */
  orphan: (world) => {
    const { random, network, plan } = world;
    const seeds = world.up().filter(({ host }) => isSeed(world, host.address));
    const others = world.up().filter((node) => !seeds.includes(node)).map(({ host }) => host.address);
    if (plan.reach !== "star" || others.length < 2 || seeds.length === 0) return;
    world.note(() => "all seeds end: orphans");
    for (const seed of seeds) {
      seed.isReplaced = true;
      if (random.chance(0.5)) world.crash(seed);
      else world.leave(seed);
    }
    const [before, time] = [random.between(0, 2) * plan.heartbeat, random.between(1.3, 2) * plan.peerTimeout];
    world.until = world.now + before + time + plan.heartbeat;
    world.later(before, false, () => {
      const left = others.filter((_, i) => i === 0 || random.chance(0.5));
      network.partition([left, others.filter((host) => !left.includes(host))]);
      world.later(time, true, () => network.heal());
    });
  },
  /** Publishes more keys at once than a slow sender sends in seconds. */
  flood: (world) => {
    const node = anyMesh(world);
    if (node === undefined || (node.mesh?.metrics().pending ?? 0) > FLOODED) return;
    for (let i = 20 + world.random.below(60); i > 0; i--) world.publish(node);
  },
  /** Makes the callbacks of a subscriber take long, for a while. */
  block: (world) => {
    const { random } = world;
    const node = anyMesh(world);
    if (node === undefined) return;
    node.busyFor = random.between(1, random.chance(0.3) ? 10 : 100);
    const other = anyMesh(world);
    if (other !== undefined && random.chance(0.7)) {
      for (let i = 20 + random.below(80); i > 0; i--) world.publish(other);
    }
    world.later(random.between(200, 3000), true, () => {
      node.busyFor = 0;
    });
  },
} satisfies Partial<Record<Trouble, (world: StormWorld) => void | Promise<void>>>;

/** Whether a host is one of the seeds of a star. */
export function isSeed({ plan }: StormWorld, address: string): boolean {
  return Array.from({ length: plan.seeds }, (_, i) => hostAddress(i)).includes(address);
}

function anyMesh(world: StormWorld): StormNode | undefined {
  const nodes = world.up().filter(({ kind }) => kind === "extended");
  return nodes.length === 0 ? undefined : pick(world.random, nodes);
}

function hasRoom({ plan, nodes }: StormWorld): boolean {
  return nodes.length < plan.kinds.length + MOST_JOINING;
}

/** Calls back after a delay, between two steps of the storm too, but not when the storm is over by then. */
function soon(world: StormWorld, delay: number, call: () => void): void {
  world.network.clock.setTimer(() => {
    if (world.storming) call();
  }, delay);
}
