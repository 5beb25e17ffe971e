// `docs/guarantees.md` lists what the seeded worlds check and what they excuse: no more, no less, in the same words.

import { assertEquals } from "@std/assert";
import { test } from "node:test";
import { EXCUSES } from "../sim/storm/excuses.ts";
import { ROWS } from "../sim/storm/rows.ts";
import { read } from "./documents.ts";

const text = read("docs/guarantees.md");

test("what the worlds excuse is what the document lists", () => {
  const items = section("### What the worlds excuse").split(/\n- /).slice(1);
  const listed = items.map((item) => /^\*\*(.*?)\*\*: ([^]*)$/.exec(item.trim())?.slice(1).map(oneLine) ?? [item]);
  assertEquals(listed, Object.entries(EXCUSES).map(([name, words]) => [name, oneLine(words)]));
});

test("each row of How soon has a world of its own", () => {
  const rows = section("## How soon").split("\n").filter((line) => line.startsWith("|")).slice(2);
  const listed = rows.map((row) => (row.split("|")[1] ?? "").trim());
  const played = new Set(ROWS.filter(({ isDocumented }) => isDocumented).map(({ what }) => what));
  assertEquals(listed.filter((row) => !played.has(row)), []);
});

/** The text under a heading, up to the next. */
function section(heading: string): string {
  const [, after = ""] = text.split(`\n${heading}\n`);
  return after.split(/\n#+ /)[0] ?? "";
}

function oneLine(words: string): string {
  return words.replace(/\s+/g, " ").trim();
}
