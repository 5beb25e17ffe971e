// Contexts of AsyncLocalStorage: the ones in which callbacks run do not depend on the opener of the mesh or on the
// publisher.
import { AsyncLocalStorage } from "node:async_hooks";
import { describe, test } from "node:test";
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { systemPorts } from "../../adapters/auto.ts";
import { frameOfNowIn } from "../../adapters/deno_async_context.ts";
import { MemoryNetwork } from "../../adapters/memory.ts";
import {
  type Contexts,
  type EnterContext,
  InProcessBus,
  MeshBus,
  type MeshEvent,
  openMesh,
  type SyncEvent,
} from "../../mod.ts";
import { Subscriptions } from "../../src/pubsub/subscriptions.ts";
import { happened, peersKnown } from "../support/meshes.ts";
import { settle } from "../support/outcome.ts";
import { withPrograms } from "../support/programs.ts";

const request = new AsyncLocalStorage<string>();
const stored = () => request.getStore();
/** Bun does not show contexts. */
const isSeen = process.versions["bun"] === undefined;
const isDeno = "Deno" in globalThis;
const contexts = systemPorts.contexts as Contexts;
/** Outside of every test, which is a context of its own on Deno. */
const outermost = contexts.capture();

/** Meshes of two hosts, the first opened by a request. */
async function openTwo() {
  const network = new MemoryNetwork({ seed: 1 });
  const host = network.host("10.0.0.1");
  const mesh = await request.run("opener", () => MeshBus.open({ ...host, contexts, heartbeat: 200 }));
  const other = await MeshBus.open({ ...network.host("10.0.0.2"), heartbeat: 200 });
  const { clock } = network;
  await clock.advance(2_000);
  const close = async () => void await clock.run(Promise.all([mesh.close(), other.close()]), 5_000);
  return { clock, host, mesh, other, close };
}

describe("the contexts of this runtime", () => {
  test("are entered as they were captured, with results and errors", () => {
    const error = new Error("thrown");
    const enter = request.run("captured", () => contexts.capture());
    const free = contexts.capture();
    request.run("caller", () => {
      assertEquals(enter(() => [request.getStore(), free(() => request.getStore())]), ["captured", undefined]);
      assertStrictEquals(
        assertThrows(() =>
          enter(() => {
            throw error;
          })
        ),
        error,
      );
      assertEquals(request.getStore(), "caller");
    });
  });

  test("are left from anywhere: inside of one that was entered, and of a `run` in it", () => {
    const free = contexts.capture();
    const inner = free(() => request.run("inner", () => [free(stored), contexts.leave(stored), stored()]));
    assertEquals(inner, [undefined, undefined, "inner"]);
    const opener = request.run("opener", () => contexts.capture());
    assertEquals(free(() => opener(() => [stored(), free(stored), stored()])), ["opener", undefined, "opener"]);
  });

  test("keep nothing that `enterWith` sets outside of all, once that is left", async () => {
    const free = contexts.capture();
    await free(async () => {
      request.enterWith("stays");
      assertEquals([stored(), free(stored), contexts.leave(stored)], ["stays", undefined, undefined]);
      await Promise.resolve();
      assertEquals(stored(), "stays");
    });
    assertEquals([stored(), free(stored), contexts.leave(stored)], [undefined, undefined, undefined]);
    assertThrows(() =>
      free(() => {
        request.enterWith("thrown");
        throw new Error("mine");
      })
    );
    assertEquals([stored(), free(stored)], [undefined, undefined]);
  });

  test("of a package that is only imported do not slow promises down", () =>
    withPrograms(async (start) => {
      const program = start("node", "tests/support/followed_promises.ts");
      assertEquals(await program.ended(), 0, program.describe());
      assertEquals(JSON.parse(program.lines.at(-1) ?? ""), { hasContexts: true, isFollowed: false });
    }));

  test("are never confused", async () => {
    const other = new AsyncLocalStorage<string | undefined>();
    const stores = () => [request.getStore(), other.getStore()];
    const captured: [EnterContext, unknown[]][] = [];
    const take = () => captured.push([contexts.capture(), stores()]);
    take();
    request.run("a", take);
    request.run("b", () => {
      take();
      other.run("c", take);
      other.run(undefined, take);
    });
    other.run(undefined, take);
    await request.run("d", async () => {
      take();
      await Promise.resolve();
      take();
    });
    take();
    request.run("caller", () => {
      for (const [enter, expected] of captured) assertEquals(enter(stores), expected);
    });
    const held = new Map<unknown, string>();
    for (const [enter, expected] of captured) {
      assertEquals(held.get(enter) ?? String(expected), String(expected));
      held.set(enter, String(expected));
    }
  });

  if (isSeen) {
    test("without a store are equal", async () => {
      assertStrictEquals(outermost, contexts.leave);
      const enter = contexts.capture();
      await new Promise((resolve) => setTimeout(resolve));
      assertStrictEquals(contexts.capture(), enter);
      // Deno makes a context whenever it enters one.
      if (!isDeno) request.run("other", () => assertStrictEquals(enter(() => contexts.capture()), outermost));
    });
  }

  if (isDeno) {
    test("that are the same are equal on Deno", () =>
      request.run("mine", async () => {
        const enter = contexts.capture();
        await new Promise((resolve) => setTimeout(resolve));
        assertStrictEquals(contexts.capture(), enter);
        assertEquals(contexts.leave(() => enter(stored)), "mine");
        request.run("mine", () => assert(contexts.capture() !== enter));
      }));
  }

  test("are left, and come back, also after an await", async () => {
    await request.run("caller", async () => {
      const inside = contexts.leave(async () => {
        const before = request.getStore();
        await Promise.resolve();
        return [before, request.getStore()];
      });
      assertEquals(request.getStore(), "caller");
      assertEquals([await inside, request.getStore()], [[undefined, undefined], "caller"]);
      assertThrows(() => contexts.leave(() => assertEquals(1, 2)));
      assertEquals(request.getStore(), "caller");
    });
  });
});

