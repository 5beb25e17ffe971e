// Multicast rules: the part of the adapter contract about groups.
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { test } from "node:test";
import { bytes, Inbox } from "../support/inbox.ts";
import { type ContractKit, randomGroup } from "./kit.ts";

const NO_INTERFACES = {
  4: ["0.0.0.0", "eth0", "lo", "::1", ""],
  6: ["nowhere0", "::", "::1", "127.0.0.1", "constructor", ""],
} as const;

const NO_GROUPS = {
  4: ["10.1.2.3", "ff15::77", "not a group", ""],
  6: ["fd00::1", "239.77.1.1", "ff15::77%lo", "not a group", ""],
} as const;

/** The rules of sockets that join a group, or send to one. */
export function multicastRules(kit: ContractKit): void {
  const { address, senders } = kit;

  for (const options of senders) {
    const { host, multicastInterface } = options;
    const way = `from ${host} by interface ${multicastInterface ?? "of the system's choice"}`;
    const joining = { host: kit.any, shared: true, multicastInterface };

    kit.testIfAble(`${way}: all sockets that share the port hear it once`, options, async (open) => {
      const [first, second] = [new Inbox(), new Inbox()];
      const joined = { ...joining, joinGroup: randomGroup(kit.family) };
      const { port } = await open(joined, first);
      await open({ ...joined, port }, second);
      const from = await open(options);
      await from.send(bytes("to all"), joined.joinGroup, port);
      await from.send(bytes("the end"), joined.joinGroup, port);
      await kit.until(() => [first, second].every(({ texts }) => texts.includes("the end")), "both hear it");
      assertEquals([first.texts, second.texts], [["to all", "the end"], ["to all", "the end"]]);
      assertEquals(first.sources[0], `${address}:${from.port}`);
    });

    // The loopback interface loops back all datagrams, whatever the socket's option:
    // tests/hosts/adapter_contract.test.ts has another interface.
    if (address.startsWith("127.")) continue;
    kit.testIfAble(`${way}: without loopback no socket on this host hears it`, options, async (open) => {
      const inbox = new Inbox();
      const joined = { ...joining, joinGroup: randomGroup(kit.family) };
      const { port } = await open(joined, inbox);
      const quiet = await open({ ...options, multicastLoopback: false });
      const loud = await open(options);
      await quiet.send(bytes("quiet"), joined.joinGroup, port);
      await loud.send(bytes("loud"), joined.joinGroup, port);
      await kit.until(() => inbox.texts.includes("loud"), "the one with loopback is heard");
      assertEquals(inbox.texts, ["loud"]);
    });
  }

  for (const options of senders.slice(1)) {
    const joinGroup = randomGroup(kit.family);
    const both = { ...options, shared: true, joinGroup };
    const title = `one socket may join, share and send, by interface ${
      options.multicastInterface ?? "of the system's choice"
    }`;
    kit.testIfAble(title, both, async (open) => {
      const [first, second] = [new Inbox(), new Inbox()];
      const one = await open(both, first);
      await open({ ...both, port: one.port }, second);
      await one.send(bytes("to all"), joinGroup, one.port);
      await kit.until(() => first.received.length > 0 && second.received.length > 0, "both hear it");
      assertEquals([first.texts, second.texts], [["to all"], ["to all"]]);
    });
  }

  for (const multicastInterface of [kit.nowhere, ...NO_INTERFACES[kit.family]]) {
    test(`an interface that this host does not have is refused: "${multicastInterface}"`, async () => {
      const options = { host: kit.any, multicastInterface };
      const error = await kit.assertBindFails({ ...options, joinGroup: randomGroup(kit.family) }, "EMULTICAST");
      assert(error.message.includes(multicastInterface), error.message);
      await kit.assertBindFails({ ...options, sendsMulticast: true }, "EMULTICAST", "EUNSUPPORTED");
    });
  }

  for (const joinGroup of NO_GROUPS[kit.family]) {
    test(`an invalid group is refused: "${joinGroup}"`, async () => {
      const error = await kit.assertBindFails({ joinGroup, multicastInterface: kit.multicastInterface }, "EMULTICAST");
      assert(error.message.includes(joinGroup), error.message);
    });
  }

  kit.test("a socket whose setup fails is closed", async (open) => {
    const port = await kit.freePort();
    const join = { port, joinGroup: NO_GROUPS[kit.family][0], multicastInterface: kit.multicastInterface };
    const error = await kit.assertBindFails(join, "EMULTICAST");
    assertInstanceOf(error.cause, Error);
    assertEquals((await open({ port })).port, port);
  });
}
