import { assertEquals } from "@std/assert";
import { inNamespace, namespaceTest } from "./support/namespace.ts";
import { testCommand } from "./support/runtime.ts";

// A cable with both ends here, and a route that sends multicast into it: what lo cannot show can be seen, and what goes
// out with no interface named cannot leave the machine.
const SET_UP = `
  ip link set lo up
  ip link add cable0 type veth peer name cable1
  ip address add 10.77.0.1/24 dev cable0
  ip link set cable0 up
  ip link set cable1 up
  ip route add 224.0.0.0/4 dev cable0
`;

namespaceTest("adapter contract: on an interface that is not lo", async () => {
  const command = testCommand(new URL("adapter_contract.test.ts", import.meta.url));
  const { code, stdout, stderr } = await inNamespace(SET_UP + command, { WARP_MESH_CONTRACT_ADDRESS: "10.77.0.1" });
  assertEquals(code, 0, `${stdout}\n${stderr}`);
});
