// DNS: hosts, of all three runtimes, find each other by a name server whose records change, and which fails.

import { assert, assertEquals, assertLessOrEqual, assertStringIncludes } from "@std/assert";
import type { MeshOptions } from "../../mod.ts";
import { type HostNode, type HostProcess, now, withHostProcesses } from "../support/host_process.ts";
import { RUNTIMES } from "../support/programs.ts";
import type { Wire } from "../support/wire.ts";
import { assertWithin, FIVE, fullMesh, startCast, Talk, until } from "./support/host_mesh.ts";
import { type NameServer, SEARCH, withNameServer } from "./support/name_server.ts";
import { type Host, hostTest, withHosts } from "./support/netns.ts";

const HEARTBEAT = 500;
const INTERVAL = 500;
const OPTIONS: MeshOptions = { heartbeat: HEARTBEAT, multicast: false, resolveInterval: INTERVAL };
const NAME = "cache.mesh.test";
const PORTS = [7950, 7951, 7952] as const;

interface Scene {
  readonly hosts: readonly Host[];
  readonly wire: Wire;
  readonly cast: readonly HostProcess[];
  readonly server: NameServer;
}

/** Five hosts with a process each, and a sixth that runs the name server. The first three have a runtime each. */
function withNames(body: (scene: Scene) => Promise<void>): Promise<void> {
  return withHosts(
    [...FIVE, ["10.77.1.53"]],
    (all, wire) =>
      withNameServer(all[5] as Host, all.slice(0, 5), (server) =>
        withHostProcesses(async (start) => {
          const hosts = all.slice(0, 5);
          await body({ hosts, wire, cast: await startCast(start, hosts), server });
        })),
  );
}

/** Resolves when each of these hosts has looked the name up once more. */
async function lookedUp(server: NameServer, hosts: readonly Host[], name: string): Promise<void> {
  const count = (): readonly number[] => {
    const questions = server.questions().filter((question) => question.name === name && question.type === "A");
    return hosts.map(({ addresses }) => questions.filter(({ from }) => addresses.includes(from)).length);
  };
  const before = count();
  await until(() => count().every((now, i) => now > (before[i] ?? 0)), `questions for ${name}`);
}

/**
 * A node on each of the first three hosts with `before` and `peers`, and for each a second one on the fifth host
 * without peers.
 */
async function openPairs(
  cast: readonly HostProcess[],
  peers: (port: number, i: number) => string,
  options: MeshOptions = {},
  before: readonly string[] = [],
): Promise<[seeker: HostNode, sought: HostNode][]> {
  const sought = cast[4] as HostProcess;
  return await Promise.all(PORTS.map((port, i): Promise<[HostNode, HostNode]> =>
    Promise.all([
      (cast[i] as HostProcess).open({ ...OPTIONS, ...options, port, peers: [...before, peers(port, i)] }),
      sought.open({ ...OPTIONS, ...options, port }),
    ])
  ));
}

async function assertTalks(pairs: readonly (readonly HostNode[])[]): Promise<void> {
  await Promise.all(pairs.map(async (pair) => {
    await fullMesh(pair);
    const talk = new Talk(pair);
    await talk.round();
    await talk.end();
  }));
}

hostTest(
  "a headless service: nodes that are added to the records join, and nodes that are removed and crash are forgotten",
  () =>
    withNames(async ({ hosts, wire, cast, server }) => {
      const seeking = hosts.slice(0, 3);
      const addresses = FIVE.map(([address]) => address);
      await server.set({ [NAME]: { A: addresses.slice(0, 3) } });
      const pods = await Promise.all(cast.slice(0, 3).map((process) => process.open({ ...OPTIONS, peers: [NAME] })));
      const pairs = await openPairs(cast, () => NAME);
      await fullMesh(pods);
      // Those have no seed, and are found by the records alone.
      const added = await Promise.all(cast.slice(3).map((process) => process.open(OPTIONS)));
      await lookedUp(server, seeking, NAME);
      assertEquals(await Promise.all([...added, ...pairs.flat()].map((node) => node.peers())), Array(8).fill([]));

      const addedAt = now();
      await server.set({ [NAME]: { A: addresses } });
      const nodes = [...pods, ...added];
      assertWithin("two pods were added", await fullMesh(nodes) - addedAt, INTERVAL + HEARTBEAT);
      for (const pair of pairs) {
        const what = `a pod was added, of which only ${pair[0].process.runtime} looks for it`;
        assertWithin(what, await fullMesh(pair) - addedAt, INTERVAL + HEARTBEAT);
      }
      const talk = new Talk(nodes);
      await talk.round();

      // Removed from the records, and running.
      await server.set({ [NAME]: { A: addresses.slice(0, 4) } });
      await lookedUp(server, seeking, NAME);
      await lookedUp(server, seeking, NAME);
      assertEquals(nodes.flatMap((node) => node.events().filter(({ value }) => value.type === "peerLeft")), []);
      await talk.round();
      await talk.settled();

      // Removed from the records, and crashed.
      const departed = added[1] as HostNode;
      const killedAt = await departed.process.kill();
      const rest = nodes.filter((node) => node !== departed);
      const lost = await Promise.all(rest.map((node) => node.forgets(departed)));
      assertWithin("a pod has died", Math.max(...lost.map(({ at }) => at)) - killedAt, 3 * HEARTBEAT);
      await Promise.all(pairs.map(([seeker, sought]) => seeker.forgets(sought)));
      await lookedUp(server, seeking, NAME);
      const before = wire.datagrams(hosts)[4];
      await lookedUp(server, seeking, NAME);
      await lookedUp(server, seeking, NAME);
      // It may have been cut off, so each peer probes it after 1, 2, 4 … heartbeats, and sends nothing else there.
      const probes = (wire.datagrams(hosts)[4] ?? 0) - (before ?? 0);
      assertLessOrEqual(probes, 2 * (rest.length + pairs.length), "A departed peer must be probed ever more rarely");
      for (const node of rest) assertEquals((await node.peers()).length, 3, node.name);
    }),
);

