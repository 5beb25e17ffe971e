/**
 * What the program writes, to a terminal, a file, or a reader that may go away at any time.
 *
 * @module
 */

import type { Writable } from "node:stream";

/** Errors of a pipe or socket that nobody reads any more; `EOF` on Windows. */
const GONE: ReadonlySet<unknown> = new Set(["EPIPE", "EOF", "ECONNRESET"]);

/** Standard output, or that for errors. */
export class Output {
  readonly #stream: Writable;
  readonly #written: Promise<void>[] = [];
  #error: Error | undefined;

  constructor(stream: Writable) {
    this.#stream = stream;
    // The callbacks of what is written tell; without a listener an error ends the process as well.
    stream.on("error", () => {});
  }

  /** Never throws: {@linkcode end} tells. */
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
          // Deno, of a file.
          done(error);
        }
      }),
    );
  }

  /** Resolves when all is written or can not be: then with the reason, unless its reader has had enough. */
  async end(): Promise<Error | undefined> {
    await Promise.all(this.#written);
    return GONE.has((this.#error as { readonly code?: unknown } | undefined)?.code) ? undefined : this.#error;
  }
}
