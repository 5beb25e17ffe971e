/**
 * File store: the store that the replicas of the demo share.
 *
 * @module
 */

import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * The store that all replicas share: a folder with one file for each key. It needs no server and is the same on Node,
 * Deno and Bun, which SQLite is not (Node 20 has none).
 */
export class FileStore {
  readonly #folder: string;
  #writes = 0;

  /** `folder` must be there. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The value of `key`; undefined when it has none. */
  async read(key: string): Promise<string | undefined> {
    try {
      return await readFile(this.#file(key), "utf8");
    } catch (error) {
      if ((error as { readonly code?: unknown }).code === "ENOENT") return undefined;
      throw error;
    }
  }

  /** Sets the value of `key`. Others see the old value or the new one, never a part: a rename is atomic. */
  async write(key: string, value: string): Promise<void> {
    const temporary = `${this.#file(key)}.${process.pid}.${++this.#writes}`;
    await writeFile(temporary, value);
    await rename(temporary, this.#file(key));
  }

  #file(key: string): string {
    return join(this.#folder, encodeURIComponent(key));
  }
}
