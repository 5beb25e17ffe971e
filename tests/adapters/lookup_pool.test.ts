// Look-ups of names by the runtime: how many are under way, and which ones wait.
import { describe, test } from "node:test";
import { assertEquals, assertRejects } from "@std/assert";
import { delay } from "@std/async";
import { LookupPool, type LookupPoolConfig } from "../../adapters/lookup_pool.ts";
import { listedIn } from "../../adapters/name_server_lookup.ts";
import { settle, watch } from "../support/outcome.ts";

/** Look-ups that the test answers. */
function byHand(config: Partial<LookupPoolConfig> = {}) {
  const log: string[] = [];
  const open = new Map<string, { settle: (answer: string[]) => void; fail: (error: Error) => void }>();
  let most = 0;
  const way = (name: string) => (host: string) => {
    log.push(`${name} ${host}`);
    return new Promise<string[]>((settle, fail) => {
      open.set(`${name} ${host}`, { settle, fail });
      most = Math.max(most, [...open.keys()].filter((text) => text.startsWith("lookup")).length);
    });
  };
  const pool = new LookupPool({ lookup: way("lookup"), atOnce: 1, patience: 0, ...config });
  const end = async (name: string, answer: string[] | Error) => {
    const asked = open.get(name);
    open.delete(name);
    if (answer instanceof Error) asked?.fail(answer);
    else asked?.settle(answer);
    await settle();
  };
  return { pool, log, way, end, most: () => most };
}

describe("look-ups", () => {
  for (const atOnce of [1, 3]) {
    test(`are ${atOnce} at a time, in order, and one that fails delays none`, async () => {
      const { pool, log, end, most } = byHand({ atOnce });
      const names = Array.from({ length: 20 }, (_, i) => `n${i}`);
      const queue: string[] = [];
      const outcomes = names.map((host) =>
        watch(pool.resolve(host, { onQueue: (isQueued) => queue.push(`${host} ${isQueued}`) }))
      );
      assertEquals(log.length, atOnce);
      assertEquals(queue, names.slice(atOnce).map((host) => `${host} true`));
      for (const [i, host] of names.entries()) {
        await end(`lookup ${host}`, i % 2 === 0 ? ["10.0.0.1"] : new Error("no such name"));
      }
      assertEquals([log, most()], [names.map((host) => `lookup ${host}`), atOnce]);
      assertEquals(queue.slice(-names.length + atOnce), names.slice(atOnce).map((host) => `${host} false`));
      assertEquals(outcomes.map(({ state }) => state), names.map((_, i) => i % 2 === 0 ? "fulfilled" : "rejected"));
    });
  }

  test("that throw at once fail, and delay none", async () => {
    const pool = new LookupPool({
      atOnce: 1,
      lookup: (host) => {
        if (host === "bad") throw new Error("bad name");
        return Promise.resolve([host]);
      },
    });
    const good = pool.resolve("a");
    await assertRejects(() => pool.resolve("bad"), Error, "bad name");
    assertEquals([await good, await pool.resolve("b")], [["a"], ["b"]]);
  });

  test("that are aborted reject at once, and do not begin if they still wait", async () => {
    const { pool, log, end } = byHand();
    const controllers = Array.from({ length: 3 }, () => new AbortController());
    const outcomes = controllers.map(({ signal }, i) => watch(pool.resolve(`n${i}`, { signal })));
    const reason = new Error("closed");
    for (const controller of controllers.slice(0, 2)) controller.abort(reason);
    await settle();
    assertEquals(outcomes, [{ state: "rejected", reason }, { state: "rejected", reason }, { state: "waiting" }]);
    // The first holds its thread until it is answered.
    assertEquals(log, ["lookup n0"]);
    await end("lookup n0", ["10.0.0.1"]);
    assertEquals(log, ["lookup n0", "lookup n2"]);
    await end("lookup n2", ["10.0.0.2"]);
    assertEquals(outcomes.map(({ state }) => state), ["rejected", "rejected", "fulfilled"]);
    const late = new AbortController();
    late.abort(reason);
    await assertRejects(() => pool.resolve("late", { signal: late.signal }), Error, "closed");
    assertEquals(log.length, 2);
  });
});

