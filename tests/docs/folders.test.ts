// Folders: each folder of the code has a page that explains it, and each file explains itself in its first sentence.
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import { filesUnder } from "../../scripts/runtimes.ts";

const ROOT = new URL("../../", import.meta.url);
const FOLDERS = ["platform", "wire", "net", "pubsub", "discovery", "membership", "reliability", "observability"];
/** Folders whose protocol has a section in docs/wire.md, and is kin to one with a paper or an RFC. */
const OF_THE_PROTOCOL = ["wire", "net", "membership", "reliability"];

describe("folders", () => {
  for (const folder of FOLDERS) {
    test(`src/${folder} has a page that explains it`, () => {
      const page = read(`src/${folder}/README.md`);
      assertGreater(page.split("\n").length, 8);
      assertLessOrEqual(page.split("\n").length, 60);
      if (!OF_THE_PROTOCOL.includes(folder)) return;
      assert(page.includes("](../../docs/wire.md#"), "it points to its section of docs/wire.md");
      assert(/RFC \d{4}|SWIM|AIMD/.test(page), "it names what it is kin to");
    });
  }

  test("in the list are those that exist", () => {
    const there = new Set(
      filesUnder("src", ".ts").map((file) => file.split("/")).filter((parts) => parts.length > 2)
        .map(([, folder = ""]) => folder),
    );
    assertEquals([...there].sort(), [...FOLDERS].sort());
  });
});

describe("files", () => {
  test("of src begin with a sentence that names what they are", () => {
    const without = filesUnder("src", ".ts").filter((file) => !opening(read(file)).endsWith("."));
    assertEquals(without, []);
  });

  test("without such a sentence are found", () => {
    assertEquals(opening("import { a } from './a.ts';\n"), "");
    assertEquals(opening("/**\n * @module\n */\n"), "");
    assertEquals(opening("/**\n * A page: of\n * two lines.\n *\n * @module\n */\n"), "A page: of two lines.");
  });
});

/** The first paragraph of the comment that describes the module. */
function opening(text: string): string {
  const [, comment = ""] = /^\/\*\*\n([^]*?)\*\//.exec(text) ?? [];
  if (!comment.includes("@module")) return "";
  const lines = comment.split("\n").map((line) => line.replace(/^ \* ?/, ""));
  const end = lines.findIndex((line) => line.trim() === "" || line.startsWith("@"));
  return lines.slice(0, end).join(" ").trim();
}

function read(path: string): string {
  const url = new URL(path, ROOT);
  return existsSync(url) ? readFileSync(url, "utf8") : "";
}
