// Join rules: the part of the adapter contract about `join` and `leave`.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { BindError, type BindOptions, type DatagramSocket } from "../../src/platform/datagram_socket.ts";
import { bytes, Inbox } from "../support/inbox.ts";
import { type ContractKit, randomGroup, type SecondInterface } from "./kit.ts";

const NO_INTERFACE = { 4: "0.0.0.0", 6: "nowhere0" } as const;
const NO_GROUPS = { 4: ["10.1.2.3", "ff15::77"], 6: ["fd00::1", "239.77.1.1"] } as const;

/** The rules of joining and leaving groups on an open socket. */
export function joinRules(kit: ContractKit): void {
  const { address, any, family, multicastInterface } = kit;
  const { second } = kit.contract;
  const sender: BindOptions = { ...kit.plain, multicastInterface, sendsMulticast: true };

  kit.test("joining twice equals joining once, and leaving is possible at any time", async (open) => {
    const socket = await open({ host: any });
    const group = randomGroup(family);
    await socket.leave(group, multicastInterface);
    await socket.join(group, multicastInterface);
    await socket.join(group, multicastInterface);
    await socket.leave(group, multicastInterface);
    await socket.leave(group, multicastInterface);
  });

  for (const where of [kit.nowhere, NO_INTERFACE[family], ""]) {
    kit.test(`an interface that this host does not have is refused: "${where}"`, async (open) => {
      const inbox = new Inbox();
      const socket = await open({}, inbox);
      const error = await assertRejects(() => socket.join(randomGroup(family), where), BindError);
      assertEquals(error.code, "EMULTICAST");
      assert(error.message.includes(where), error.message);
      await socket.send(bytes("still here"), address, socket.port);
      await kit.until(() => inbox.received.length === 1, "the datagram arrives");
    });
  }

  kit.test("leaving on an interface that this host does not have resolves", async (open) => {
    const socket = await open({ host: any });
    const group = randomGroup(family);
    await socket.leave(group, kit.nowhere);
    await socket.join(group, multicastInterface);
    await socket.leave(group, kit.nowhere);
  });

  for (const group of NO_GROUPS[family]) {
    kit.test(`an invalid group cannot be joined: "${group}"`, async (open) => {
      const socket = await open({ host: any });
      const error = await assertRejects(() => socket.join(group, multicastInterface), BindError, group);
      assertEquals(error.code, "EMULTICAST");
    });
  }

  kit.test("after close both reject, and so do calls under way", async (open) => {
    const socket = await open({ host: any });
    const group = randomGroup(family);
    await socket.join(group, multicastInterface);
    const closing = socket.close();
    await assertRejects(() => socket.join(group, multicastInterface), Error, "closed");
    await assertRejects(() => socket.leave(group, multicastInterface), Error, "closed");
    await closing;
    await assertRejects(() => socket.join(group, multicastInterface), Error, "closed");
  });

  if (!kit.multicast) return;

  kit.testIfAble("a group is heard from its join to its leaving", sender, async (open) => {
    const inbox = new Inbox();
    const to = await open({ host: any }, inbox);
    const from = await open(sender);
    const group = randomGroup(family);
    const says = speaker(kit, from, to, inbox, group);
    await says("before");
    await to.join(group, multicastInterface);
    await says("joined");
    await to.join(group, multicastInterface);
    await says("joined twice");
    await to.leave(group, multicastInterface);
    await says("left");
    await to.join(group, multicastInterface);
    await says("joined again");
    assertEquals(heard(inbox), ["joined", "joined twice", "joined again"]);
  });

  kit.testIfAble("calls that are not awaited are done in order", sender, async (open) => {
    const inbox = new Inbox();
    const to = await open({ host: any }, inbox);
    const group = randomGroup(family);
    const says = speaker(kit, await open(sender), to, inbox, group);
    const join = () => to.join(group, multicastInterface);
    const leave = () => to.leave(group, multicastInterface);
    await Promise.all([join(), leave(), join(), join(), leave(), leave(), join()]);
    await says("joined");
    await Promise.all([leave(), join(), leave()]);
    await says("left");
    assertEquals(heard(inbox), ["joined"]);
  });

  kit.testIfAble("a group joined by bind can be joined again and left", sender, async (open) => {
    const inbox = new Inbox();
    const joinGroup = randomGroup(family);
    const to = await open({ host: any, joinGroup, multicastInterface }, inbox);
    const says = speaker(kit, await open(sender), to, inbox, joinGroup);
    await to.join(joinGroup, multicastInterface);
    await says("joined");
    await to.leave(joinGroup, multicastInterface);
    await says("left");
    assertEquals(heard(inbox), ["joined"]);
  });

  if (second !== undefined) interfaceRules(kit, second, sender);
}