describe("the detour", () => {
  /** Resolves with the names that the detour was called for, once it has been called so often. */
  function withDetour(answer: (host: string) => Promise<readonly string[]>, count: number) {
    const detoured: string[] = [];
    let done: () => void = () => {};
    const asked = new Promise<void>((resolve) => done = resolve);
    const rig = byHand({
      detour: (host) => {
        detoured.push(host);
        if (detoured.length === count) done();
        return answer(host);
      },
    });
    return { ...rig, detoured, asked };
  }

  test("is used by all that wait behind a name without an answer, and by those that come later", async () => {
    const { pool, log, detoured, asked, end } = withDetour((host) => Promise.resolve([`at ${host}`]), 9);
    const silent = watch(pool.resolve("silent"));
    const names = Array.from({ length: 9 }, (_, i) => `n${i}`);
    assertEquals(await Promise.all(names.map((host) => pool.resolve(host))), names.map((host) => [`at ${host}`]));
    await asked;
    assertEquals(await pool.resolve("late"), ["at late"]);
    assertEquals([detoured, log, silent.state], [[...names, "late"], ["lookup silent"], "waiting"]);
    await end("lookup silent", ["10.0.0.1"]);
    // The answer came in time, so the detour is not used.
    const next = watch(pool.resolve("next"));
    await end("lookup next", ["10.0.0.2"]);
    assertEquals([silent.state, next.state, detoured.length, log.at(-1)], [
      "fulfilled",
      "fulfilled",
      10,
      "lookup next",
    ]);
  });

  test("that does not know a name leaves it in the queue, where it is looked up once", async () => {
    const { pool, log, detoured, asked, end } = withDetour(() => Promise.reject(new Error("unknown")), 2);
    const outcomes = ["silent", "a", "b"].map((host) => watch(pool.resolve(host)));
    await asked;
    await settle();
    assertEquals([detoured, outcomes.map(({ state }) => state)], [["a", "b"], ["waiting", "waiting", "waiting"]]);
    await end("lookup silent", new Error("no answer"));
    await end("lookup a", ["10.0.0.1"]);
    await end("lookup b", ["10.0.0.2"]);
    assertEquals(outcomes.map(({ state }) => state), ["rejected", "fulfilled", "fulfilled"]);
    assertEquals([log, detoured.length], [["lookup silent", "lookup a", "lookup b"], 2]);
  });

  test("is not used for aborted look-ups, and by 32 at a time", async () => {
    const { pool, detoured, asked } = withDetour(() => new Promise(() => {}), 32);
    const controller = new AbortController();
    const { signal } = controller;
    for (const host of ["silent", ...Array.from({ length: 100 }, (_, i) => `n${i}`)]) {
      watch(pool.resolve(host, host === "n0" ? { signal } : {}));
    }
    controller.abort();
    await asked;
    await settle();
    assertEquals(detoured, Array.from({ length: 32 }, (_, i) => `n${i + 1}`));
  });
});

describe("the detour, later", () => {
  test("is not used behind a name that has not taken long, though others have", async () => {
    const detoured: string[] = [];
    const detour = (host: string) => {
      detoured.push(host);
      return Promise.resolve([`at ${host}`]);
    };
    const { pool, end } = byHand({ detour });
    watch(pool.resolve("silent"));
    assertEquals(await pool.resolve("a"), ["at a"]);
    await end("lookup silent", ["10.0.0.1"]);
    watch(pool.resolve("quick"));
    watch(pool.resolve("behind"));
    assertEquals(detoured, ["a"]);
  });

  test("continues with those that wait when some of its look-ups have ended", async () => {
    const { log, way, end } = byHand();
    const limited = new LookupPool({
      lookup: () => new Promise(() => {}),
      detour: way("detour"),
      atOnce: 1,
      patience: 0,
      detours: 2,
    });
    const names = Array.from({ length: 5 }, (_, i) => `n${i}`);
    for (const host of ["silent", ...names]) watch(limited.resolve(host));
    while (log.length < 2) await delay(1);
    await end("detour n0", ["10.0.0.1"]);
    assertEquals(log, ["detour n0", "detour n1", "detour n2"]);
    await end("detour n1", new Error("unknown"));
    await end("detour n2", ["10.0.0.1"]);
    assertEquals(log, names.map((host) => `detour ${host}`));
  });

  test("and an answer leave no listener on the signal", async () => {
    let listeners = 0;
    const { signal } = new AbortController();
    const counted = new Proxy(signal, {
      get(target, name) {
        if (name === "addEventListener") return () => void listeners++;
        if (name === "removeEventListener") return () => void listeners--;
        return Reflect.get(target, name, target);
      },
    });
    const { pool, end } = byHand();
    const answers = ["a", "b"].map((host) => pool.resolve(host, { signal: counted }));
    assertEquals(listeners, 1);
    for (const host of ["a", "b"]) await end(`lookup ${host}`, [host]);
    assertEquals([await Promise.all(answers), listeners], [[["a"], ["b"]], 0]);
  });
});

describe("the hosts file", () => {
  const HOSTS = [
    "127.0.0.1 localhost",
    "::1\tlocalhost ip6-localhost # the same",
    "# 10.0.0.9 cache",
    "  10.0.0.1   Cache.Example cache\r",
    "10.0.0.2 cache cache",
    "10.0.0.2 cache",
    "10.0.0.3",
    "fe80::1%eth0 six",
    "",
  ].join("\n");

  test("gives a name all its addresses, whatever its case", () => {
    assertEquals(listedIn(HOSTS, "localhost"), ["127.0.0.1", "::1"]);
    assertEquals(listedIn(HOSTS, "CACHE"), ["10.0.0.1", "10.0.0.2"]);
    assertEquals(listedIn(HOSTS, "cache.example."), ["10.0.0.1"]);
    assertEquals(listedIn(HOSTS, "six"), ["fe80::1%eth0"]);
  });

  test("has no entry for an address, a comment or an empty name", () => {
    for (const name of ["10.0.0.1", "same", "", "ache"]) assertEquals(listedIn(HOSTS, name), []);
    assertEquals(listedIn("", "localhost"), []);
  });
});
