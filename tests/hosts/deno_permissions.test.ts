// Deno's permissions: a program with those that the mesh needs and no others, and one with fewer.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { describe, test } from "node:test";
import type { MeshOptions } from "../../mod.ts";
import { withPrograms } from "../support/programs.ts";
import type { Outcome, Refusal } from "../support/user_program.ts";
import { hostTest, withHosts } from "./support/netns.ts";

const DOCUMENTED = ["--allow-net", "--allow-sys=networkInterfaces"];
const ADAPTERS = { "with --unstable-net": "deno", "without --unstable-net": "node" } as const;
const UNSTABLE = { deno: ["--unstable-net"], node: [] } as const;
// The advertised host of a node that may not list interfaces. Receivers replace it by the source address.
const NAMELESS = "0.0.0.0";

type Adapter = keyof typeof UNSTABLE;

/** Runs the program with permissions, and denies every other one. */
async function runWith(
  adapter: Adapter,
  permissions: readonly string[],
  options: MeshOptions = {},
  within: readonly string[] = [],
): Promise<Partial<Outcome & Refusal>> {
  let printed: Partial<Outcome & Refusal> = {};
  await withPrograms(async (start) => {
    const denoFlags = ["--no-prompt", ...UNSTABLE[adapter], ...permissions];
    const program = start("deno", "tests/support/user_program.ts", {
      denoFlags,
      args: [JSON.stringify(options)],
      within,
    });
    assertEquals([await program.ended(), program.errors], [0, ""], program.describe());
    printed = JSON.parse(program.lines[0] ?? "{}") as Partial<Outcome & Refusal>;
  });
  return printed;
}

function opened(adapter: Adapter): readonly string[] {
  return adapter === "node" ? ["fallback node", "opened node"] : ["opened deno"];
}

/** The name of the loopback interface: `lo` on Linux, another elsewhere. */
function loopback(): string {
  const entries = Object.entries(networkInterfaces());
  const [name] = entries.find(([, list]) => list?.some(({ address }) => address === "127.0.0.1")) ?? [];
  assert(name !== undefined);
  return name;
}

function hostOf({ address }: Partial<Outcome>): string | undefined {
  return address?.split(":")[0];
}

test("the documentation names these permissions, and no others", () => {
  const document = readFileSync(new URL("../../docs/deployment.md", import.meta.url), "utf8");
  assertStringIncludes(document, `deno run --unstable-net ${DOCUMENTED.join(" ")} `);
  const [, section = ""] = /## Deno permissions\n([^]*?)\n##/.exec(document) ?? [];
  const names = new Set(section.match(/--allow-[a-z]+/g));
  assertEquals([...names].sort(), ["--allow-net", "--allow-sys"]);
});

for (const [title, adapter] of Object.entries(ADAPTERS)) {
  describe(`Deno ${title}`, () => {
    test("with the permissions that are documented: opens, publishes, receives and closes", async () => {
      const { keys, events } = await runWith(adapter, DOCUMENTED);
      assertEquals([keys, events], [["user:42"], [...opened(adapter), "peerJoined", "peerLeft", "closed"]]);
    });

    test("with those, an interface can be given by its name", async () => {
      const outcome = await runWith(adapter, DOCUMENTED, { interface: loopback() });
      assertEquals([hostOf(outcome), outcome.keys], ["127.0.0.1", ["user:42"]]);
    });

    test("with --allow-net alone: an interface given by its address works", async () => {
      const outcome = await runWith(adapter, ["--allow-net"]);
      assertEquals([hostOf(outcome), outcome.keys], ["127.0.0.1", ["user:42"]]);
    });

    test("with --allow-net alone: an interface given by its name is an error that states the remedy", async () => {
      const { refused, option } = await runWith(adapter, ["--allow-net"], { interface: "lo" });
      assertEquals(option, "interface");
      assertStringIncludes(
        refused ?? "",
        "an address unless interfaces may be listed (on Deno --allow-sys=networkInterfaces)",
      );
    });

    test("without a permission: the error names what must be permitted", async () => {
      const { refused, option } = await runWith(adapter, []);
      assertEquals(option, "port");
      assertStringIncludes(refused ?? "", "binding `port` must be permitted");
    });

    test("with the addresses that are used alone: 0.0.0.0 to bind, the group, and those of the nodes", async () => {
      const { keys, events } = await runWith(adapter, ["--allow-net=0.0.0.0,239.0.0.1,127.0.0.1"]);
      assertEquals([keys, events], [["user:42"], [...opened(adapter), "peerJoined", "peerLeft", "closed"]]);
    });

    test("a seed given by its name must be permitted by its name", async () => {
      const addresses = "--allow-net=0.0.0.0,239.0.0.1,127.0.0.1";
      const options = { peers: ["localhost:9"] };
      const forbidden = await runWith(adapter, [addresses], options);
      assert(forbidden.events?.includes("error resolve"), `${forbidden.events}`);
      assertEquals(forbidden.keys, ["user:42"]);
      const permitted = await runWith(adapter, [`${addresses},localhost`], options);
      assertEquals(permitted.events, [...opened(adapter), "peerJoined", "peerLeft", "closed"]);
    });

    test("with the group forbidden: an event reports the failed send, and seeds work", async () => {
      const { keys, events } = await runWith(adapter, ["--allow-net=0.0.0.0,127.0.0.1"]);
      assertEquals(keys, ["user:42"]);
      assert(events?.includes("error send"), `${events}`);
    });

    test("with multicast off, the group need not be permitted", async () => {
      const { keys, events } = await runWith(adapter, ["--allow-net=0.0.0.0,127.0.0.1"], { multicast: false });
      assertEquals([keys, events], [["user:42"], [...opened(adapter), "peerJoined", "peerLeft", "closed"]]);
    });

    hostTest(
      "with those and no interface given, it advertises its host's address",
      () =>
        withHosts([["10.77.1.1"]], async ([host]) => {
          const outcome = await runWith(adapter, DOCUMENTED, { interface: "" }, host?.within);
          assertEquals([hostOf(outcome), outcome.keys], ["10.77.1.1", ["user:42"]]);
        }),
    );

    hostTest(
      "with --allow-net alone and no interface given, it works, and receivers use its source address",
      () =>
        withHosts([["10.77.1.1"]], async ([host]) => {
          const outcome = await runWith(adapter, ["--allow-net"], { interface: "" }, host?.within);
          assertEquals([hostOf(outcome), outcome.keys], [NAMELESS, ["user:42"]]);
        }),
    );
  });
}