hostTest(
  "a service by its SRV records, and names with IPv6 addresses, which need the search domain",
  () =>
    withNames(async ({ hosts, cast, server }) => {
      hosts.forEach((host, i) => host.run("ip", "address", "add", `fd77::${i + 1}/64`, "dev", "eth0", "nodad"));
      // Each name leads to another of the meshes: the port is in the record.
      const services = RUNTIMES.map((runtime, i) => [`_${runtime}._udp`, PORTS[i] ?? 0] as const);
      for (const [name, port] of services) {
        await server.set({ [`${name}.mesh.test`]: { SRV: [{ target: "pod.mesh.test", port }] } });
      }
      await server.set({ "pod.mesh.test": { A: ["10.77.1.5"] }, "six.mesh.test": { AAAA: ["fd77::5"] } });
      await assertTalks(await openPairs(cast, (_, i) => `srv:${services[i]?.[0]}`));
      const six = await openPairs(cast, () => "six", { family: 6 });
      assertEquals(six.map(([{ address }]) => address.replace(/:\d+$/, "")), ["[fd77::1]", "[fd77::2]", "[fd77::3]"]);
      await assertTalks(six);
    }),
);

hostTest(
  "a name server that fails: an event, rarer look-ups, and a complete mesh when it works again",
  () =>
    withNames(async ({ hosts, cast, server }) => {
      await server.set({ [NAME]: { A: ["10.77.1.5"] } });
      await server.fail(true);
      const pairs = await openPairs(cast, () => NAME, { resolveInterval: 30_000 });
      const seekers = pairs.map(([seeker]) => seeker);
      for (const seeker of seekers) {
        const error = await seeker.event("error");
        assertEquals(error.stage, "resolve", seeker.name);
        assertStringIncludes((error.error as { message: string }).message, `Cannot look up the seed "${NAME}"`);
      }
      // At once, and after 1 and 2 s, each up to a tenth earlier.
      const isAskedTwice = (host: Host) => timesAsked(server, host).length >= 2;
      await until(() => hosts.slice(0, 3).every(isAskedTwice), `second questions for ${NAME}`);
      assertEquals(await Promise.all(seekers.map((node) => node.peers())), [[], [], []]);
      await server.fail(false);
      await assertTalks(pairs);
      for (const [i, { name }] of seekers.entries()) {
        const times = timesAsked(server, hosts[i] as Host);
        const [first = NaN, second = NaN, third = NaN] = times;
        assertEquals(times.length, 3, name);
        assert(second - first >= 890 && third - second >= 1790, `${name}: ${times.map((at) => at - first)}`);
      }
    }),
);

hostTest(
  "a name without an answer: one behind it, which needs the search domain, is found meanwhile",
  () =>
    withNames(async ({ hosts, cast, server }) => {
      const silent = `silent.${SEARCH}`;
      await server.set({ [NAME]: { A: ["10.77.1.5"] } });
      await server.silence(silent);
      // For as long as the C library can wait: the look-up does not end before the test does.
      for (const host of hosts.slice(0, 3)) host.resolveBy("10.77.1.53", SEARCH, 30);
      const pairs = await openPairs(cast, () => "cache", {}, [silent]);
      await assertTalks(pairs);
      assert(server.questions().some(({ name }) => name === silent), "the name must be looked up");
      for (const [node] of pairs) {
        const failed = node.events().flatMap(({ value }) => value.type === "error" ? [value.stage] : []);
        assertEquals(failed, [], node.name);
      }
      // The look-up would keep the processes alive until it ends.
      await Promise.all(cast.map((process) => process.kill()));
    }),
);

/** When a host has looked the name up. Queries within a tenth of a second count once: a resolver may try twice. */
function timesAsked(server: NameServer, { addresses }: Host): readonly number[] {
  const times = server.questions().filter(({ from, name, type }) =>
    addresses.includes(from) && name === NAME && type === "A"
  ).map(({ at }) => at);
  return times.filter((at, i) => i === 0 || at - (times[i - 1] ?? 0) > 100);
}
