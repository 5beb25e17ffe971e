import { assertEquals } from "@std/assert";
import { MAKE_CABLES } from "./support/cables.ts";
import { inNamespace, namespaceTest } from "./support/namespace.ts";
import { testCommand } from "./support/runtime.ts";

namespaceTest("adapter contract: on interfaces that are not lo", async () => {
  const command = testCommand(new URL("adapter_contract.test.ts", import.meta.url));
  const { code, stdout, stderr } = await inNamespace(MAKE_CABLES + command, { WARP_MESH_CONTRACT_CABLES: "1" });
  assertEquals(code, 0, `${stdout}\n${stderr}`);
});
