// Hosts without multicast: what binding and sending report, in network namespaces.
import { assertEquals } from "@std/assert";
import { binds } from "../support/native_binds.ts";
import { runCommand } from "../support/runtime.ts";
import { inNamespace, namespaceTest } from "./support/namespace.ts";

const command = runCommand(new URL("support/bind_outcomes.ts", import.meta.url));

namespaceTest("a host with no interface up: joining a group is EMULTICAST, and everything else works", async () => {
  await assertOutcomes(command, {
    "join, interface of the system's choice": "EMULTICAST",
    "join on 127.0.0.1": "EMULTICAST",
    "join on another host's address": "EMULTICAST",
    "send multicast by the system's choice": "not sent",
    "no multicast": "bound",
  });
});

namespaceTest(
  "a host with lo alone: joining on it works, joining without an interface is EMULTICAST",
  async () => {
    await assertOutcomes(`ip link set lo up; ${command}`, {
      "join, interface of the system's choice": "EMULTICAST",
      "join on 127.0.0.1": "bound",
      "join on another host's address": "EMULTICAST",
      "send multicast by the system's choice": "not sent",
      "no multicast": "bound",
    });
  },
);

async function assertOutcomes(script: string, expected: Readonly<Record<string, string>>): Promise<void> {
  const { code, stdout, stderr } = await inNamespace(script);
  assertEquals(code, 0, stderr);
  assertEquals(JSON.parse(stdout), Object.fromEntries(Object.keys(binds).map((name) => [name, expected])));
}