describe("frames of contexts", () => {
  const internal = Symbol("internal");
  const denoWith = (internals: unknown) => ({ Deno: { internal, [internal]: internals } });

  test("are found on Deno", () => assertEquals(frameOfNowIn(globalThis) !== undefined, isDeno));

  test("are not used where they do not exist, or do not distinguish contexts", () => {
    let count = 0;
    const frame = {};
    const liars = {
      alwaysTheSame: () => frame,
      neverTheSame: () => ({}),
      asOftenAsNot: () => count++ % 4 < 2 ? frame : undefined,
      throws: () => {
        throw new Error("not here");
      },
      noFunction: {},
    };
    for (const [name, getAsyncContext] of Object.entries(liars)) {
      assertStrictEquals(frameOfNowIn(denoWith({ core: { getAsyncContext } })), undefined, name);
    }
    for (
      const global of [{}, { Deno: undefined }, { Deno: {} }, denoWith(undefined), denoWith({}), denoWith({ core: {} })]
    ) {
      assertStrictEquals(frameOfNowIn(global), undefined);
    }
  });

  for (const isReplaced of [true, false]) {
    test(`are ${isReplaced ? "" : "not "}used where \`enterWith\` ${isReplaced ? "makes another" : "changes them"}`, () => {
      // As a runtime would that has a frame for each `run`.
      const { prototype } = AsyncLocalStorage;
      const { run, enterWith } = prototype;
      const frames: object[] = [];
      const getAsyncContext = () => frames.at(-1);
      prototype.run = function (this: AsyncLocalStorage<unknown>, store: unknown, body: () => unknown) {
        frames.push({});
        try {
          return run.call(this, store, body);
        } finally {
          frames.pop();
        }
      } as typeof run;
      prototype.enterWith = () => void (isReplaced && frames.splice(-1, 1, {}));
      try {
        const expected = isReplaced ? getAsyncContext : undefined;
        assertStrictEquals(frameOfNowIn(denoWith({ core: { getAsyncContext } })), expected);
      } finally {
        Object.assign(prototype, { run, enterWith });
      }
    });
  }
});

