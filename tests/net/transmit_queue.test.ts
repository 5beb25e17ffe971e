// The transmit queue: what leaves a node, in which order, and how failures are reported.
import { describe, test } from "node:test";
import { assertEquals, assertLessOrEqual, assertStrictEquals } from "@std/assert";
import * as fc from "fast-check";
import { VirtualClock } from "../../adapters/memory/clock.ts";
import { Pacer } from "../../src/net/pacer.ts";
import { sendAll } from "../../src/net/send_all.ts";
import { SendBudget } from "../../src/net/send_budget.ts";
import {
  type Transmit,
  TransmitQueue,
  type TransmitQueueConfig,
  type TransmitSockets,
} from "../../src/net/transmit_queue.ts";
import type { Endpoint } from "../../src/platform/endpoint.ts";
import { settle, watch } from "../support/outcome.ts";

const GROUP: Endpoint = { host: "239.0.0.1", port: 7946 };
const A: Endpoint = { host: "10.0.0.1", port: 1 };
const B: Endpoint = { host: "10.0.0.2", port: 2 };

/** Sends one datagram; rejects or throws when it was not sent. */
type SendOne = (datagram: Uint8Array, endpoint: Endpoint) => Promise<void>;

function oneByOne(send: SendOne): TransmitSockets["sendTo"] {
  return async (datagrams, endpoint) => {
    const unsent: (Error | undefined)[] = [];
    for (const datagram of datagrams) {
      try {
        await send(datagram, endpoint);
        unsent.push(undefined);
      } catch (error) {
        unsent.push(error as Error);
      }
    }
    return unsent.every((error) => error === undefined) ? undefined : unsent;
  };
}

/** What a queue is made of, and what it is connected to. */
interface Script extends Omit<TransmitQueueConfig, "sockets"> {
  readonly sendTo: TransmitSockets["sendTo"];
  readonly hasGroup: () => boolean;
  readonly extendedTo: () => readonly Endpoint[];
  readonly batchTo: () => readonly Endpoint[];
  readonly isSteady: () => boolean;
  readonly take: () => Uint8Array | undefined;
  readonly release: () => void;
  readonly takeRetransmit?: () => Transmit | undefined;
  readonly isReady: (what: "batch" | "retransmission") => boolean;
}

function connected(script: Script): TransmitQueue {
  const { batchTo, extendedTo, hasGroup, isReady, isSteady, release, sendTo, take, takeRetransmit, ...config } = script;
  const queue = new TransmitQueue({
    ...config,
    sockets: {
      get hasMulticast() {
        return hasGroup();
      },
      sendTo,
      sendToGroup: (datagrams) => sendTo(datagrams, GROUP),
    },
  });
  queue.connect({
    batches: {
      get isReady() {
        return isReady("batch");
      },
      take,
      release,
    },
    retransmits: takeRetransmit && {
      get hasRetransmit() {
        return isReady("retransmission");
      },
      takeRetransmit,
    },
    scopes: { extended: extendedTo, batch: batchTo, isSteady },
  });
  return queue;
}

