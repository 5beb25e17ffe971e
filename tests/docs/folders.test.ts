// Folders: each folder of the code has a page that explains it, and each file explains itself in its first sentence.
import { existsSync } from "node:fs";
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import { filesUnder } from "../../scripts/runtimes.ts";
import { read, url } from "./documents.ts";

const FOLDERS = ["platform", "wire", "net", "pubsub", "discovery", "membership", "reliability", "observability"];
/** Folders whose part of the protocol has a section in docs/wire.md, and is kin to one with a paper or an RFC. */
const OF_THE_PROTOCOL = FOLDERS.filter((folder) => folder !== "platform");
/** Folders of code, each file of which explains itself. */
const OF_CODE = ["src", "adapters", "cli", "conformance", "bench", "scripts", "examples"];

describe("folders", () => {
  for (const folder of FOLDERS) {
    test(`src/${folder} has a page that explains it`, () => {
      const path = `src/${folder}/README.md`;
      assert(existsSync(url(path)), `${path} is missing`);
      const page = read(path);
      assertGreater(page.split("\n").length, 8);
      assertLessOrEqual(page.split("\n").length, 60);
      if (OF_THE_PROTOCOL.includes(folder)) assertEquals(lacksOf(page), []);
    });
  }

  test("whose page lacks a section of docs/wire.md or its kin are found", () => {
    assertEquals(lacksOf("[Numbers](../../docs/wire.md#numbers). Kin: NORM (RFC 5740)."), []);
    assertEquals(lacksOf("[Numbers](../../docs/wire.md). Kin: nothing."), [
      "it points to no section of docs/wire.md",
      "it names nothing that it is kin to",
    ]);
    assertEquals(lacksOf("[Numbers](../../docs/wire.md#numbers). RFC 5740."), ["it names nothing that it is kin to"]);
  });

  test("in the list are those that exist", () => {
    const there = new Set(
      filesUnder("src", ".ts").map((file) => file.split("/")).filter((parts) => parts.length > 2)
        .map(([, folder = ""]) => folder),
    );
    assertEquals([...there].sort(), [...FOLDERS].sort());
  });
});

describe("files", () => {
  for (const folder of OF_CODE) {
    test(`of ${folder} begin with a sentence that names what they are`, () => {
      const files = filesUnder(folder, ".ts");
      assertGreater(files.length, 8);
      assertEquals(files.filter((file) => !opening(read(file)).endsWith(".")), []);
    });
  }

  test("without such a sentence are found", () => {
    assertEquals(opening("import { a } from './a.ts';\n"), "");
    assertEquals(opening("/**\n * @module\n */\n"), "");
    assertEquals(opening("/** A function: of a page. */\n\n/**\n * A page: of two lines.\n *\n * @module\n */\n"), "");
    assertEquals(opening("#!/usr/bin/env node\n/**\n * A program.\n *\n * @module\n */\n"), "A program.");
    assertEquals(opening("/**\n * A page: of\n * two lines.\n *\n * @module\n */\n"), "A page: of two lines.");
  });
});

/** What the page of a folder of the protocol lacks. */
function lacksOf(page: string): string[] {
  const lacks: string[] = [];
  if (!page.includes("](../../docs/wire.md#")) lacks.push("it points to no section of docs/wire.md");
  if (!/\bkin\b/i.test(page) || !/\bRFC \d{3,4}\b/.test(page)) lacks.push("it names nothing that it is kin to");
  return lacks;
}

/** The first paragraph of the comment that describes the module. */
function opening(text: string): string {
  const [, comment = ""] = /^(?:#!.*\n)?\/\*\*\n([^]*?)\*\//.exec(text) ?? [];
  if (!comment.includes("@module")) return "";
  const lines = comment.split("\n").map((line) => line.replace(/^ \* ?/, ""));
  const end = lines.findIndex((line) => line.trim() === "" || line.startsWith("@"));
  return lines.slice(0, end).join(" ").trim();
}