/** The rules of sockets on several interfaces, and on interfaces that appear and disappear. */
function interfaceRules(kit: ContractKit, second: SecondInterface, sender: BindOptions): void {
  const { any, family, multicastInterface } = kit;
  const there = { ...sender, host: second.address, multicastInterface: second.multicastInterface };

  kit.testIfAble("interfaces are joined and left independently", there, async (open) => {
    const inbox = new Inbox();
    const to = await open({ host: any }, inbox);
    const group = randomGroup(family);
    const here = speaker(kit, await open(sender), to, inbox, group);
    const away = speaker(kit, await open(there), to, inbox, group);
    await to.join(group, multicastInterface);
    await to.join(group, second.multicastInterface);
    await here("1 here");
    await away("1 away");
    await to.leave(group, multicastInterface);
    await here("2 here");
    await away("2 away");
    await to.join(group, multicastInterface);
    await to.leave(group, second.multicastInterface);
    await here("3 here");
    await away("3 away");
    assertEquals(heard(inbox), ["1 here", "1 away", "2 away", "3 here"]);
  });

  kit.testIfAble(
    "an interface that was deleted and made again is joined again, and sent from again",
    there,
    async (open) => {
      const inbox = new Inbox();
      const to = await open({ host: any }, inbox);
      const from = await open(there);
      const group = randomGroup(family);
      const says = speaker(kit, from, to, inbox, group);
      await to.join(group, second.multicastInterface);
      await says("at first");
      for (const round of ["joined", "left and joined"]) {
        second.delete();
        try {
          await assertRejects(() => from.send(bytes("into the void"), group, to.port), Error);
          if (round === "left and joined") await to.leave(group, second.multicastInterface);
          const error = await assertRejects(() => to.join(group, second.multicastInterface), BindError);
          assertEquals(error.code, "EMULTICAST");
        } finally {
          second.make();
        }
        await to.join(group, second.multicastInterface);
        // The new interface may take a moment, and a socket checks for it at most ten times a second.
        await kit.until(() => {
          from.send(bytes(round), group, to.port).catch(() => {});
          return inbox.texts.includes(round);
        }, `${round} is heard`);
      }
      await to.leave(group, second.multicastInterface);
      await says("left");
      assertEquals(new Set(heard(inbox)), new Set(["at first", "joined", "left and joined"]));
    },
  );

  kit.testIfAble("leaving a deleted interface leaves none of the others", there, async (open) => {
    const inbox = new Inbox();
    const to = await open({ host: any }, inbox);
    const group = randomGroup(family);
    const says = speaker(kit, await open(sender), to, inbox, group);
    await to.join(group, second.multicastInterface);
    await to.join(group, multicastInterface);
    second.delete();
    try {
      await to.leave(group, second.multicastInterface);
      await says("still here");
    } finally {
      second.make();
    }
    assertEquals(heard(inbox), ["still here"]);
  });

  kit.testIfAble(
    "an interface may be deleted and made more often than the system has groups for a socket",
    there,
    async (open) => {
      const to = await open({ host: any });
      const group = randomGroup(family);
      for (let round = 0; round < 25; round++) {
        await to.join(group, second.multicastInterface);
        second.delete();
        try {
          await to.leave(group, second.multicastInterface);
        } finally {
          second.make();
        }
      }
      await to.join(group, second.multicastInterface);
    },
  );
}

type Speaker = (text: string) => Promise<void>;

/**
 * Sends to a group and waits until the datagram has arrived if it ever will: until a marker that was sent after it has.
 */
function speaker(kit: ContractKit, from: DatagramSocket, to: DatagramSocket, inbox: Inbox, group: string): Speaker {
  return async (text) => {
    await from.send(bytes(text), group, to.port);
    const marker = `${MARKER}${text}`;
    await from.send(bytes(marker), from.host, to.port);
    await kit.until(() => inbox.texts.includes(marker), `what comes after "${text}" arrives`);
  };
}

const MARKER = "after ";

function heard(inbox: Inbox): string[] {
  return inbox.texts.filter((text) => !text.startsWith(MARKER));
}