/** A queue whose datagrams are texts, and whose sends end when the test ends them. */
function setUp({ send, ...script }: Partial<Omit<Script, "sendTo">> & { readonly send?: SendOne } = {}) {
  const batches: string[] = [];
  const sent: string[] = [];
  const errors: unknown[] = [];
  const underWay: { readonly end: (error?: Error) => void }[] = [];
  const deferred: SendOne = (datagram, { host }) => {
    sent.push(`${new TextDecoder().decode(datagram)} to ${host}`);
    return new Promise((resolve, reject) => {
      underWay.push({ end: (error) => error === undefined ? resolve() : reject(error) });
    });
  };
  const sendTo = oneByOne(send ?? deferred);
  const clock = new VirtualClock();
  const transmitQueue = connected({
    sendTo,
    hasGroup: () => true,
    extendedTo: () => [],
    batchTo: () => [],
    isSteady: () => false,
    release() {},
    budget: new SendBudget({ clock }),
    take: () => {
      const batch = batches.shift();
      return batch === undefined ? undefined : bytes(batch);
    },
    isReady: (what) => what === "batch" && batches.length > 0,
    clock,
    pacer: undefined,
    onError: (error) => errors.push(error),
    ...script,
  });
  /** Ends the sends that are under way, one after another, until there are none. */
  const run = async () => {
    for (await settle(); underWay.length > 0; await settle()) underWay.shift()?.end();
  };
  return { transmitQueue, batches, sent, errors, underWay, run };
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

describe("TransmitQueue", () => {
  test("sends a batch to the group and to each endpoint, and counts it once", async () => {
    const { transmitQueue, batches, sent, run } = setUp({ batchTo: () => [A, B] });
    batches.push("1", "2");
    transmitQueue.wake();
    await run();
    const each = (name: string) => [`${name} to 239.0.0.1`, `${name} to 10.0.0.1`, `${name} to 10.0.0.2`];
    assertEquals([sent, transmitQueue.broadcasts], [[...each("1"), ...each("2")], 2]);
  });

  test("begins after the caller's turn on the stack, never within", async () => {
    const { transmitQueue, sent, run } = setUp();
    transmitQueue.sendControlPacket(bytes("beat"), "group");
    assertEquals(sent, []);
    await run();
    assertEquals(sent, ["beat to 239.0.0.1"]);
  });

  test("sends one datagram at a time, control packets first", async () => {
    const { transmitQueue, batches, sent, underWay } = setUp({ batchTo: () => [A] });
    batches.push("1", "2");
    transmitQueue.wake();
    const steps: string[] = [];
    const step = async () => {
      await settle();
      assertEquals(underWay.length, 1);
      steps.push(sent.at(-1) ?? "");
      underWay.shift()?.end();
    };
    await step();
    transmitQueue.sendControlPacket(bytes("beat"), "group");
    transmitQueue.sendControlPacket(bytes("beat for two"), [A, B]);
    transmitQueue.sendControlPacket(bytes("response"), B);
    while (steps.length < 8) await step();
    await settle();
    assertEquals([steps, underWay.length, sent.length], [
      ["1 to 239.0.0.1", "1 to 10.0.0.1", "beat to 239.0.0.1", "beat for two to 10.0.0.1", "beat for two to 10.0.0.2"]
        .concat("response to 10.0.0.2", "2 to 239.0.0.1", "2 to 10.0.0.1"),
      0,
      8,
    ]);
  });

  test("takes the next batch only when the last has left", async () => {
    let taken = 0;
    const { transmitQueue, underWay, run } = setUp({
      take: () => bytes(String(++taken)),
      isReady: (what) => what === "batch" && taken < 2,
    });
    transmitQueue.wake();
    transmitQueue.wake();
    await settle();
    assertEquals([taken, underWay.length], [1, 1]);
    await run();
    assertEquals(taken, 2);
  });

  test("reads the destinations for each datagram", async () => {
    let endpoints = [A];
    const { transmitQueue, batches, sent, run } = setUp({
      hasGroup: () => false,
      extendedTo: () => endpoints,
      batchTo: () => endpoints,
    });
    const send = async (name: string) => {
      transmitQueue.sendControlPacket(bytes(`state ${name}`), "extended");
      batches.push(name);
      transmitQueue.wake();
      await run();
    };
    await send("1");
    endpoints = [B];
    await send("2");
    assertEquals(sent, ["state 1 to 10.0.0.1", "1 to 10.0.0.1", "state 2 to 10.0.0.2", "2 to 10.0.0.2"]);
  });

  test("goes on after a send that failed in any way, and reports it", async () => {
    const failures = [new Error("rejected"), new Error("thrown")];
    const hosts: string[] = [];
    const { transmitQueue, batches, errors } = setUp({
      batchTo: () => [A, B],
      send: (_, { host }) => {
        hosts.push(host);
        if (host === GROUP.host) return Promise.reject(failures[0]);
        if (host === A.host) throw failures[1];
        return Promise.resolve();
      },
    });
    batches.push("1", "2");
    transmitQueue.wake();
    await transmitQueue.drained();
    assertEquals(hosts, [GROUP.host, A.host, B.host, GROUP.host, A.host, B.host]);
    assertEquals(errors.length, 4);
    errors.forEach((error, i) => assertStrictEquals(error, failures[i % 2]));
  });

  test("lets at most 4,096 control packets wait, and reports each beyond that", async () => {
    const { transmitQueue, sent, errors, underWay, run } = setUp();
    transmitQueue.sendControlPacket(bytes("first"), A);
    await settle();
    assertEquals(underWay.length, 1);
    for (let i = 0; i < 5000; i++) transmitQueue.sendControlPacket(bytes(String(i)), A);
    assertEquals(errors.length, 5000 - 4096);
    await run();
    assertEquals([sent.length, sent.at(-1)], [1 + 4096, "4095 to 10.0.0.1"]);
    transmitQueue.sendControlPacket(bytes("again"), A);
    await run();
    assertEquals([sent.at(-1), errors.length], ["again to 10.0.0.1", 904]);
  });

  describe("counts a batch", () => {
    const cases: readonly [string, boolean, readonly Endpoint[], readonly Endpoint[], number][] = [
      ["that the group took", true, [A], [A], 1],
      ["not when the group refused it, though a peer took it", true, [A], [GROUP], 0],
      ["without a group, that one peer took", false, [A, B], [A], 1],
      ["not without a group when no peer took it", false, [A, B], [A, B], 0],
      ["not without a group and peers", false, [], [], 0],
    ];
    for (const [name, hasGroup, endpoints, failing, count] of cases) {
      test(name, async () => {
        const { transmitQueue, batches } = setUp({
          hasGroup: () => hasGroup,
          batchTo: () => endpoints,
          send: (_, to) => failing.includes(to) ? Promise.reject(new Error("no")) : Promise.resolve(),
        });
        batches.push("1");
        transmitQueue.wake();
        await transmitQueue.drained();
        assertEquals(transmitQueue.broadcasts, count);
      });
    }
  });

  describe("counts a round of heartbeats", () => {
    const cases: readonly [string, boolean, "group" | readonly Endpoint[], readonly Endpoint[], number][] = [
      ["that the group took", true, "group", [], 1],
      ["not when the group refused it", true, "group", [GROUP], 0],
      ["not by what goes to some besides the group", true, [A, B], [], 0],
      ["without a group by what goes to some, and one took", false, [A, B], [A], 1],
      ["not without a group when none took it", false, [A, B], [A, B], 0],
      ["not without a group when it is for the group", false, "group", [], 0],
    ];
    for (const [name, hasGroup, to, failing, count] of cases) {
      test(name, async () => {
        const { transmitQueue } = setUp({
          hasGroup: () => hasGroup,
          send: (_, to) => failing.includes(to) ? Promise.reject(new Error("no")) : Promise.resolve(),
        });
        transmitQueue.sendControlPacket(bytes("1"), to);
        await transmitQueue.drained();
        assertEquals(transmitQueue.broadcasts, count);
      });
    }

    test("not when it is a control packet to one endpoint, or to the scope of the extension", async () => {
      for (const hasGroup of [true, false]) {
        const { transmitQueue, sent, run } = setUp({ hasGroup: () => hasGroup, extendedTo: () => [B] });
        transmitQueue.sendControlPacket(bytes("1"), A);
        transmitQueue.sendControlPacket(bytes("2"), "extended");
        await run();
        const group = hasGroup ? ["2 to 239.0.0.1"] : [];
        assertEquals([sent, transmitQueue.broadcasts], [["1 to 10.0.0.1", ...group, "2 to 10.0.0.2"], 0]);
      }
    });
  });

  test("checks for each datagram whether there is a group, as it may come and go", async () => {
    const out: string[] = [];
    let there = true;
    const { transmitQueue } = setUp({
      send: async (datagram, { host }) => void out.push(`${new TextDecoder().decode(datagram)} to ${host}`),
      hasGroup: () => there,
    });
    for (const name of ["1", "2", "3"]) {
      there = name !== "2";
      transmitQueue.sendControlPacket(bytes(name), "group");
      transmitQueue.sendControlPacket(bytes(name), "extended");
      await transmitQueue.drained();
    }
    assertEquals(out, ["1", "1", "3", "3"].map((name) => `${name} to ${GROUP.host}`));
  });

  test("is drained when all has left, including what came meanwhile", async () => {
    const { transmitQueue, batches, sent, underWay, run } = setUp();
    assertEquals(await transmitQueue.drained(), undefined);
    transmitQueue.sendControlPacket(bytes("1"), "group");
    const drained = watch(transmitQueue.drained());
    await settle();
    batches.push("2");
    underWay.shift()?.end();
    await settle();
    assertEquals([drained.state, sent.length], ["waiting", 2]);
    await run();
    assertEquals(drained.state, "fulfilled");
  });

  test("sends a control packet that is queued in any turn after the last one has left", async () => {
    for (let turns = 0; turns < 12; turns++) {
      const out: string[] = [];
      const { transmitQueue } = setUp({ send: async (datagram) => void out.push(new TextDecoder().decode(datagram)) });
      transmitQueue.sendControlPacket(bytes("a"), A);
      for (let i = 0; i < turns; i++) await undefined;
      transmitQueue.sendControlPacket(bytes("b"), A);
      await transmitQueue.drained();
      assertEquals(out, ["a", "b"], `${turns} turns`);
    }
  });

  test("sends everything once and in order, one at a time, however it is woken", async () => {
    const controlPacket = fc.record({ to: fc.constantFrom(A, B, "group" as const), fails: fc.boolean() });
    const step = fc.oneof(controlPacket, fc.constant("batch" as const), fc.constant("wait" as const));
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40, size: "max" }), async (steps) => {
      let busy = 0;
      let most = 0;
      const out: string[] = [];
      const { transmitQueue, batches } = setUp({
        send: async (datagram, { host }) => {
          most = Math.max(most, ++busy);
          const name = new TextDecoder().decode(datagram);
          out.push(host === GROUP.host ? name : `${name} to ${host}`);
          for (let turns = out.length % 3; turns > 0; turns--) await undefined;
          busy--;
          if (name.endsWith("!")) throw new Error(name);
        },
      });
      const control: string[] = [];
      const queued: string[] = [];
      for (const [i, step] of steps.entries()) {
        if (step === "wait") await undefined;
        else if (step === "batch") {
          queued.push(`batch ${i}`);
          batches.push(`batch ${i}`);
          transmitQueue.wake();
        } else {
          const name = `${i}${step.fails ? "!" : ""}`;
          control.push(step.to === "group" ? name : `${name} to ${step.to.host}`);
          transmitQueue.sendControlPacket(bytes(name), step.to);
        }
      }
      await transmitQueue.drained();
      assertLessOrEqual(most, 1);
      assertEquals(out.filter((name) => !name.startsWith("batch")), control);
      assertEquals(out.filter((name) => name.startsWith("batch")), queued);
    }));
  });
});

