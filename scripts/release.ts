/**
 * Prints the notes of a release, or the reason why there must be none: `npm run release -- v0.1.0`.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { releaseNotes } from "./release_notes.ts";
import { ROOT } from "./runtimes.ts";

const read = (file: string) => readFileSync(join(ROOT, file), "utf8");
const versionIn = (file: string) => `${JSON.parse(read(file)).version}`;

try {
  process.stdout.write(releaseNotes({
    tag: process.argv[2] ?? "",
    npmVersion: versionIn("package.json"),
    jsrVersion: versionIn("jsr.json"),
    changelog: read("CHANGELOG.md"),
    readme: read("README.md"),
  }));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
