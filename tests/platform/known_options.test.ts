// Known options: unknown ones are refused in each call that takes options, with a suggestion.
import { describe, test } from "node:test";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { MemoryNetwork } from "../../adapters/memory.ts";
import {
  InProcessBus,
  MeshBus,
  type MeshOptions,
  openMesh,
  type PublishOptions,
  sharedMesh,
  type SyncBus,
} from "../../mod.ts";
import { checkKnown, knownOptions } from "../../src/platform/known_options.ts";
import { outcomeOf } from "../support/outcome.ts";

/** As a program without types passes them. */
function options(names: Readonly<Record<string, unknown>>): object {
  return names;
}

async function withMesh(body: (mesh: MeshBus, network: MemoryNetwork) => Promise<void>): Promise<void> {
  const network = new MemoryNetwork();
  const mesh = await MeshBus.open({ ...network.host("10.0.0.1") });
  try {
    await body(mesh, network);
  } finally {
    await network.clock.run(mesh.close(), 5000);
  }
}

/** Nothing opens with it, were its other options taken. */
const OFF = { signal: AbortSignal.abort() };

/** The suggestion for an option when a mesh is opened with it. */
async function said(name: string): Promise<string> {
  const error = await assertRejects(() => openMesh(options({ [name]: 1, ...OFF })), TypeError);
  assert(error.message.startsWith(`Cannot open the mesh as every option must be known: current value is "${name}" (`));
  return /\((.*)\)$/.exec(error.message)?.[1] ?? "";
}

