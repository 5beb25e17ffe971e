// Open errors: each names the option, the rule and the value that this host cannot meet, and no socket stays open.
// `options.test.ts` has what no host can provide.

import { assert, assertEquals, assertInstanceOf, assertRejects, assertStringIncludes } from "@std/assert";
import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import process from "node:process";
import { describe, test } from "node:test";
import { runInNewContext } from "node:vm";
import { systemPorts } from "../adapters/auto.ts";
import { bindError } from "../adapters/bind_error.ts";
import { MemoryNetwork } from "../adapters/memory.ts";
import {
  type Bind,
  BindError,
  type BindOptions,
  MeshBus,
  type MeshEvent,
  MeshOpenError,
  type MeshOptions,
  openMesh,
} from "../mod.ts";
import { freePort, hold } from "./support/free_port.ts";
import { happened, patient, peersKnown, withMeshes } from "./support/meshes.ts";

// Not an address of any host: RFC 5737 reserves it for documentation.
const NOWHERE = "198.51.100.77";
// On Windows, SO_REUSEADDR lets a socket bind what another has without sharing it.
const HOLDS = process.platform === "win32" ? { skip: "on Windows a port that is not shared can be taken" } : {};
// A label of a name has at most 63 characters: the system's resolver refuses it without a query.
const UNRESOLVABLE = `${"x".repeat(64)}.invalid`;

/** Opens on the loopback interface, which must fail, and checks the error. */
async function assertCannotOpen(options: MeshOptions, option: string, value: unknown, rule: string): Promise<Error> {
  const opening = openMesh({ interface: "127.0.0.1", port: 0, ...options });
  const error = await assertRejects(() => opening, MeshOpenError);
  assertEquals([error.option, error.value], [option, value], error.message);
  assertStringIncludes(error.message, "Cannot open the mesh as ");
  assertStringIncludes(error.message, rule);
  assertStringIncludes(error.message, `current value of \`${option}\` is ${JSON.stringify(value)}`);
  return error;
}

/** Runs `body` while a port is held by a socket that does not share it. */
async function withHeldPort(body: (port: number) => Promise<void>): Promise<void> {
  const socket = await hold(0);
  try {
    await body(socket.port);
  } finally {
    await socket.close();
  }
}

/** Checks that the port is free. */
async function assertFree(port: number): Promise<void> {
  await (await hold(port)).close();
}

describe("an interface that does not exist", () => {
  for (const value of ["nope0", NOWHERE, "0.0.0.0", "239.0.0.1", "::1", "fe80::1%lo", " ", "127.0.0.1 "]) {
    test(`${JSON.stringify(value)} is refused, and the message lists those that exist`, async () => {
      const port = await freePort();
      const error = await assertCannotOpen({ interface: value, port }, "interface", value, "`interface` must name one");
      assertStringIncludes(error.message, "(127.0.0.1)");
      await assertFree(port);
    });
  }

  test("without multicast too", async () => {
    await assertCannotOpen({ interface: NOWHERE, multicast: false }, "interface", NOWHERE, "`interface` must name one");
  });

  test("and an existing one can be given by its name", () =>
    withMeshes(async (open) => {
      const entries = Object.entries(networkInterfaces());
      const [name] = entries.find(([, list]) => list?.some(({ address }) => address === "127.0.0.1")) ?? [];
      assert(name !== undefined);
      const a = await open({ interface: name });
      assertEquals(a.address.split(":")[0], "127.0.0.1");
      const b = await open({ port: a.port });
      await Promise.all([peersKnown(a, 1), peersKnown(b, 1)]);
    }));
});

describe("a port in use", () => {
  test("by a socket that does not share it", HOLDS, () =>
    withHeldPort(async (port) => {
      const error = await assertCannotOpen(
        { port },
        "port",
        port,
        "`port` must be free, or held by sockets that share it",
      );
      assertInstanceOf(error.cause, BindError);
      assertEquals(error.cause.code, "EADDRINUSE");
    }));

  test("without multicast, and with one socket", HOLDS, () =>
    withHeldPort(async (port) => {
      await assertCannotOpen({ port, multicast: false }, "port", port, "`port` must be free");
      await assertCannotOpen({ port, advertiseAddr: `127.0.0.1:${port}` }, "port", port, "`port` must be free");
    }));

  test("is free again when the other socket is closed", HOLDS, async () => {
    const holder = await hold(0);
    const { port } = holder;
    await assertCannotOpen({ port }, "port", port, "`port` must be free");
    await holder.close();
    await withMeshes(async (open) => assertEquals((await open({ port })).port, port));
    await assertFree(port);
  });

  test("by other meshes does not prevent the opening", () =>
    withMeshes(async (open) => {
      const port = await freePort();
      const nodes = [await open({ port }), await open({ port }), await open({ port, multicast: false })];
      assertEquals(nodes.map((node) => node.port), [port, port, port]);
      await assertRejects(() => hold(port), Error);
    }));
});

