/**
 * Faults: what goes wrong in a seeded world. Times are in milliseconds.
 *
 * @module
 */

import { hostAddress } from "../worlds.ts";
import { MISHAPS } from "./mishaps.ts";
import { pick, type Trouble } from "./plan.ts";
import type { StormWorld } from "./world.ts";

/** Most nodes that join in a world, as each costs datagrams of all others. */
const MOST_JOINING = 4;
/** Longest delay of a datagram while the network is slow. */
export const LONGEST_SPIKE = 1000;

/** Makes one fault begin, get worse, or get better. */
export async function makeTrouble(world: StormWorld, trouble: Trouble): Promise<void> {
  world.note(() => trouble);
  await TROUBLES[trouble](world);
}

const TROUBLES: Readonly<Record<Trouble, (world: StormWorld) => void | Promise<void>>> = {
  loss: (world) => {
    const { random } = world;
    world.set({ loss: random.chance(0.3) ? 0 : random.next() * 0.4 }, anyDirection(world));
  },
  duplicate: (world) => world.set({ duplicate: world.random.next() * 0.4 }, anyDirection(world)),
  reorder: (world) => {
    const { random } = world;
    world.set({ reorder: random.next() * 0.5, reorderBy: random.between(1, 100) }, anyDirection(world));
  },
  delay: (world) => {
    const { random } = world;
    const max = random.chance(0.5) ? 5 : random.next() * 100;
    world.set({ delay: { min: 0, max } }, anyDirection(world));
  },
  truncate: (world) => {
    const { random } = world;
    world.set({ truncate: random.chance(0.3) ? 0 : random.next() * 0.2 }, anyDirection(world));
  },
  spike: (world) => {
    const { random } = world;
    world.set({ delay: { min: 0, max: random.between(100, LONGEST_SPIKE) } }, anyDirection(world));
    const usual = world.plan.pathDelay > 1 ? world.delay : { min: 0.1, max: 1 };
    world.later(random.between(50, 500), true, () => world.set({ delay: usual }));
  },
  filter: (world) => {
    const { random } = world;
    const [strikesGroup, host] = [random.chance(0.5), random.chance(0.5) ? undefined : world.anyHost()];
    world.set({ drop: ({ multicast, receiver }) => multicast === strikesGroup && receiver === (host ?? receiver) });
    world.later(outage(world), true, () => world.set({ drop: undefined }));
  },
  partition: (world) => {
    const { network, random } = world;
    const hosts = Array.from({ length: world.hosts }, (_, i) => hostAddress(i));
    const left = hosts.filter(() => random.chance(0.5));
    network.partition([left, hosts.filter((host) => !left.includes(host))]);
    world.later(outage(world), true, () => network.heal());
  },
  cut: (world) => {
    world.network.cut(world.anyHost(), world.anyHost());
    world.later(outage(world), true, () => world.network.heal());
  },
  pause: (world) => {
    const { random } = world;
    const nodes = world.up();
    if (nodes.length === 0) return;
    world.pause(pick(random, nodes), random.chance(0.7) ? random.between(100, 1000) : outage(world));
  },
  overrun: (world) => {
    const { random } = world;
    const nodes = world.up();
    if (nodes.length < 2) return;
    world.pause(pick(random, nodes), random.between(20, 300));
    for (let i = random.below(4); i >= 0; i--) world.traffic(10 + random.below(20));
  },
  crash: (world) => {
    const nodes = world.up();
    if (nodes.length > 1) world.crash(pick(world.random, nodes));
  },
  leave: (world) => {
    const nodes = world.up();
    if (nodes.length > 1) world.leave(pick(world.random, nodes));
  },
  // The note says that crashes and leaves are followed by a restart.
  restart: () => {},
  join: async (world) => {
    if (world.nodes.length >= world.plan.kinds.length + MOST_JOINING) return;
    await world.open("extended", hostOfJoining(world));
  },
  subscribe: (world) => {
    const { random } = world;
    const nodes = world.up().filter(({ mesh }) => mesh !== undefined);
    if (nodes.length > 0) world.subscribe(pick(random, nodes), world.anyTopic(), random.chance(0.5));
  },
  ...MISHAPS,
};

function anyDirection(world: StormWorld): { from?: string; to?: string } {
  const { random } = world;
  if (random.chance(0.7)) return {};
  return random.chance(0.5) ? { from: world.anyHost() } : { to: world.anyHost() };
}

/** How long something is absent: as often shorter as longer than the time after which it is lost. */
function outage({ random, plan: { peerTimeout } }: StormWorld): number {
  const [from, to] = random.chance(0.5) ? [0.05, 0.7] as const : [0.9, 2] as const;
  return Math.min(5000, random.between(from * peerTimeout, to * peerTimeout));
}

/** Several processes of one host share a port: unicast to it, as to a seed or to go-warp, reaches only one of them. */
function hostOfJoining(world: StormWorld): number {
  const { reach, kinds } = world.plan;
  const shares = reach === "multicast" && kinds.every((kind) => kind === "extended") && world.random.chance(0.3);
  return shares ? world.random.below(world.hosts) : world.hosts++;
}