/** A queue with a pacer, whose sends end at once, and when each datagram left. */
function paced({ rate = 1000, retransmits = [] as Transmit[], isSteady = false } = {}) {
  const clock = new VirtualClock();
  const pacer = new Pacer({ min: rate, max: rate, clock });
  const batches: string[] = [];
  const sent: { readonly name: string; readonly to: string; readonly at: number }[] = [];
  const budget = new SendBudget({ clock });
  const sendTo = oneByOne((datagram, { host }) => {
    sent.push({ name: new TextDecoder().decode(datagram), to: host, at: clock.now() });
    return Promise.resolve();
  });
  let underWay = 0;
  const transmitQueue = connected({
    sendTo,
    hasGroup: () => true,
    extendedTo: () => [B],
    batchTo: () => [A],
    isSteady: () => isSteady,
    release: () => underWay = 0,
    budget,
    take: () => {
      const batch = batches.shift();
      if (batch !== undefined) underWay++;
      return batch === undefined ? undefined : bytes(batch);
    },
    takeRetransmit: () => retransmits.shift(),
    isReady: (what) => (what === "batch" ? batches : retransmits).length > 0,
    pacer,
    clock,
    onError: () => {},
  });
  return { transmitQueue, clock, pacer, budget, batches, retransmits, sent, underWay: () => underWay };
}

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`);
}

describe("a paced TransmitQueue", () => {
  // What may leave at once: see `Pacer`.
  const BURST = 16;

  test("lets a burst go and then one batch in 1 / rate", async () => {
    const { transmitQueue, clock, batches, sent } = paced({ rate: 1000 });
    batches.push(...names("", BURST + 10));
    transmitQueue.wake();
    await clock.advance(0);
    assertEquals(sent.length, 2 * BURST);
    await clock.advance(10);
    assertEquals(sent.length, 2 * (BURST + 10));
    const times = sent.filter(({ to }) => to === A.host).slice(BURST).map(({ at }) => Math.round(at));
    assertEquals(times, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    await transmitQueue.drained();
    assertEquals(clock.pending, 0);
  });

  test("counts a broadcast once, however many it goes to", async () => {
    const { transmitQueue, clock, batches, sent, pacer } = paced({ rate: 1 });
    batches.push(...names("", BURST));
    transmitQueue.wake();
    await clock.advance(0);
    assertEquals([sent.length, transmitQueue.broadcasts, pacer.wait() > 900], [2 * BURST, BURST, true]);
  });

  test("lets control packets pass at once, also while a batch waits, and spends nothing on them", async () => {
    const { transmitQueue, clock, batches, sent, pacer } = paced({ rate: 1 });
    batches.push(...names("", BURST + 1));
    transmitQueue.wake();
    await clock.advance(500);
    const { length } = sent;
    const wait = pacer.wait();
    transmitQueue.sendControlPacket(bytes("beat"), "group");
    transmitQueue.sendControlPacket(bytes("beat"), [A, B]);
    transmitQueue.sendControlPacket(bytes("state"), "extended");
    transmitQueue.sendControlPacket(bytes("answer"), A);
    await clock.advance(0);
    assertEquals(sent.slice(length).map(({ name, to }) => `${name} to ${to}`), [
      ...["beat to 239.0.0.1", "beat to 10.0.0.1", "beat to 10.0.0.2"],
      ...["state to 239.0.0.1", "state to 10.0.0.2"],
      "answer to 10.0.0.1",
    ]);
    assertEquals(pacer.wait(), wait);
    await clock.advance(500);
    assertEquals(sent.at(-1)?.name, String(BURST));
  });

  test("sends batches and retransmissions in turn, and either alone when the other is empty", async () => {
    const { transmitQueue, clock, batches, retransmits, sent } = paced();
    batches.push("b1", "b2", "b3");
    for (const name of names("r", 5)) retransmits.push({ datagram: bytes(name), to: A });
    transmitQueue.wake();
    await clock.advance(0);
    const order = sent.filter(({ to }) => to === A.host).map(({ name }) => name);
    assertEquals(order, ["b1", "r0", "b2", "r1", "b3", "r2", "r3", "r4"]);
    batches.push("b4", "b5");
    transmitQueue.wake();
    await clock.advance(20);
    assertEquals(sent.slice(-4).map(({ name }) => name), ["b4", "b4", "b5", "b5"]);
  });

  test("sends retransmissions to their destination: one endpoint, or the group alone", async () => {
    const { transmitQueue, clock, retransmits, sent } = paced();
    retransmits.push({ datagram: bytes("r1"), to: B }, { datagram: bytes("r2"), to: "group" });
    transmitQueue.wake();
    await clock.advance(0);
    assertEquals(sent.map(({ name, to }) => `${name} to ${to}`), ["r1 to 10.0.0.2", "r2 to 239.0.0.1"]);
  });

  test("spends on retransmissions as on batches", async () => {
    const { transmitQueue, clock, retransmits, sent } = paced({ rate: 1000 });
    for (const name of names("r", BURST + 5)) retransmits.push({ datagram: bytes(name), to: A });
    transmitQueue.wake();
    await clock.advance(0);
    assertEquals(sent.length, BURST);
    await clock.advance(5);
    assertEquals(sent.length, BURST + 5);
  });

  test("does not take a batch before it may leave, as that gives it its number", async () => {
    const { transmitQueue, clock, batches } = paced({ rate: 1 });
    batches.push(...names("", BURST + 3));
    transmitQueue.wake();
    await clock.advance(500);
    assertEquals(batches.length, 3);
  });

  test("leaves batches where they are while they are held, and sends control packets and retransmissions at once", async () => {
    const { transmitQueue, clock, batches, retransmits, sent } = paced({ rate: 1 });
    batches.push(...names("", BURST + 3));
    transmitQueue.wake();
    await clock.advance(500);
    for (const name of ["r1", "r2"]) retransmits.push({ datagram: bytes(name), to: A });
    transmitQueue.holdBatches();
    transmitQueue.sendControlPacket(bytes("leave"), A);
    await clock.advance(0);
    assertEquals(sent.slice(2 * BURST).map(({ name }) => name), ["leave", "r1", "r2"]);
    assertEquals([batches.length, clock.pending], [3, 0]);
    await transmitQueue.drained();
  });
});

describe("a TransmitQueue whose batches all have the same destinations", () => {
  const places = (sent: readonly { readonly name: string; readonly to: string }[]) =>
    sent.map(({ name, to }) => `${name} to ${to === GROUP.host ? "all" : "A"}`);

  test("sends those that are ready to one destination and then to the next, 16 at a time", async () => {
    const { transmitQueue, clock, batches, sent, underWay } = paced({ rate: 1_000_000, isSteady: true });
    batches.push(...names("", 40));
    transmitQueue.wake();
    await clock.advance(0);
    const groups = [names("", 16), names("", 32).slice(16), names("", 40).slice(32)];
    assertEquals(
      places(sent),
      groups.flatMap((group) => ["all", "A"].flatMap((to) => group.map((name) => `${name} to ${to}`))),
    );
    assertEquals([transmitQueue.broadcasts, underWay()], [40, 0]);
  });

  test("takes no more at a time than the pace allows", async () => {
    const { transmitQueue, clock, batches, sent } = paced({ rate: 1000, isSteady: true });
    batches.push(...names("", 20));
    transmitQueue.wake();
    await clock.advance(0);
    assertEquals([sent.length, batches.length], [32, 4]);
    await clock.advance(1);
    assertEquals(places(sent.slice(32)), ["16 to all", "16 to A"]);
    await clock.advance(3);
    assertEquals(batches.length, 0);
  });

  test("sends them one at a time while retransmissions wait", async () => {
    const { transmitQueue, clock, batches, retransmits, sent } = paced({ isSteady: true });
    batches.push("b1", "b2", "b3", "b4");
    for (const name of names("r", 2)) retransmits.push({ datagram: bytes(name), to: A });
    transmitQueue.wake();
    await clock.advance(0);
    assertEquals(sent.filter(({ to }) => to === A.host).map(({ name }) => name), ["b1", "r0", "b2", "r1", "b3", "b4"]);
  });

  test("counts each copy against the budget", async () => {
    const { transmitQueue, clock, batches, budget } = paced({ rate: 1000, isSteady: true });
    budget.spend(60);
    batches.push("1", "2");
    transmitQueue.wake();
    await clock.advance(0);
    // Four copies: nothing is left, and one comes every 50 µs.
    assertEquals(budget.wait(), 0.05);
  });

  test("reports each datagram that was not sent, and counts the others", async () => {
    const { transmitQueue, batches, errors } = setUp({
      isSteady: () => true,
      send: (datagram) => datagram[0] === "2".charCodeAt(0) ? Promise.reject(new Error("no")) : Promise.resolve(),
    });
    batches.push("1", "2", "3");
    transmitQueue.wake();
    await transmitQueue.drained();
    assertEquals([transmitQueue.broadcasts, errors.length], [2, 1]);
  });

  test("counts those that at least one destination got", async () => {
    const refused = new Map([[A.host, "1"], [B.host, "2"]]);
    const { transmitQueue, batches, errors } = setUp({
      isSteady: () => true,
      hasGroup: () => false,
      batchTo: () => [A, B],
      send: (datagram, { host }) => {
        const name = new TextDecoder().decode(datagram);
        return name === "3" || refused.get(host) === name ? Promise.reject(new Error(name)) : Promise.resolve();
      },
    });
    batches.push("1", "2", "3");
    transmitQueue.wake();
    await transmitQueue.drained();
    assertEquals([transmitQueue.broadcasts, errors.map(String).sort()], [
      2,
      ["1", "2", "3", "3"].map((name) => `Error: ${name}`),
    ]);
  });

  test("sends fewer at a time to many destinations, so that control packets do not wait for long", async () => {
    const places = Array.from({ length: 20 }, (_, i) => ({ host: `10.0.1.${i}`, port: 1 }));
    const { transmitQueue, batches, sent, run } = setUp({
      isSteady: () => true,
      hasGroup: () => false,
      batchTo: () => places,
    });
    batches.push(...names("", 20));
    transmitQueue.wake();
    await run();
    // The first group does not know yet how many there are.
    const firsts = sent.filter((line) => line.endsWith(" to 10.0.1.0")).length;
    assertEquals([firsts, sent.length], [20, 400]);
    batches.push(...names("b", 3));
    transmitQueue.wake();
    await settle();
    transmitQueue.sendControlPacket(bytes("beat"), [A]);
    await run();
    const beat = sent.indexOf("beat to 10.0.0.1");
    assertEquals(beat, 400 + 3 * 20);
    batches.push(...names("c", 4));
    transmitQueue.wake();
    await settle();
    transmitQueue.sendControlPacket(bytes("beat again"), [A]);
    await run();
    // 64 copies: three batches, and the fourth after the control packet.
    assertEquals(sent.indexOf("beat again to 10.0.0.1"), beat + 1 + 3 * 20);
  });

  test("goes on when batches are held back, or removed, between the check for them and the take", async () => {
    let looks = 0;
    const { transmitQueue, sent, run } = setUp({
      isSteady: () => true,
      take: () => undefined,
      isReady: (what) => what === "batch" && ++looks < 5,
    });
    transmitQueue.wake();
    await run();
    transmitQueue.sendControlPacket(bytes("beat"), "group");
    await run();
    assertEquals(sent, ["beat to 239.0.0.1"]);
  });
});

describe("sendAll", () => {
  test("reports each datagram when a socket rejects, or throws, what it should settle", async () => {
    const error = new Error("of a socket of one's own");
    const two = [bytes("a"), bytes("b")];
    const send = () => Promise.resolve();
    for (
      const sendMany of [() => Promise.reject(error), () => {
        throw error;
      }]
    ) {
      assertEquals(await sendAll({ send, sendMany }, two, A.host, A.port), [error, error]);
    }
    let calls = 0;
    const failing = () => ++calls === 2 ? Promise.reject("text") : Promise.resolve();
    const unsent = await sendAll({ send: failing }, [...two, bytes("c")], A.host, A.port);
    assertEquals(unsent?.map(String), ["undefined", "Error: text", "undefined"]);
  });
});