describe("an advertised port in use", () => {
  test("names `advertiseAddr`, and leaves the port of the mesh free", () =>
    withHeldPort(async (held) => {
      const port = await freePort();
      const error = await assertCannotOpen(
        { port, advertiseAddr: `127.0.0.1:${held}` },
        "advertiseAddr",
        `127.0.0.1:${held}`,
        "port must be free",
      );
      assertInstanceOf(error.cause, BindError);
      assertEquals(error.cause.code, "EADDRINUSE");
      await assertFree(port);
    }));

  test("by another node, as a node's own port is not shared", () =>
    withMeshes(async (open) => {
      const a = await open();
      await assertCannotOpen({ advertiseAddr: a.address }, "advertiseAddr", a.address, "port must be free");
    }));
});

describe("a seed that cannot be looked up", () => {
  test("is an event and no failure to open", () =>
    withMeshes(async (open) => {
      const mesh = await open({ peers: [`${UNRESOLVABLE}:7946`] });
      const event = await happened(mesh, isResolveError);
      assert(event.type === "error");
      assertStringIncludes(event.error.message, "Cannot look up the seed");
      assertStringIncludes(event.error.message, UNRESOLVABLE.slice(0, 40));
      assertInstanceOf(event.error.cause, Error);
      assertEquals([mesh.isHealthy(), mesh.metrics().resolveErrors], [true, 1]);
    }));

  test("is tried again, and is contacted once it can be", () =>
    withMeshes(async (open) => {
      const known = await open({ multicast: false, port: await freePort() });
      let lookUps = 0;
      const resolve = (host: string): Promise<readonly string[]> => {
        assertEquals(host, "cache.invalid");
        return ++lookUps === 1 ? Promise.reject(new Error("no such host, yet")) : Promise.resolve(["127.0.0.1"]);
      };
      const mesh = await MeshBus.open({
        ...systemPorts,
        resolve,
        interface: "127.0.0.1",
        port: 0,
        multicast: false,
        peers: [`cache.invalid:${known.port}`],
      });
      try {
        const event = await happened(mesh, isResolveError);
        assert(event.type === "error");
        assertStringIncludes(String((event.error.cause as Error).message), "no such host, yet");
        await peersKnown(mesh, 1);
        assertEquals([mesh.peers(), lookUps], [[known.address], 2]);
      } finally {
        await mesh.close();
      }
    }));

  test("delays neither the opening nor the publishing, however long the look-up takes", () =>
    withMeshes(async (open) => {
      const other = await open();
      let answer: (addresses: readonly string[]) => void = () => {};
      const resolve = () => new Promise<readonly string[]>((resolve) => answer = resolve);
      const options = { interface: "127.0.0.1", port: other.port, peers: ["slow.invalid"] };
      const mesh = await MeshBus.open({ ...systemPorts, ...options, resolve });
      try {
        await peersKnown(other, 1);
        const got = new Promise((resolve) => other.subscribe("key", resolve));
        await mesh.publish("key");
        await patient(got, () => "the key");
      } finally {
        await mesh.close();
      }
      // Comes when nothing waits any more.
      answer(["127.0.0.1"]);
    }));

  test("does not affect another that can be", () =>
    withMeshes(async (open) => {
      const known = await open({ multicast: false, port: await freePort() });
      const mesh = await open({ multicast: false, peers: [UNRESOLVABLE, `localhost:${known.port}`] });
      await Promise.all([peersKnown(mesh, 1), happened(mesh, isResolveError)]);
      assertEquals(mesh.peers(), [known.address]);
    }));
});

describe("a signal", () => {
  test("that has aborted: nothing is bound, and the reason is thrown", async () => {
    const port = await freePort();
    const reason = new Error("not today");
    const opening = openMesh({ interface: "127.0.0.1", port, signal: AbortSignal.abort(reason) });
    assertEquals(await assertRejects(() => opening), reason);
    await assertFree(port);
  });

  test("that aborts while the mesh opens: the mesh closes what it has bound", async () => {
    const port = await freePort();
    const controller = new AbortController();
    const opening = openMesh({ interface: "127.0.0.1", port, signal: controller.signal });
    controller.abort(new Error("changed my mind"));
    await assertRejects(() => opening, Error, "changed my mind");
    await assertFree(port);
  });

  test("that aborts later closes the mesh and frees its ports", async () => {
    const controller = new AbortController();
    const mesh = await openMesh({ interface: "127.0.0.1", port: 0, signal: controller.signal });
    controller.abort();
    await mesh.close();
    await assertFree(mesh.port);
    await assertFree(Number(mesh.address.split(":")[1]));
  });
});