describe("an unknown option", () => {
  const wrong: readonly Record<string, unknown>[] = [{ sellf: true }, { sellf: undefined }, {
    self: true,
    sellf: null,
  }];

  test("is refused by every call of a bus, and leaves nothing behind", () =>
    withMesh(async (mesh) => {
      const bus = new InProcessBus();
      for (const names of wrong) {
        const bad: PublishOptions = options(names);
        const calls: ((on: SyncBus) => unknown)[] = [
          (on) => on.publish("key", bad),
          (on) => on.publishAndAwait("key", 0, bad),
          (on) => on.publishAndAwait("key", 1, bad),
          (on) => on.publishAndAwaitTopology("key", 1, bad),
          (on) => on.revokeLease("key", bad),
        ];
        for (const call of calls) {
          for (const on of [mesh, bus]) {
            // It rejects, and does not throw.
            const promise = call(on) as Promise<void>;
            await assertRejects(() => promise, TypeError, 'current value is "sellf" (did you mean `self`?)');
          }
        }
        for (const on of [mesh, bus] as SyncBus[]) {
          const message = 'Cannot subscribe as every option must be known: current value is "sellf"';
          assertThrows(() => on.subscribe("key", bad), TypeError, message);
          assertThrows(() => on.subscribe("key", () => {}, bad), TypeError, message);
          assertThrows(() => on.subscribeLease("key", () => {}, bad), TypeError, message);
        }
      }
      assertEquals([mesh.metrics().keysPublished, bus.metrics().published], [0, 0]);
      await mesh.publish("key", { self: true });
      assertEquals(mesh.metrics().keysPublished, 1);
      await bus.close();
    }));

  test("is refused where a mesh is queried, opened or shared", () =>
    withMesh(async (mesh, network) => {
      const bad = options({ timeut: 1 });
      await assertRejects(() => mesh.waitForPeers(0, bad), TypeError, '"timeut" (did you mean `timeout`?)');
      await assertRejects(() => mesh.diagnose(bad), TypeError, '"timeut" (did you mean `timeout`?)');
      const host = network.host("10.0.0.2");
      await assertRejects(
        () => MeshBus.open({ ...host, ...options({ seeds: [] }) }),
        TypeError,
        "did you mean `peers`?",
      );
      await assertRejects(
        () => MeshBus.open({ ...host, ...options({ routeto: 1 }) }),
        TypeError,
        "did you mean `routeTo`?",
      );
      const misspelt = options({ offlin: true });
      const shared =
        'Cannot share a mesh as every option must be known: current value is "offlin" (did you mean `offline`?)';
      await assertRejects(() => sharedMesh("known options", misspelt), TypeError, shared);
      const open = await sharedMesh("known options", { offline: true });
      await assertRejects(() => sharedMesh("known options", misspelt), TypeError, shared);
      await open.close();
    }));

  test("is refused where a bus or a network is made, and a fault is set", () => {
    assertThrows(() => new InProcessBus(options({ onerror: 1 })), TypeError, "(did you mean `onError`?)");
    assertThrows(() => new MemoryNetwork(options({ packetLoss: 1 })), TypeError, "(did you mean `loss`?)");
    const network = new MemoryNetwork({ seed: 3, loss: 0.5, receiveBuffer: 1000, poison: false });
    assertThrows(
      () => network.host("10.0.0.1", options({ multcast: false })),
      TypeError,
      "(did you mean `multicast`?)",
    );
    assertThrows(() => network.set(options({ los: 1 })), TypeError, "(did you mean `loss`?)");
    assertThrows(
      () => network.set({ delay: { min: 1, max: 1, ...options({ mean: 1 }) } }),
      TypeError,
      "`min` and `max`",
    );
    assertThrows(() => network.set({ loss: 1 }, options({ source: "10.0.0.1" })), TypeError, "(did you mean `from`?)");
  });

  test("is refused in a topic, which has no options", () => {
    const bus = new InProcessBus();
    assertThrows(
      () => bus.subscribe({ prefix: "user:", ...options({ self: true }) }),
      TypeError,
      "an object of their own",
    );
    assertThrows(() => bus.subscribe("user:", options({ prefix: true })), TypeError, "it belongs to the topic");
    assertEquals(bus.subscribe({ prefix: "user:" }, { self: true, capacity: 1 }).closed, false);
  });

  test("is a property of the object itself, whatever its value; symbols, inherited and hidden properties are none", async () => {
    const bus = new InProcessBus();
    const inherited = Object.create({ sellf: true });
    const hidden = Object.defineProperty({ [Symbol("sellf")]: 1 }, "sellf", { value: 1 });
    for (const fine of [inherited, hidden, {}, undefined, null, Object.create(null)]) await bus.publish("key", fine);
    assertEquals(bus.metrics().published, 6);
    for (const name of ["constructor", "toString", "__proto__"]) {
      const bad = Object.defineProperty({}, name, { value: 1, enumerable: true });
      await assertRejects(() => bus.publish("key", bad), TypeError, `current value is "${name}" (known: `);
    }
  });

  test("is refused like options that are no object, and those that throw", async () => {
    const bus = new InProcessBus();
    for (const value of ["Ada", 1, true, () => {}, []]) {
      const publishing = () => bus.publish("key", value as PublishOptions);
      await assertRejects(publishing, TypeError, "Cannot publish as the options must be an object: current value is");
    }
    const hostile = new Proxy({}, {
      ownKeys() {
        throw new RangeError("no keys");
      },
    });
    await withMesh(async (mesh) => {
      const { reason } = await outcomeOf(mesh.publish("key", hostile));
      assert(reason instanceof RangeError);
    });
  });

  test("has a short error message, however long its name is and however many there are", async () => {
    const names = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`${i}`.repeat(5000), 1]));
    const { message } = await assertRejects(() => openMesh(options({ ...names, ...OFF })), TypeError);
    assert(message.length < 250, message);
  });
});

