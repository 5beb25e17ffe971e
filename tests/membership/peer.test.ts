// The record of a peer: each of its parts has one writer, which its comment names.
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import { PeerEntry } from "../../src/membership/peer.ts";
import { idOf, nameOf, placeOf } from "../support/peers.ts";

/** A part of a record. */
interface Part {
  /** Its name in `PeerEntry`. */
  readonly name: string;
  readonly type: string;
  /** The file of the class or function that its comment names. */
  readonly writer: string | undefined;
  readonly body: string;
}

const ROOT = new URL("../../", import.meta.url);
const RECORD = "src/membership/peer.ts";

const texts = new Map(
  readdirSync(new URL("src", ROOT), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `src/${name.replaceAll("\\", "/")}`)
    .map((file) => [file, readFileSync(new URL(file, ROOT), "utf8")]),
);
const record = texts.get(RECORD) ?? "";
const parts: readonly Part[] = [...record.matchAll(/^ {2}readonly (\w+): Readonly<(\w+)>/gm)].map(
  ([, name = "", type = ""]) => {
    const pattern = new RegExp(`Writer: \`(\\w+)\`\\. \\*/\nexport class ${type} {\n([^]*?)\n}\n`);
    const [, writer = "", body = ""] = pattern.exec(record) ?? [];
    return { name, type, writer: fileOf(writer), body };
  },
);

describe("the parts of a record", () => {
  test("are found, and are all that changes in it", () => {
    assertEquals(parts.length, 9);
    const entry = new PeerEntry(nameOf(1), idOf(1), located(), placeOf(1), 0);
    const others = Object.keys(entry).filter((key) => !parts.some(({ name }) => name === key));
    assertEquals(others, ["id", "nodeId", "joinedAt"]);
  });

  for (const { name, writer, body } of parts) {
    test(`name their writer, and describe each field: \`${name}\``, () => {
      assertEquals(texts.has(writer ?? ""), true);
      const fields = [...body.matchAll(/(.*)\n {2}(?:readonly )?(\w+)(?:: [^(\n]+| = [^\n]+);/g)];
      assertEquals(fields.length > 0, true);
      assertEquals(fields.filter(([, before = ""]) => !before.endsWith("*/")).map(([, , field]) => field), []);
    });
  }

  test("are written by their writers alone", () => {
    assertEquals([...texts].flatMap(([file, text]) => breaches(file, text)), []);
  });

  test("written by another class are found", () => {
    const wrong: ReadonlyArray<readonly [file: string, code: string]> = [
      ["src/membership/peer_table.ts", "const liveness: LivenessState = entry.liveness;"],
      ["src/membership/membership.ts", 'import type { PathState } from "./peer.ts";'],
      ["src/reliability/reliability.ts", "(peer.multicast as MulticastState).hearsUs = true;"],
      ["src/membership/membership.ts", "entry.path.isValidated = true;"],
      ["src/membership/membership.ts", "entry.validation.challengesSent++;"],
      ["src/membership/membership.ts", "--entry.validation.challengesSent;"],
      ["src/membership/membership.ts", "entry.plain.isEstablished ||= true;"],
      ["src/observability/status.ts", "Object.assign(entry.joining, { isJoined: true });"],
    ];
    for (const [file, code] of wrong) assertEquals(breaches(file, code).length, 1, `${code} in ${file}`);
    const right: ReadonlyArray<readonly [file: string, code: string]> = [
      ["src/membership/failure_detector.ts", "const liveness: LivenessState = entry.liveness;"],
      ["src/membership/membership.ts", "if (entry.path.reachedAt === entry.liveness.heardAt) return;"],
      ["src/membership/membership.ts", "const isLate = entry.liveness.probes >= 4;"],
      ["src/membership/membership.ts", "// A `PathState` is the table's."],
    ];
    for (const [file, code] of right) assertEquals(breaches(file, code), [], `${code} in ${file}`);
  });
});

test("records have one shape, as a mesh may have a thousand", () => {
  const shape = (entry: object): unknown =>
    Object.entries(entry).map(([key, value]) => [key, parts.some(({ name }) => name === key) ? shape(value) : ""]);
  const [one, other] = [1, 2].map((index) => new PeerEntry(nameOf(index), idOf(index), located(), placeOf(index), 0));
  assertEquals(shape(one ?? {}), shape(other ?? {}));
});

/** Records show their parts read-only: only a writer names the type of its part. */
function breaches(file: string, text: string): string[] {
  const code = text.replace(/\/\*[^]*?\*\/|\/\/.*$/gm, "");
  const found = (pattern: RegExp) => [...code.matchAll(pattern)].map(([piece]) => `${file}: ${piece}`);
  return parts.flatMap(({ name, type, writer }) => [
    ...file === RECORD || file === writer ? [] : found(new RegExp(`\\b${type}\\b`, "g")),
    ...found(new RegExp(`\\.${name}\\.\\w+\\s*(?:[-+*/%&|?^<>]*=(?![=>])(?<![<>!]=)|\\+\\+|--)`, "g")),
    ...found(new RegExp(`(?:\\+\\+|--|delete )[\\w.]*\\.${name}\\.\\w+`, "g")),
    ...found(new RegExp(`Object\\.assign\\([\\w.]*\\.${name}\\b`, "g")),
  ]);
}

/** The file of a class or a function of the membership. */
function fileOf(name: string): string | undefined {
  const pattern = new RegExp(`^export (?:class|function) ${name}\\b`, "m");
  return [...texts].find(([file, text]) => file.startsWith("src/membership/") && pattern.test(text))?.[0];
}

function located() {
  return { address: "10.0.0.1:5000", endpoint: placeOf(1), bySource: false };
}
