// The adapter contract on each adapter and family that this runtime has.
import { networkInterfaces } from "node:os";
import process from "node:process";
import { test } from "node:test";
import { bind } from "../../adapters/auto.ts";
import { bindBun, bunCannot } from "../../adapters/bun.ts";
import { bindDeno, denoCannot } from "../../adapters/deno.ts";
import { MemoryNetwork } from "../../adapters/memory.ts";
import { bindNode, nodeAbilities } from "../../adapters/node.ts";
import type { Bind } from "../../src/platform/datagram_socket.ts";
import { deleteSecond, FIRST, linkLocal, makeSecond, MORE_IPV6, SECOND } from "../hosts/support/cables.ts";
import { LOCAL } from "../support/sockets.ts";
import { adapterContract, type ContractOptions } from "./adapter_contract.ts";

type Family = 4 | 6;

// tests/hosts/adapter_contract.test.ts sets it in a namespace that multicast cannot leave.
const hasCables = process.env["WARP_MESH_CONTRACT_CABLES"] === "1";
const addresses = Object.values(networkInterfaces()).flatMap((list = []) => list.map(({ address }) => address));

const places: Readonly<Record<Family, Partial<ContractOptions>>> = hasCables
  ? {
    4: {
      address: FIRST.ipv4,
      multicastRoute: true,
      second: { address: SECOND.ipv4, multicastInterface: SECOND.ipv4, delete: deleteSecond, make: makeSecond },
    },
    6: {
      family: 6,
      address: FIRST.ipv6,
      multicastInterface: FIRST.device,
      multicast: true,
      multicastRoute: true,
      second: { address: SECOND.ipv6, multicastInterface: SECOND.device, delete: deleteSecond, make: makeSecond },
      more: [...MORE_IPV6, linkLocal() ?? "none"],
    },
  }
  : { 4: {}, 6: { family: 6 } };

for (const family of [4, 6] as const) {
  if (family === 6 && !addresses.includes(hasCables ? FIRST.ipv6 : "::1")) {
    test("adapter contract: IPv6", { skip: "this host has no IPv6" }, () => {});
    continue;
  }
  const local = { ...LOCAL, host: family === 4 ? "127.0.0.1" : "::1" };
  const contract = (name: string, adapter: Bind, options: ContractOptions) =>
    adapterContract(name, adapter, { ...places[family], ...options });
  const dgram: ContractOptions = { adapter: "node", receiveBuffer: nodeAbilities.receiveBuffer };
  contract("node:dgram", bindNode, dgram);

  if ("Bun" in globalThis) {
    const native: ContractOptions = { adapter: "bun", receiveBuffer: false };
    contract("Bun.udpSocket", bindBun, { ...native, cannot: bunCannot });
    contract("auto", bind, native);
  } else if ("Deno" in globalThis) {
    const isThere = denoCannot(LOCAL) === undefined;
    const fallback = denoCannot(local);
    if (isThere) {
      contract("Deno.listenDatagram", bindDeno, { adapter: "deno", receiveBuffer: false, cannot: denoCannot });
    } else test("adapter contract: Deno.listenDatagram", { skip: fallback ?? "" }, () => {});
    if (fallback === undefined) contract("auto", bind, { adapter: "deno", receiveBuffer: false });
    else contract("auto", bind, { ...dgram, fallback });
  } else {
    contract("auto", bind, dgram);
  }
}

for (const [family, address] of [[4, "10.0.0.1"], [6, "fd00::1"]] as const) {
  const network = new MemoryNetwork();
  adapterContract("memory", network.host(address).bind, {
    adapter: "memory",
    family,
    address,
    multicastInterface: family === 4 ? address : "eth0",
    multicast: true,
    multicastRoute: true,
    step: () => network.clock.advance(1),
  });
}