describe("after a close", () => {
  for (const [title, options] of Object.entries({ "with multicast": {}, "without": { multicast: false } })) {
    test(`${title}, both ports can be bound by a socket that shares nothing`, async () => {
      const mesh = await openMesh({ interface: "127.0.0.1", port: 0, ...options });
      await mesh.close();
      await assertFree(mesh.port);
      await assertFree(Number(mesh.address.split(":")[1]));
    });
  }

  test("again and again while the process reads files, the port is free at once", async () => {
    // Deno's node:dgram says that it is closed while this keeps it busy: 20 of 300 ports were not free yet.
    for (let i = 0; i < 300; i++) {
      const reading = readFile(new URL(import.meta.url));
      const mesh = await openMesh({ interface: "127.0.0.1", port: 0, multicast: false });
      await mesh.close();
      await assertFree(mesh.port);
      await reading;
    }
  });
});

function isResolveError(event: MeshEvent): boolean {
  return event.type === "error" && event.stage === "resolve";
}

test("what Node's permission model refuses is not permitted, and the message names the missing permission", () => {
  const cause = Object.assign(new Error("bind ERR_ACCESS_DENIED Use --allow-net"), { code: "ERR_ACCESS_DENIED" });
  const error = bindError(cause, {
    host: "0.0.0.0",
    port: 0,
    shared: true,
    sendsMulticast: false,
    multicastLoopback: true,
    multicastTtl: 1,
  });
  assertEquals(error.code, "EACCES");
  assertStringIncludes(error.message, "--allow-net");
});

test("an error of another realm keeps its code, and its text is in the message", () => {
  // As the errors of the runtime are in a test runner that gives each file globals of its own.
  const cause = runInNewContext('Object.assign(new Error("bind EADDRINUSE"), { code: "EADDRINUSE" })');
  assert(!(cause instanceof Error));
  const options = { host: "0.0.0.0", port: 7946, shared: false };
  const error = bindError(cause, { ...options, sendsMulticast: false, multicastLoopback: true, multicastTtl: 1 });
  assertEquals([error.code, error.cause], ["EADDRINUSE", cause]);
  assertStringIncludes(error.message, "as another socket has the port: Error: bind EADDRINUSE");
});

test("each socket that is not permitted names the missing permission", async () => {
  const host = new MemoryNetwork().host("10.0.0.1");
  const cases: readonly [MeshOptions, string, (options: BindOptions) => boolean][] = [
    [{}, "port", ({ shared }) => shared],
    [{}, "interface", ({ shared }) => !shared],
    [{ advertiseAddr: ":7950" }, "advertiseAddr", ({ shared }) => !shared],
  ];
  for (const [options, name, isRefused] of cases) {
    const bind: Bind = (options, handlers) =>
      isRefused(options) ? Promise.reject(new BindError("EACCES", "refused")) : host.bind(options, handlers);
    const error = await assertRejects(() => MeshBus.open({ ...host, ...options, bind }), MeshOpenError, "--allow-net");
    assertEquals(error.option, name);
  }
});

// Linux receives nothing on `lo` with IPv6 without a route: this is tried out.
test("a program that is busy while it opens on the loopback interface is heard there all the same", async () => {
  const network = new MemoryNetwork();
  const host = network.host("fd00::1");
  const networkInterfaces = () => host.networkInterfaces().map((found) => ({ ...found, internal: true }));
  for (const time of [0, 400]) {
    const opening = MeshBus.open({ ...host, networkInterfaces, family: 6, interface: "eth0" });
    // The system has been called by then, and nothing is read yet.
    await Promise.resolve();
    host.block(time);
    const mesh = await network.clock.run(opening, 5_000);
    await network.clock.run(mesh.close(), 5_000);
  }
});

test("a socket that takes its time to bind is heard there, too", async () => {
  const network = new MemoryNetwork();
  const host = network.host("fd00::1");
  const bind: Bind = async (options, handlers) => {
    await new Promise<void>((resolve) => host.clock.setTimer(resolve, 2000));
    return await host.bind(options, handlers);
  };
  const mesh = await network.clock.run(MeshBus.open({ ...host, bind, family: 6, interface: "lo" }), 10_000);
  await network.clock.run(mesh.close(), 5000);
});
