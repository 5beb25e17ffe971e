import process from "node:process";
import { test } from "node:test";
import { bind } from "../adapters/auto.ts";
import { bindBun, bunCannot } from "../adapters/bun.ts";
import { bindDeno, denoCannot } from "../adapters/deno.ts";
import { MemoryNetwork } from "../adapters/memory.ts";
import { bindNode, nodeAbilities } from "../adapters/node.ts";
import type { BindOptions } from "../src/datagram_socket.ts";
import { adapterContract, type ContractOptions } from "./adapter_contract.ts";

// Set by adapter_namespace.test.ts, where multicast cannot get out.
const address = process.env["WARP_MESH_CONTRACT_ADDRESS"];
const host = address === undefined ? {} : { address, multicastRoute: true };

const dgram: ContractOptions = { ...host, adapter: "node", receiveBuffer: nodeAbilities.receiveBuffer };
adapterContract("node:dgram", bindNode, dgram);

if ("Bun" in globalThis) {
  const native: ContractOptions = { ...host, adapter: "bun", receiveBuffer: false };
  adapterContract("Bun.udpSocket", bindBun, { ...native, cannot: bunCannot });
  adapterContract("auto", bind, native);
} else if ("Deno" in globalThis) {
  const fallback = denoCannot(plainOptions());
  if (fallback === undefined) {
    const native: ContractOptions = { ...host, adapter: "deno", receiveBuffer: false };
    adapterContract("Deno.listenDatagram", bindDeno, { ...native, cannot: denoCannot });
    adapterContract("auto", bind, native);
  } else {
    test("adapter contract: Deno.listenDatagram", { skip: fallback }, () => {});
    adapterContract("auto", bind, { ...dgram, fallback });
  }
} else {
  adapterContract("auto", bind, dgram);
}

const network = new MemoryNetwork();
adapterContract("memory", network.host("10.0.0.1").bind, {
  adapter: "memory",
  address: "10.0.0.1",
  multicastRoute: true,
  step: () => network.clock.advance(1),
});

function plainOptions(): BindOptions {
  return {
    host: "127.0.0.1",
    port: 0,
    shared: false,
    sendsMulticast: false,
    multicastLoopback: true,
    multicastTtl: 1,
  };
}