test("callbacks and listeners on real sockets run in the context in which they were passed", async () => {
  const lists: unknown[] = [];
  const discover = async function* () {
    lists.push(request.getStore());
    await Promise.resolve();
    lists.push(request.getStore());
    yield [];
  };
  const mesh = await request.run("opener", () => openMesh({ interface: "127.0.0.1", port: 0, discover }));
  const heard = new Map<string, unknown>();
  const expected = {
    "listener": "listener",
    "free listener": undefined,
    "subscriber": "subscriber",
    "prefix": "prefix",
    "free subscriber": undefined,
  };
  let arrived = () => {};
  const all = new Promise<void>((resolve) => arrived = resolve);
  const note = (who: string) => () => {
    heard.set(who, request.getStore());
    if (heard.size === Object.keys(expected).length) arrived();
  };
  const joined = happened(mesh, ({ type }) => type === "peerJoined");
  request.run("listener", () => mesh.events.listen(note("listener")));
  mesh.events.listen(note("free listener"));
  const other = await openMesh({ interface: "127.0.0.1", port: mesh.port });
  await Promise.all([joined, peersKnown(other, 1)]);
  request.run("subscriber", () => mesh.subscribe("k", note("subscriber")));
  request.run("prefix", () => mesh.subscribe({ prefix: "" }, note("prefix")));
  mesh.subscribe("k", note("free subscriber"));
  await request.run("publisher", () => other.publish("k"));
  await all;
  await request.run("closer", () => mesh.close());
  await other.close();
  assertEquals(Object.fromEntries(heard), expected);
  assertEquals(lists, [undefined, undefined]);
});

