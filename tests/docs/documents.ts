/**
 * Documents: which there are, and how tests read them and the code that they describe.
 *
 * @module
 */

import { assert } from "@std/assert";
import { readFileSync } from "node:fs";
import { filesUnder } from "../../scripts/runtimes.ts";

/** The documents. */
export const DOCUMENTS: readonly string[] = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  "SECURITY.md",
  ...filesUnder("docs", ".md"),
];
/** The pages of folders, for developers. */
export const PAGES: readonly string[] = ["adapters", "bench", "cli", "examples", "scripts", "src"]
  .flatMap((folder) => filesUnder(folder, "README.md"));
/** The documents that use public names. */
export const FOR_USERS: readonly string[] = [
  "README.md",
  ...filesUnder("docs", ".md").filter((path) => !/architecture|wire/.test(path)),
];

/** The address of a file of the project. */
export function url(path: string): URL {
  return new URL(`../../${path}`, import.meta.url);
}

/** The text of a file of the project. */
export function read(path: string): string {
  return readFileSync(url(path), "utf8");
}

/**
 * The anchors that GitHub, npm and JSR make of headings: without punctuation, in small letters, with hyphens for
 * spaces.
 */
export function anchors(text: string): string[] {
  return matches(withoutBlocks(text), /^#+ (.*)$/gm).map((title) =>
    title.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
  );
}

/** The first group of each match. */
export function matches(text: string, pattern: RegExp): string[] {
  return Array.from(text.matchAll(pattern), ([, group = ""]) => group);
}

/** A document without its blocks of code. */
export function withoutBlocks(text: string): string {
  return text.replaceAll(/^( *)```.*?^\1```$/gms, "");
}

/** What stands in code marks, outside of blocks. */
export function spansOf(text: string): string[] {
  return matches(withoutBlocks(text), /`([^`]+)`/g).map((span) => span.replaceAll(/\s+/g, " "));
}

/** What stands in code marks, and the targets of links, in the comments of a file. */
export function spansOfComments(code: string): string[] {
  const comments = (code.match(/\/\*\*[^]*?\*\/|^ *\/\/.*$/gm) ?? []).map((comment) =>
    comment.replaceAll(/^ *(?:\*|\/\/) ?/gm, "")
  );
  return comments.flatMap((comment) => [
    ...spansOf(comment),
    ...matches(comment, /\{@link(?:code|plain)? ([^}|]+)/g),
  ]);
}

/** The text of a section, with the sections under it. Without a title, the whole text. */
export function sectionOf(text: string, title: string | undefined, document: string): string {
  if (title === undefined) return text;
  const [, marks = "", after] = new RegExp(`^(#+) ${title}\n([^]*)`, "m").exec(text) ?? [];
  assert(after !== undefined, `${document} has no section "${title}"`);
  return after.split(new RegExp(`^#{1,${marks.length}} `, "m"))[0] ?? "";
}

/** The cells of a row. A vertical bar in code does not separate them. */
export function cells(row: string): string[] {
  return row.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim().replace(/^`(.*)`$/, "$1"));
}

/** The names of an interface's fields. */
export function membersOf(path: string, name: string): string[] {
  const [, text] = new RegExp(`^export interface ${name} .*?{\n(.*?)^}`, "ms").exec(read(path)) ?? [];
  assert(text !== undefined, `${path} has no interface ${name}`);
  return matches(text, /^ {2}readonly (\w+)\??:/gm);
}

/** The texts of a union. */
export function unionOf(path: string, name: string): string[] {
  const code = withoutComments(read(path));
  const [, text] = new RegExp(`^export type ${name} =([^;]*);`, "m").exec(code) ?? [];
  assert(text !== undefined, `${path} has no type ${name}`);
  return matches(text, /"([\w-]+)"/g);
}

/** The code alone. */
export function withoutComments(code: string): string {
  return code.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");
}
