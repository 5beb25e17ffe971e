// Replicas: a service of three in the simulated network. One is killed and restarted, one is shut down while it works.
// What is served is never older than documented.

import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { type MemoryHost, MemoryNetwork, SeededRandom } from "../../adapters/memory.ts";
import { ClosedError, MeshBus } from "../../mod.ts";
import { ReplicaService, StalenessLedger } from "./replica_service.ts";
import { forSeeds, hostAddress } from "./worlds.ts";

const SECONDS = 40;
/** So many that most are not changed again by chance, which would hide that a change was missed. */
const KEYS = 300;
/** Changes that are made at a replica just before its end. */
const LAST_CHANGES = 8;
const READERS = 12;
const WRITERS = 3;
/** Longest delay of the store in one direction, in milliseconds. */
const STORE_TAKES = 13;
/** `batchInterval`, and the path delay. */
const BOUND = 100 + 3;
/** `peerTimeout`, a heartbeat, and a round of gaps: how old a read may be after a crash. */
const CRASH_COST = 15_000 + 5000 + 200;
/** A change that was published so long before a crash may not have left the process. */
const BEFORE_CRASH = 110;

class Replica {
  readonly service: ReplicaService;
  readonly mesh: MeshBus;
  readonly host: MemoryHost;
  crashedAt = Infinity;
  isServing = true;
  underWay = 0;
  #crash: (reason: Error) => void = () => {};
  readonly #crashed = new Promise<never>((_, reject) => this.#crash = reject);

  constructor(host: MemoryHost, mesh: MeshBus, service: ReplicaService) {
    this.host = host;
    this.mesh = mesh;
    this.service = service;
    this.#crashed.catch(() => {});
  }

  crash(now: number): void {
    this.crashedAt = now;
    this.isServing = false;
    this.host.crash();
    this.#crash(new Error("the connection was reset"));
  }

  async request<T>(work: (service: ReplicaService) => Promise<T>): Promise<T> {
    this.underWay++;
    try {
      return await Promise.race([work(this.service), this.#crashed]);
    } finally {
      this.underWay--;
    }
  }
}

for (const order of ["server first", "mesh first"] as const) {
  test(`three replicas, one killed and restarted, one shut down (${order}), serve nothing stale`, () =>
    forSeeds(8, async (seed) => {
      const network = new MemoryNetwork({ seed, delay: { min: 0.05, max: 1 } });
      const { clock } = network;
      const random = new SeededRandom(seed + 1000);
      const ledger = new StalenessLedger();
      const versions = new Map<string, number>();
      const pause = (ms: number) => new Promise<void>((resolve) => void clock.setTimer(resolve, ms));
      const store = {
        get: async (key: string) => {
          await pause(random.between(0, STORE_TAKES / 2));
          const version = versions.get(key) ?? 0;
          await pause(random.between(0, STORE_TAKES / 2));
          return version;
        },
        put: async (key: string) => {
          await pause(random.between(0, STORE_TAKES / 2));
          const version = (versions.get(key) ?? 0) + 1;
          versions.set(key, version);
          await pause(random.between(0, STORE_TAKES / 2));
          return version;
        },
      };
      const start = async (index: number) => {
        const host = network.host(hostAddress(index));
        const mesh = await MeshBus.open(host);
        return new Replica(host, mesh, new ReplicaService(mesh, store));
      };
      const replicas = await clock.run(Promise.all([0, 1, 2].map(start)), 1000);
      /** Changes that a killed replica may not have sent. */
      const unsent: { readonly key: string; readonly version: number; readonly from: number }[] = [];
      const old: string[] = [];
      let refused = 0;
      let isOver = false;
      const serving = () => replicas.filter(({ isServing }) => isServing);
      const some = () => serving()[random.below(serving().length)] as Replica;
      const keyOf = () => `user:${random.below(KEYS)}`;

      const reader = async () => {
        while (!isOver) {
          await pause(random.between(2, 60));
          const [key, at] = [keyOf(), clock.now()];
          const replica = some();
          const version = await replica.request((service) => service.read(key)).catch(() => undefined);
          // A replica that continues to serve after it has closed its mesh gets no more keys.
          if (version === undefined || !replica.mesh.isHealthy()) continue;
          const age = ledger.read(key, version, at);
          const isUnsent = unsent.some((change) =>
            change.key === key && change.version > version && at - change.from <= CRASH_COST
          );
          if (age > BOUND && !isUnsent) old.push(`${key} ${age} ms old at ${at} ms`);
        }
      };
      const change = async (replica: Replica, key: string) => {
        const before = versions.get(key) ?? 0;
        const failure = await replica.request((service) => service.write(key)).then(
          () => undefined,
          (error) => error,
        );
        const now = clock.now();
        // A writer whose publish was refused knows so when the others have been notified.
        if (failure instanceof ClosedError) refused++;
        if (replica.crashedAt <= now) unsent.push({ key, version: before + 1, from: replica.crashedAt });
        ledger.changed(key, before + 1, now);
        recent.push({ replica, key, version: before + 1, at: now });
      };
      const writer = async () => {
        while (!isOver) {
          await pause(random.between(100, 600));
          await change(some(), keyOf());
        }
      };
      /** Changes of keys that all others have cached, as a replica ends. */
      const lastChanges = async (replica: Replica) => {
        for (let i = 0; i < LAST_CHANGES; i++) {
          const key = keyOf();
          await Promise.all(serving().map((other) => other.request((service) => service.read(key))));
          void change(replica, key);
        }
      };
      const recent: { replica: Replica; key: string; version: number; at: number }[] = [];
      const loops = [...Array.from({ length: READERS }, reader), ...Array.from({ length: WRITERS }, writer)];

      await clock.advance(3000 + random.below(2000));
      const victim = replicas[0] as Replica;
      await clock.run(lastChanges(victim), 1000);
      await clock.advance(random.between(0, STORE_TAKES));
      const at = clock.now();
      for (const write of recent) {
        if (write.replica === victim && write.at > at - BEFORE_CRASH) unsent.push({ ...write, from: at });
      }
      victim.crash(at);
      await clock.advance(500 + random.below(500));
      replicas[0] = await clock.run(start(0), 1000);
      await clock.advance(5000 + random.below(5000));

      const leaver = replicas[1] as Replica;
      // A server that is closed after the mesh works for a while longer.
      if (order === "mesh first") {
        void leaver.mesh.close();
        await clock.run(lastChanges(leaver), 1000);
        await clock.advance(300);
        await clock.run(lastChanges(leaver), 1000);
      }
      leaver.isServing = false;
      await clock.runUntil(() => leaver.underWay === 0, 3000);
      await clock.run(leaver.mesh.close(), 2000);

      await clock.runUntil(() => clock.now() >= SECONDS * 1000, SECONDS * 1000);
      isOver = true;
      await clock.run(Promise.all(loops), 2000);
      assertEquals(old, []);
      assert(ledger.reads > 5000, `${ledger.reads} reads`);
      // In the end every cache is right, whatever became of the writes.
      await clock.advance(500);
      for (const { service, isServing } of replicas) {
        if (!isServing) continue;
        assert(service.cache.size > 0);
        for (const [key, version] of service.cache) assertEquals(version, versions.get(key) ?? 0, key);
      }
      assertEquals(refused > 0, order === "mesh first");
      await clock.run(Promise.all(replicas.map(({ mesh }) => mesh.close())), 5000);
    }));
}
