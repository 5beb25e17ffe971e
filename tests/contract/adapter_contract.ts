// The adapter contract: all rules of `src/platform/datagram_socket.ts`, for any adapter.
import { assert } from "@std/assert";
import { describe, test } from "node:test";
import type { Bind } from "../../src/platform/datagram_socket.ts";
import { bindRules } from "./bind_rules.ts";
import { closeRules } from "./close_rules.ts";
import { ipv6Rules } from "./ipv6_rules.ts";
import { joinRules } from "./join_rules.ts";
import { ContractKit, type ContractOptions } from "./kit.ts";
import { multicastRules } from "./multicast_rules.ts";
import { sendRules } from "./send_rules.ts";

export type { ContractOptions } from "./kit.ts";

/** Tests every MUST of `src/platform/datagram_socket.ts` for one adapter and one family, on this runtime. */
export function adapterContract(name: string, bind: Bind, contract: ContractOptions): void {
  const kit = new ContractKit(bind, contract);
  const reason = kit.cannot(kit.plain);
  describe(`adapter contract: ${name}, IPv${kit.family}`, () => {
    if (reason !== undefined) {
      test("a family that the adapter does not support is refused with the reason", async () => {
        const error = await kit.assertBindFails({}, "EUNSUPPORTED");
        assert(error.message.includes(reason), error.message);
      });
      return;
    }
    describe("bind", () => bindRules(kit));
    describe("send and receive", () => sendRules(kit));
    describe("multicast", () => multicastRules(kit));
    describe("join and leave", () => joinRules(kit));
    describe("close", () => closeRules(kit));
    if (kit.family === 6) describe("IPv6", () => ipv6Rules(kit));
  });
}