describe("the suggestion", () => {
  const meant: Readonly<Record<string, string>> = {
    batchIntervall: "`batchInterval`",
    batch_interval: "`batchInterval`",
    BATCHINTERVAL: "`batchInterval`",
    qeueuSize: "`queueSize`",
    prot: "`port`",
    interfaces: "`interface`",
    advertise: "`advertiseAddr`",
    heartbeatInterval: "`heartbeat`",
    seeds: "`peers`",
    nodes: "`peers`",
    hosts: "`peers`",
    servers: "`peers`",
    "bootstrap.servers": "`peers`",
    ttl: "`multicastTtl`",
    timeout: "`peerTimeout` or `signal`",
    address: "`interface` or `advertiseAddr`",
    batch: "`batchInterval` or `batchSize`",
  };
  for (const [name, names] of Object.entries(meant)) {
    test(`for ${name} is ${names}`, async () => assertEquals(await said(name), `did you mean ${names}?`));
  }

  test("may be a port, or the events of a mesh", async () => {
    for (const name of ["bind", "clock", "resolve"]) {
      assertEquals(await said(name), "it is a port, which `MeshBus.open` takes");
    }
    for (const name of ["onError", "logger"]) assertEquals(await said(name), "`mesh.events` reports what happens");
  });

  test("is none for a name that is like no other", async () => {
    for (const name of ["x", "", "constructor", "zzzzzz"]) {
      assertEquals(await said(name), "no option is called nearly so");
    }
    const few = knownOptions<{ one: 1; two: 2; three: 3 }>({ one: true, two: true, three: true });
    assertThrows(() => checkKnown("go", { x: 1 }, few), TypeError, '"x" (known: `one`, `two` and `three`)');
  });

  test("is several names that are equally near", () => {
    const known = knownOptions<{ aab: 1; aac: 1; zzz: 1 }>({ aab: true, aac: true, zzz: true });
    assertThrows(() => checkKnown("go", { aa: 1 }, known), TypeError, "known: `aab`, `aac` and `zzz`");
    assertThrows(() => checkKnown("go", { aad: 1 }, known), TypeError, "(did you mean `aab` or `aac`?)");
  });
});

describe("the known options", () => {
  test("are all that a mesh has", () =>
    withMesh(async (_, network) => {
      const all: Required<MeshOptions> = {
        port: 7947,
        group: "239.0.0.2",
        family: 4,
        interface: "eth0",
        waitForInterface: false,
        peers: [],
        resolveInterval: 1000,
        discover: async function* () {},
        advertiseAddr: ":0",
        heartbeat: 1000,
        batchInterval: 1,
        batchSize: 1,
        queueSize: 1,
        multicast: true,
        multicastTtl: 1,
        multicastLoopback: true,
        receiveBuffer: 4096,
        peerTimeout: 2000,
        maxPeers: 1,
        wire: "extended",
        repairBytes: 65_536,
        repairAge: 100,
        maxRepairTime: 100,
        minSendRate: 1,
        maxSendRate: 1,
        zone: "eu-1a",
        region: "eu",
        signal: new AbortController().signal,
      };
      const undefinedOnes = Object.fromEntries(Object.keys(all).map((name) => [name, undefined]));
      for (const given of [all, undefinedOnes]) {
        // A host itself as well as a copy of it: its own parts are no options.
        const mesh = await network.clock.run(MeshBus.open({ ...network.host("10.0.0.2"), ...given }), 1000);
        await network.clock.run(mesh.close(), 5000);
      }
      const mesh = await network.clock.run(MeshBus.open(network.host("10.0.0.2")), 1000);
      await network.clock.run(mesh.close(), 5000);
    }));

  test("cannot be listed without one of them", () => {
    // @ts-expect-error A list that is not complete.
    knownOptions<MeshOptions>({ port: true });
    // @ts-expect-error A name that is none of them.
    const known = knownOptions<{ a?: 1 }>({ a: true, b: true });
    checkKnown("go", { a: 1, b: undefined }, known);
    assertThrows(() => checkKnown("go", { c: 1 }, known), TypeError);
  });
});

describe("options that an object inherits", () => {
  class Config implements MeshOptions {
    readonly #host = "127.0.0.1";
    get interface() {
      return this.#host;
    }
    get batchSize() {
      return 0;
    }
  }

  test("count as its own do", async () => {
    for (const given of [new Config(), Object.create({ interface: "127.0.0.1", batchSize: 0 })]) {
      for (const open of [openMesh(given), sharedMesh("inherited", given)]) {
        await assertRejects(() => open, RangeError, "`batchSize` must be an integer from 1");
      }
    }
  });
});
