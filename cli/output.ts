/**
 * Output: writes to a terminal, file or pipe whose reader may close it at any time.
 *
 * @module
 */

import type { Writable } from "node:stream";
import { codeOf } from "../src/platform/error_message.ts";

/** Error codes of a pipe or socket whose reader has closed it; `EOF` on Windows. */
const GONE: ReadonlySet<unknown> = new Set(["EPIPE", "EOF", "ECONNRESET"]);

/** Standard output or standard error. */
export class Output {
  readonly #stream: Writable;
  readonly #written: Promise<void>[] = [];
  #error: Error | undefined;

  constructor(stream: Writable) {
    this.#stream = stream;
    // The callbacks of the writes report errors. Without a listener an error would also end the process.
    stream.on("error", () => {});
  }

  /** Never throws: {@linkcode end} reports errors. */
  write(text: string): void {
    this.#written.push(
      new Promise((resolve) => {
        const done = (error: unknown) => {
          if (error instanceof Error) this.#error ??= error;
          resolve();
        };
        try {
          this.#stream.write(text, done);
        } catch (error) {
          // Deno throws for a file.
          done(error);
        }
      }),
    );
  }

  /** Resolves when all is written, or with the error, unless the reader has closed its end. */
  async end(): Promise<Error | undefined> {
    await Promise.all(this.#written);
    return GONE.has(codeOf(this.#error)) ? undefined : this.#error;
  }
}
