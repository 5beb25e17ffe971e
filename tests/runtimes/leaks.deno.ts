// Leaks, as only Deno can detect them: a mesh leaves no operation under way and no resource open. Deno's sanitizers
// watch `Deno.test` alone, not `node:test`.

import { assertRejects } from "@std/assert";
import { bind, systemPorts } from "../../adapters/auto.ts";
import { bindDeno, denoCannot } from "../../adapters/deno.ts";
import { bindNode } from "../../adapters/node.ts";
import { type Bind, MeshBus, MeshOpenError, type MeshOptions } from "../../mod.ts";
import { next, peersKnown } from "../support/meshes.ts";

const SANITIZERS = { sanitizeOps: true, sanitizeResources: true, sanitizeExit: true } as const;
// A label of a name has at most 63 characters: the system's resolver refuses a longer one without a query.
const UNRESOLVABLE = `${"x".repeat(64)}.invalid`;
const PLAIN = {
  host: "127.0.0.1",
  port: 0,
  shared: false,
  sendsMulticast: false,
  multicastLoopback: true,
  multicastTtl: 1,
};

const ADAPTERS: Readonly<Record<string, Bind>> = {
  "auto": bind,
  "node:dgram": bindNode,
  ...(denoCannot(PLAIN) === undefined ? { "Deno.listenDatagram": bindDeno } : {}),
};

for (const [adapter, bind] of Object.entries(ADAPTERS)) {
  const open = (options: MeshOptions = {}) =>
    MeshBus.open({ ...systemPorts, bind, interface: "127.0.0.1", port: 0, ...options });

  Deno.test(`leaks of ${adapter}: publish, subscribe and close`, SANITIZERS, async () => {
    const a = await open();
    const b = await open({ port: a.port });
    await Promise.all([peersKnown(a, 1), peersKnown(b, 1)]);
    const events = b.subscribe("key");
    const loop = (async () => {
      for await (const _ of b.events) { /* until it ends */ }
    })();
    await a.publish("key");
    await next(events);
    void a.publish("last words");
    await Promise.all([a.close(), b.close(), loop]);
  });

  Deno.test(`leaks of ${adapter}: close while a seed waits for its next look-up`, SANITIZERS, async () => {
    const mesh = await open({ multicast: false, peers: [UNRESOLVABLE, "127.0.0.1:9"] });
    const failed = new Promise<void>((resolve) =>
      mesh.events.listen((event) => event.type === "error" && event.stage === "resolve" && resolve())
    );
    await failed;
    await mesh.close();
  });

  Deno.test(`leaks of ${adapter}: close at once, by the signal too`, SANITIZERS, async () => {
    const mesh = await open();
    await mesh.close();
    const controller = new AbortController();
    const other = await open({ signal: controller.signal });
    controller.abort();
    await other.close();
  });

  Deno.test(`leaks of ${adapter}: what could not be opened`, SANITIZERS, async () => {
    const held = await bindNode({ ...PLAIN, host: "0.0.0.0" }, { message() {}, error() {} });
    await assertRejects(() => open({ interface: "198.51.100.77" }), MeshOpenError, "`interface`");
    await assertRejects(() => open({ port: held.port }), MeshOpenError, "`port`");
    await assertRejects(() => open({ advertiseAddr: `127.0.0.1:${held.port}` }), MeshOpenError, "`advertiseAddr`");
    const controller = new AbortController();
    const late = open({ signal: controller.signal });
    controller.abort(new Error("changed my mind"));
    await assertRejects(() => late, Error, "changed my mind");
    await held.close();
  });
}
