// `docs/sync_bus.md` lists the rules of the conformance suite: each once, in its words and order, with what it needs.

import { assert, assertEquals } from "@std/assert";
import { test } from "node:test";
import { conformance } from "../../conformance/mod.ts";
import { matches, read, sectionOf } from "./documents.ts";

const DOCUMENT = "docs/sync_bus.md";

test("the document lists the rules of each section, and no others", () => {
  const text = read(DOCUMENT);
  assertEquals(matches(text, /^## (.*)$/gm).slice(1), Object.keys(conformance));
  for (const [title, rules] of Object.entries(conformance)) {
    const expected = rules.map(({ name, needs }) => needs.length === 0 ? name : `${name} _Needs ${needs.join(", ")}._`);
    assertEquals(listed(text, title), expected, title);
  }
});

test("a rule that is changed, left out or repeated in the document is found", () => {
  const text = read(DOCUMENT);
  const [title = "", rules = []] = Object.entries(conformance)[0] ?? [];
  const count = listed(text, title).length;
  assertEquals(count, rules.length);
  const item = `- ${rules[0]?.name.slice(0, 30)}`;
  assert(text.includes(item));
  assert(!listed(text.replace(item, "- Another"), title).includes(rules[0]?.name ?? ""));
  assertEquals(listed(text.replace(item, ""), title).length, count - 1);
  assertEquals(listed(text.replace(item, `${item}\n${item}`), title).length, count + 1);
});

test("each rule has a name of its own, which is a sentence", () => {
  const names = Object.values(conformance).flat().map(({ name }) => name);
  assertEquals(new Set(names).size, names.length);
  assertEquals(names.filter((name) => !/^[`"A-Z].*\.$/.test(name)), []);
});

/** The items of a section, each on one line. */
function listed(text: string, title: string): string[] {
  return sectionOf(text, title, DOCUMENT).split(/^- /m).slice(1).map((item) => item.replace(/\s+/g, " ").trim());
}
