/**
 * Open and close: a program that opens meshes in many ways and closes them. It does not exit by itself, so it ends only
 * when nothing of them is left. It imports only what a user would: on Deno, loading `node:process` changes how
 * `node:dgram` closes.
 *
 * @module
 */

import { bind, systemPorts } from "../../adapters/auto.ts";
import { MeshBus, type MeshOptions, openMesh } from "../../mod.ts";

const LOOPBACK: MeshOptions = { interface: "127.0.0.1", port: 0 };
// A label of a name has at most 63 characters: the system's resolver refuses a longer one without a query.
const UNRESOLVABLE = `${"x".repeat(64)}.invalid`;
// Some timers of an open mesh are far longer than the test waits for the end.
const SLOW: MeshOptions = { heartbeat: 3_600_000, peerTimeout: 7_200_000 };

async function openedAndClosed(): Promise<void> {
  const mesh = await openMesh(LOOPBACK);
  await mesh.close();
}

async function closedWithEverythingInUse(): Promise<void> {
  const options = { ...LOOPBACK, ...SLOW, queueSize: 2, peers: [UNRESOLVABLE, "127.0.0.1:9"] };
  const mesh = await openMesh({ ...options, signal: new AbortController().signal });
  const other = await openMesh({ ...options, port: mesh.port });
  const joined = new Promise<void>((resolve) =>
    mesh.events.listen((event) => event.type === "peerJoined" && resolve())
  );
  await joined;
  const loops = [consume(mesh.subscribe("key")), consume(mesh.subscribe({ prefix: "" })), consume(mesh.events)];
  mesh.subscribe("key", () => {}, { signal: new AbortController().signal });
  const abandoned = mesh.subscribe("abandoned")[Symbol.asyncIterator]();
  void abandoned.next();
  const { signal } = new AbortController();
  const keys = Promise.allSettled(Array.from({ length: 10 }, (_, i) => mesh.publish(`${i}`, { signal })));
  void other.publish("not awaited");
  await Promise.all([mesh.close(), other.close()]);
  const outcomes = (await keys).map(({ status }) => status);
  if (outcomes.some((status) => status !== "fulfilled")) throw new Error(`Not what was meant: ${outcomes}`);
  await Promise.all(loops);
}

async function closedWhileSeedsAreLookedUp(): Promise<void> {
  const resolve = () => new Promise<never>(() => {});
  const peers = [UNRESOLVABLE];
  const mesh = await MeshBus.open({ ...systemPorts, ...LOOPBACK, ...SLOW, peers, multicast: false, resolve });
  await mesh.close();
  const retried = await openMesh({ ...LOOPBACK, ...SLOW, peers });
  await new Promise<void>((resolve) =>
    retried.events.listen((event) => event.type === "error" && event.stage === "resolve" && resolve())
  );
  await retried.close();
}

async function closedBySignal(): Promise<void> {
  const controller = new AbortController();
  const mesh = await openMesh({ ...LOOPBACK, ...SLOW, signal: controller.signal });
  void mesh.publish("last words");
  controller.abort();
}

async function closedByNobodyWaiting(): Promise<void> {
  const mesh = await openMesh({ ...LOOPBACK, ...SLOW });
  void mesh.publish("last words");
  void mesh.close();
}

async function failedToOpen(): Promise<void> {
  const held = await bind(
    { host: "0.0.0.0", port: 0, shared: false, sendsMulticast: false, multicastLoopback: true, multicastTtl: 1 },
    { message() {}, error() {} },
  );
  const controller = new AbortController();
  const late = openMesh({ ...LOOPBACK, signal: controller.signal });
  controller.abort();
  const failures = [
    openMesh({ ...LOOPBACK, heartbeat: -1 }),
    openMesh({ ...LOOPBACK, interface: "no such interface" }),
    openMesh({ ...LOOPBACK, port: held.port }),
    openMesh({ ...LOOPBACK, advertiseAddr: `127.0.0.1:${held.port}` }),
    openMesh({ ...LOOPBACK, signal: AbortSignal.abort() }),
    late,
  ];
  for (const { status } of await Promise.allSettled(failures)) {
    if (status !== "rejected") throw new Error("It must not open");
  }
  await held.close();
}

async function consume(events: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of events) { /* until it ends */ }
}

const cases = [
  openedAndClosed,
  closedWithEverythingInUse,
  closedWhileSeedsAreLookedUp,
  failedToOpen,
  closedBySignal,
  closedByNobodyWaiting,
];
for (const run of cases) {
  await run();
  console.log(run.name);
}
console.log("done");
