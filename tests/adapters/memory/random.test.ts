// MemoryNetwork: a seed repeats a world and its random numbers.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater, assertLess, assertNotEquals, assertThrows } from "@std/assert";
import { type MemoryHost, MemoryNetwork, SeededRandom } from "../../../adapters/memory.ts";
import { GROUP, open, WITH_GROUP } from "../../support/memory_sockets.ts";

describe("MemoryNetwork", () => {
  describe("a seed", () => {
    test("repeats a world event by event, and another seed gives another world", async () => {
      const first = await worldOf(1);
      assertGreater(first.length, 1000);
      assertEquals(await worldOf(1), first);
      assertNotEquals(await worldOf(2), first);
    });

    test("gives the same world on every runtime", async () => {
      // Changes whenever the network's draws change or their order; it must not differ between runtimes.
      assertEquals(checksum((await worldOf(42)).join("\n")), GOLDEN);
    });

    test("out of range is refused, and so is a receive buffer", () => {
      for (const seed of [-1, 0.5, NaN, 2 ** 53]) {
        assertThrows(() => new MemoryNetwork({ seed }), RangeError, `current value is ${seed}`);
      }
      assertThrows(() => new MemoryNetwork({ receiveBuffer: -1 }), RangeError, "current value is -1");
      assertEquals(new MemoryNetwork({ seed: 9 }).seed, 9);
    });
  });
});

describe("SeededRandom", () => {
  test("has evenly distributed numbers, from the first one of each seed on", () => {
    const counts = new Array<number>(16).fill(0);
    for (let seed = 0; seed < 16_000; seed++) {
      const at = new SeededRandom(seed).below(16);
      counts[at] = (counts[at] ?? 0) + 1;
    }
    // Chi-square with 15 degrees of freedom: above 50 with a chance of 1 in 80,000.
    assertLess(counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0), 50);
  });

  test("distinguishes seeds that differ only in their upper half", () => {
    assertNotEquals(new SeededRandom(1).bytes(8), new SeededRandom(1 + 2 ** 32).bytes(8));
    assertEquals(new SeededRandom(1).bytes(8), new SeededRandom(1).bytes(8));
  });

  test("draws nothing where there is no choice", () => {
    const [random, other] = [new SeededRandom(3), new SeededRandom(3)];
    assertEquals([random.chance(0), random.chance(1), random.between(2, 2)], [false, true, 2]);
    assertEquals(random.next(), other.next());
    const drawn = Array.from({ length: 1000 }, () => random.between(5, 7));
    assert(drawn.every((value) => value >= 5 && value < 7));
  });
});

const GOLDEN = 2_403_855_709;

/** The trace of ten nodes that publish, answer, stall, crash and come back, on a network with every fault. */
async function worldOf(seed: number): Promise<string[]> {
  const network = new MemoryNetwork({
    seed,
    loss: 0.1,
    duplicate: 0.05,
    reorder: 0.1,
    truncate: 0.02,
    delay: { min: 0.05, max: 4 },
  });
  const trace: string[] = [];
  network.tap(({ time, from, to, receiver, data, fate }) => {
    trace.push(`${time} ${from.host}:${from.port}>${to.host}:${to.port} ${receiver} ${data.length} ${fate}`);
  });
  const start = async (address: string) => {
    const host = network.host(address);
    const own = await open(host, { port: 0 });
    await open(host, WITH_GROUP, {
      error() {},
      message: async (data: Uint8Array, from: string, port: number) => {
        if (data.length !== 40) return;
        await undefined;
        await own.send(host.randomBytes(20), from, port);
      },
    });
    const beat = async () => {
      host.clock.setTimer(beat, 100 + (host.randomBytes(1)[0] ?? 0));
      await own.send(host.randomBytes(40), GROUP, 7946);
    };
    host.clock.setTimer(beat, 10);
    return host;
  };
  const hosts: MemoryHost[] = [];
  for (let i = 1; i <= 10; i++) hosts.push(await start(`10.0.0.${i}`));
  await network.clock.advance(1000);
  hosts[3]?.pause();
  network.partition([hosts.slice(0, 5).map(({ address }) => address), hosts.slice(5).map(({ address }) => address)]);
  await network.clock.advance(1000);
  hosts[3]?.resume();
  hosts[4]?.crash();
  network.heal();
  await start("10.0.0.5");
  await network.clock.advance(1000);
  return trace;
}

/** FNV-1a, 32 bits. */
function checksum(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}