describe("on a mesh that a request has opened", () => {
  test("sockets and timers are in no context, so that the request's store is freed", async () => {
    const network = new MemoryNetwork();
    const host = network.host("10.0.0.1");
    const seen = new Set<unknown>();
    const note = <A extends unknown[], R>(call: (...args: A) => R) => (...args: A): R => {
      seen.add(request.getStore());
      return call(...args);
    };
    const { clock } = host;
    const mesh = await request.run("opener", () =>
      MeshBus.open({
        ...host,
        contexts,
        bind: note(host.bind),
        clock: {
          now: () => clock.now(),
          setTimer: note(clock.setTimer.bind(clock)),
          setTurnEnd: clock.setTurnEnd.bind(clock),
        },
      }));
    assertEquals([...seen], [undefined]);
    await network.clock.run(mesh.close(), 5_000);
  });

  test("delayed keys, gaps, and keys of the bus itself come in the context of the subscriber", async () => {
    const { clock, host, mesh, other, close } = await openTwo();
    const heard: [string, string, unknown][] = [];
    const note = ({ key, cause }: SyncEvent) => heard.push([key, cause, request.getStore()]);
    request.run("subscriber", () =>
      mesh.subscribe({ prefix: "" }, (event) => {
        note(event);
        host.block(20);
      }, { self: true }));
    mesh.subscribe("d", note, { self: true });
    for (const key of ["a", "b"]) await request.run("publisher", () => other.publish(key));
    await clock.advance(500);
    for (const key of ["c", "d"]) await request.run("own publisher", () => mesh.publish(key));
    await clock.advance(500);
    assertEquals(heard, [
      ["a", "publish", "subscriber"],
      ["b", "publish", "subscriber"],
      ["c", "publish", "subscriber"],
      ["d", "publish", undefined],
      ["d", "publish", "subscriber"],
    ]);
    heard.length = 0;
    request.run("blocker", () => host.block(2_000)); // a stall: all subscribers get a gap
    await clock.advance(2_000);
    assertEquals(
      new Set(heard.map(([, cause, store]) => `${cause} ${store}`)),
      new Set(["gap subscriber", "gap undefined"]),
    );
    await close();
  });

  test("a single callback has its context for all keys of a datagram, and no other callback has", async () => {
    const { clock, mesh, other, close } = await openTwo();
    const heard: string[] = [];
    const note = (who: string) => ({ key }: SyncEvent) => heard.push(`${key} at ${who}: ${request.getStore()}`);
    const iterated = mesh.subscribe({ prefix: "" });
    let late: { close(): void } | undefined;
    const first = request.run("first", () =>
      mesh.subscribe({ prefix: "" }, (event) => {
        note("first")(event);
        if (event.key === "b") late = request.run("late", () => mesh.subscribe({ prefix: "" }, note("late")));
        if (event.key === "d") first.close();
      }));
    const publish = async (...keys: string[]) => {
      await request.run("publisher", () => Promise.all(keys.map((key) => other.publish(key))));
      await clock.advance(500);
    };
    await publish("a", "b", "c");
    await publish("d", "e");
    late?.close();
    mesh.subscribe({ prefix: "" }, note("free"));
    await publish("f", "g");
    assertEquals(heard, [
      ...["a at first: first", "b at first: first", "c at first: first", "c at late: late"],
      ...["d at first: first", "d at late: late", "e at late: late"],
      ...["f at free: undefined", "g at free: undefined"],
    ]);
    await close();
    let count = 0;
    for await (const _ of iterated) count++;
    assertEquals(count, 7);
  });

  test("a closed subscription leaves the others their context once for a datagram", () => {
    let entered = 0;
    const enter = <R>(run: () => R): R => {
      entered++;
      return run();
    };
    let enterNext: EnterContext = enter;
    const subscriptions = new Subscriptions(() => {}, { capture: () => enterNext, leave: (run) => run() });
    let calls = 0;
    for (const key of ["a", "b", "c"]) subscriptions.add(key, () => calls++);
    const datagram = () => {
      [calls, entered] = [0, 0];
      subscriptions.within(() => {
        for (const key of ["a", "b", "c"]) subscriptions.deliver(key);
      });
      return [calls, entered];
    };
    assertEquals(datagram(), [3, 1]);
    enterNext = (run) => enter(run);
    const other = subscriptions.add("c", () => calls++);
    const another = subscriptions.add("another", () => {});
    assertEquals(datagram(), [4, 4]);
    other.close();
    assertEquals(datagram(), [3, 3]);
    another.close();
    assertEquals(datagram(), [3, 1]);
  });

  test("a gap of all subscriptions, and delayed keys, enter it once a turn", async () => {
    let entered = 0;
    const enter = <R>(run: () => R): R => {
      entered++;
      return run();
    };
    const network = new MemoryNetwork({ seed: 1 });
    const host = network.host("10.0.0.1");
    const counted: Contexts = { capture: () => enter, leave: (run) => run() };
    const mesh = await MeshBus.open({ ...host, contexts: counted, heartbeat: 200 });
    const other = await MeshBus.open({ ...network.host("10.0.0.2"), heartbeat: 200 });
    const keys = Array.from({ length: 200 }, (_, index) => `key ${index}`);
    const heard: string[] = [];
    for (const key of keys) {
      mesh.subscribe(key, ({ cause }) => {
        // The first callback is slow, so that the others wait for the next turn.
        if (heard.push(cause) === 1) host.block(10);
      });
    }
    const { clock } = network;
    await clock.advance(2_000);
    entered = 0;
    for (const key of keys) await other.publish(key);
    await clock.advance(500);
    assertEquals(heard, keys.map(() => "publish"));
    assert(entered < 40, `${entered} times for ${keys.length} keys`);
    entered = heard.length = 0;
    heard.push("none is slow");
    host.block(2_000);
    await clock.advance(2_000);
    assertEquals(heard.slice(1), keys.map(() => "gap"));
    assert(entered < 40, `${entered} times for ${keys.length} gaps`);
    await clock.run(Promise.all([mesh.close(), other.close()]), 5_000);
  });

  test("a loop continues in its own context", async () => {
    const { clock, mesh, other, close } = await openTwo();
    const stores: unknown[] = [];
    const loop = async (events: AsyncIterable<SyncEvent | MeshEvent>) => {
      for await (const _ of events) {
        stores.push(request.getStore());
        await Promise.resolve();
        stores.push(request.getStore());
      }
      stores.push("end", request.getStore());
    };
    const events = request.run("maker", () => mesh.subscribe({ prefix: "" }));
    const loops = [request.run("loop", () => loop(events)), request.run("events", () => loop(mesh.events))];
    await clock.advance(100);
    stores.length = 0;
    for (const key of ["a", "b"]) {
      await request.run("publisher", () => other.publish(key));
      await clock.advance(200);
    }
    assertEquals(stores, ["loop", "loop", "loop", "loop"]);
    await request.run("closer", close);
    await Promise.all(loops);
    assertEquals(stores.slice(4), ["end", "loop", "events", "events", "end", "events"]);
  });

  test("a listener counts once, and gets the error of a callback in its own context", async () => {
    const { clock, mesh, other, close } = await openTwo();
    const errors: unknown[] = [];
    const listener = (event: MeshEvent) =>
      void (event.type === "error" && errors.push([event.stage, request.getStore()]));
    const stop = request.run("first", () => mesh.events.listen(listener));
    request.run("second", () => mesh.events.listen(listener));
    request.run("subscriber", () => mesh.subscribe("k", () => Promise.reject(new Error("mine"))));
    await other.publish("k");
    await clock.advance(500);
    await settle();
    assertEquals(errors, [["callback", "first"]]);
    stop();
    await other.publish("k");
    await clock.advance(2_000);
    assertEquals(errors.length, 1);
    await close();
  });
});

