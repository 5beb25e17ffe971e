// The table of timers in `docs/architecture.md`: it names each file of src that sets a timer, and no other.
import { assert, assertEquals } from "@std/assert";
import { describe, test } from "node:test";
import { filesUnder } from "../../scripts/runtimes.ts";
import { matches, read, withoutComments } from "./documents.ts";

const ARCHITECTURE = "docs/architecture.md";

describe("the table of timers", () => {
  test(`names each file that sets a timer, in ${ARCHITECTURE}`, () => {
    const files = new Map(filesUnder("src", ".ts").map((file) => [file.slice("src/".length), read(file)]));
    assert(files.size > 80);
    assertEquals(faults(read(ARCHITECTURE), files), []);
  });

  test("has a fault when a file is missing, superfluous, or named twice", () => {
    const files = new Map([
      ["net/a.ts", "this.#timer = this.#config.clock.setTimer(() => {}, 5);"],
      ["net/b.ts", "const end = this.#clock?.setTurnEnd(next);"],
      ["net/c.ts", "// clock.setTimer( would be wrong here\nthis.#setTimer(at);"],
      ["platform/clock.ts", "setTimer(callback: () => void, delay: number): Timer;"],
    ]);
    const table = (...names: readonly string[]) =>
      [
        "## Timers",
        "",
        "| timer | file |",
        "| - | - |",
        ...names.map((name) => `| of x | \`${name}\` |`),
        "",
        "## Bounds",
      ]
        .join("\n");
    assertEquals(faults(table("net/a.ts", "net/b.ts"), files), []);
    assertEquals(faults(table("net/a.ts"), files), ["net/b.ts sets a timer that the table leaves out"]);
    assertEquals(faults(table("net/a.ts", "net/b.ts", "net/c.ts"), files), [
      "net/c.ts is in the table and sets no timer",
    ]);
    assertEquals(faults(table("net/a.ts", "net/b.ts", "net/b.ts"), files), ["net/b.ts is in the table twice"]);
    assertEquals(faults("## Bounds", files).length, 2);
  });
});

/** Describes the faults of the table for `files`, the texts of src by name. */
function faults(document: string, files: ReadonlyMap<string, string>): string[] {
  const [, section = ""] = /^## Timers\n(.*?)(?=^## |$(?![^]))/ms.exec(document) ?? [];
  const named = matches(section, /^\|[^|]*\| `([\w/]+\.ts)` +\|/gm);
  const setting = [...files].filter(([, text]) => setsTimer(text)).map(([file]) => file);
  return [
    ...setting.filter((file) => !named.includes(file)).map((file) => `${file} sets a timer that the table leaves out`),
    ...named.filter((file) => !setting.includes(file)).map((file) => `${file} is in the table and sets no timer`),
    ...named.filter((file, i) => named.indexOf(file) < i).map((file) => `${file} is in the table twice`),
  ];
}

function setsTimer(text: string): boolean {
  return /clock\??\.(?:setTimer|setTurnEnd)\(/.test(withoutComments(text));
}
