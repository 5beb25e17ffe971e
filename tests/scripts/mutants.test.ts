// The breakages of `npm run mutants` match the code: each breaks a piece of it that occurs exactly once.
import { test } from "node:test";
import { assert, assertEquals } from "@std/assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { AWAITS } from "../../scripts/mutants/awaits.ts";
import { CALLS } from "../../scripts/mutants/calls.ts";
import { MEMBERSHIP } from "../../scripts/mutants/membership.ts";
import { PROTOCOL } from "../../scripts/mutants/protocol.ts";
import { TRAFFIC } from "../../scripts/mutants/traffic.ts";
import { WIDER } from "../../scripts/mutants/wider.ts";
import { ROOT } from "../../scripts/runtimes.ts";

test("each breakage has a name of its own, and changes a piece of the code that occurs once", () => {
  const mutants = [...PROTOCOL, ...WIDER, ...MEMBERSHIP, ...CALLS, ...TRAFFIC, ...AWAITS];
  assertEquals(new Set(mutants.map(({ name }) => name)).size, mutants.length);
  for (const { name, file, find, replace } of mutants) {
    assertEquals(readFileSync(join(ROOT, file), "utf8").split(find).length, 2, `${name}: ${file}`);
    assert(find !== replace, name);
  }
});