test("meshes open without the port, and refuse an invalid one", async () => {
  const network = new MemoryNetwork();
  const host = network.host("10.0.0.1");
  for (const bad of [null, 5, { capture: contexts.capture }]) {
    const open = () => MeshBus.open({ ...host, contexts: bad as unknown as Contexts });
    await assertRejects(open, TypeError, "`contexts` must be an object with `capture` and `leave`");
  }
  const mesh = await MeshBus.open(host);
  let store: unknown;
  request.run("subscriber", () => mesh.subscribe("k", () => store = request.getStore(), { self: true }));
  await request.run("publisher", () => mesh.publish("k"));
  assertEquals(store, "publisher");
  await network.clock.run(mesh.close(), 5_000);
});

test("callbacks of an InProcessBus run in the publisher's context, or with the port in the subscriber's", async () => {
  const outcomes: unknown[] = [];
  for (const options of [{}, { contexts }]) {
    const stores: unknown[] = [];
    const onError = () => stores.push(request.getStore());
    const bus = request.run("opener", () => new InProcessBus({ ...options, onError })).replica();
    request.run("subscriber", () =>
      bus.subscribe("k", () => {
        stores.push(request.getStore());
        throw new Error("mine");
      }));
    await request.run("publisher", () => bus.replica().publish("k"));
    outcomes.push(stores);
    await bus.close();
  }
  assertEquals(outcomes, [["publisher", "publisher"], ["subscriber", "opener"]]);
});

test("a key that a callback publishes in a context of its own comes in the subscriber's context", async () => {
  const network = new MemoryNetwork({ seed: 1 });
  const mesh = await MeshBus.open({ ...network.host("10.0.0.1"), contexts });
  const other = await MeshBus.open(network.host("10.0.0.2"));
  await network.clock.advance(2_000);
  const heard: string[] = [];
  request.run("subscriber", () =>
    mesh.subscribe({ prefix: "" }, ({ key }) => {
      heard.push(`${key}: ${request.getStore()}`);
      if (key === "a") void request.run("inner", () => mesh.publish("own"));
      heard.push(`after ${key}: ${request.getStore()}`);
    }, { self: true }));
  await Promise.all([other.publish("a"), other.publish("b")]);
  await network.clock.advance(500);
  assertEquals(heard, [
    ...["a: subscriber", "after a: subscriber", "own: subscriber", "after own: subscriber"],
    ...["b: subscriber", "after b: subscriber"],
  ]);
  await network.clock.run(Promise.all([mesh.close(), other.close()]), 5_000);
});
