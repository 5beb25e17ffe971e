/**
 * Loads test files, named as arguments, one after the other: `node --test` starts a process for each, and `deno test` a
 * worker, which takes longer than most of them.
 *
 * @module
 */

import process from "node:process";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

for (const file of process.argv.slice(2)) {
  try {
    await import(pathToFileURL(file).href);
  } catch (error) {
    test(`${file} can be loaded`, () => {
      throw error;
    });
  }
}
