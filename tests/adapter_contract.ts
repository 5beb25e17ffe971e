import { describe } from "node:test";
import type { Bind } from "../src/datagram_socket.ts";
import { bindRules } from "./contract/bind_rules.ts";
import { closeRules } from "./contract/close_rules.ts";
import { ContractKit, type ContractOptions } from "./contract/kit.ts";
import { multicastRules } from "./contract/multicast_rules.ts";
import { sendRules } from "./contract/send_rules.ts";

export type { ContractOptions } from "./contract/kit.ts";

/** Tests every MUST of `src/datagram_socket.ts` against one adapter, on the runtime at hand. */
export function adapterContract(name: string, bind: Bind, contract: ContractOptions): void {
  const kit = new ContractKit(bind, contract);
  describe(`adapter contract: ${name}`, () => {
    describe("bind", () => bindRules(kit));
    describe("send and receive", () => sendRules(kit));
    describe("multicast", () => multicastRules(kit));
    describe("close", () => closeRules(kit));
  });
}
