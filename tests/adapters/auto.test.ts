// The automatic adapter: which adapter it chooses on each runtime, and why.
import { assert, assertEquals } from "@std/assert";
import { describe, test } from "node:test";
import { bind, systemPorts } from "../../adapters/auto.ts";
import { denoCannot } from "../../adapters/deno.ts";
import type { AdapterName, BindOptions } from "../../src/platform/datagram_socket.ts";
import { Inbox } from "../support/inbox.ts";
import { LOCAL } from "../support/sockets.ts";

const own: BindOptions = { ...LOCAL, host: "0.0.0.0", sendsMulticast: true, multicastInterface: "127.0.0.1" };
const buffered: BindOptions = { ...LOCAL, receiveBuffer: 1 << 20 };

const runtime = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";
const isStableDeno = denoCannot(LOCAL)?.includes("--unstable-net") ?? false;

describe(`auto on ${runtime}`, () => {
  test("uses the native adapter, or has the reason why not", async () => {
    if (isStableDeno) await assertMade(LOCAL, "node", "--unstable-net");
    else await assertMade(LOCAL, runtime);
  });

  test("falls back where the interface to send from cannot be chosen", async () => {
    if (isStableDeno) await assertMade(own, "node", "--unstable-net");
    else if (runtime === "deno") await assertMade(own, "node", "only when bound to that address");
    else await assertMade(own, runtime);
  });

  test("a receive buffer alone is no reason to fall back", async () => {
    if (isStableDeno) await assertMade(buffered, "node", "--unstable-net", ["receiveBuffer"]);
    else await assertMade(buffered, runtime, undefined, runtime === "node" ? [] : ["receiveBuffer"]);
  });

  test("a receive buffer that is preferred makes it fall back where that helps", async () => {
    const preferred = { ...buffered, preferReceiveBuffer: true };
    if (runtime === "bun") await assertMade(preferred, "node", "Bun.udpSocket cannot set the receive buffer");
    else if (isStableDeno) await assertMade(preferred, "node", "--unstable-net", ["receiveBuffer"]);
    else await assertMade(preferred, runtime, undefined, runtime === "deno" ? ["receiveBuffer"] : []);
    // Without a requested buffer there is nothing to prefer.
    if (runtime === "bun") await assertMade({ ...LOCAL, preferReceiveBuffer: true }, "bun");
  });

  test("its sockets are those of the system's ports", () => {
    assertEquals(systemPorts.bind, bind);
    const names = ["bind", "clock", "contexts", "networkInterfaces", "randomBytes", "resolve", "resolveSrv", "routeTo"];
    assertEquals(Object.keys(systemPorts).sort(), names);
  });
});

async function assertMade(
  options: BindOptions,
  adapter: AdapterName,
  fallback?: string,
  unmet: readonly string[] = [],
): Promise<void> {
  const socket = await bind(options, new Inbox());
  await socket.close();
  assertEquals([socket.adapter, socket.unmet], [adapter, unmet]);
  if (fallback === undefined) assertEquals(socket.fallback, undefined);
  else assert(socket.fallback?.includes(fallback), `fallback: ${socket.fallback}`);
}
