// The adapter contract on interfaces that are not the loopback interface, in a network namespace.
import { assertEquals } from "@std/assert";
import { testCommand } from "../support/runtime.ts";
import { MAKE_CABLES } from "./support/cables.ts";
import { inNamespace, namespaceTest } from "./support/namespace.ts";

namespaceTest("adapter contract: on interfaces that are not lo", async () => {
  const command = testCommand(new URL("../contract/adapter_contract.test.ts", import.meta.url));
  const { code, stdout, stderr } = await inNamespace(MAKE_CABLES + command, { WARP_MESH_CONTRACT_CABLES: "1" });
  assertEquals(code, 0, `${stdout}\n${stderr}`);
});
