/**
 * Buses: those of this package as buses under test, for the conformance suite.
 *
 * @module
 */

import { test } from "node:test";
import { MemoryNetwork, VirtualClock } from "../../adapters/memory.ts";
import { type BusUnderTest, rulesFor } from "../../conformance/mod.ts";
import { InProcessBus, MeshBus, type MeshOptions, openMesh } from "../../mod.ts";
import { peersKnown } from "../support/meshes.ts";
import { settle } from "../support/outcome.ts";

/** Registers a test for each rule that applies. */
export function testConformance(bus: BusUnderTest): void {
  for (const { name, run } of rulesFor(bus)) test(name, run);
}

/** In-process buses without a clock. */
export const inProcess: BusUnderTest = {
  lacks: ["timeouts"],
  open: async ([first, ...others]) => {
    const bus = new InProcessBus({ ...first });
    return { buses: [bus, ...others.map((place) => bus.replica(place))], settle };
  },
};

/** In-process buses with a virtual clock. */
export const inProcessWithClock: BusUnderTest = {
  open: async ([first, ...others]) => {
    const clock = new VirtualClock();
    const bus = new InProcessBus({ ...first, clock });
    return { buses: [bus, ...others.map((place) => bus.replica(place))], settle: () => clock.advance(10) };
  },
};

/** Meshes on a simulated network. */
export function inMemory(options: MeshOptions = {}): BusUnderTest {
  return {
    open: async (places) => {
      const network = new MemoryNetwork({ seed: 1 });
      network.multicast = options.peers === undefined;
      const { clock } = network;
      const buses = await Promise.all(
        places.map((place, i) => MeshBus.open({ ...network.host(`10.0.0.${i + 1}`), ...options, ...place })),
      );
      const others = places.length - 1;
      await clock.runUntil(() => buses.every((bus) => bus.peers().length === others), 10_000);
      await clock.advance(5_000);
      return { buses, settle: () => clock.advance(10) };
    },
  };
}

/**
 * Meshes that speak go-warp's wire, without multicast: with it each key arrives twice, by multicast and by unicast, as
 * with go-warp.
 */
export const goWire: BusUnderTest = {
  ...inMemory({ wire: "go-warp", peers: [1, 2, 3, 4].map((i) => `10.0.0.${i}:7946`) }),
  lacks: ["acknowledgements", "metadata", "prefixes"],
  longestKey: 1378,
};

/** Meshes on sockets of the loopback interface. */
export const onLoopback: BusUnderTest = {
  open: async ([first, ...others]) => {
    const local = { interface: "127.0.0.1" };
    const mesh = await openMesh({ ...local, port: 0, ...first });
    const { port } = mesh;
    const buses = [mesh, ...await Promise.all(others.map((place) => openMesh({ ...local, port, ...place })))];
    await Promise.all(buses.map((bus) => peersKnown(bus, others.length)));
    return { buses };
  },
};
