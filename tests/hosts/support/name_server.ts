/**
 * A name server on one of the hosts of a test: `dns_server.ts` is the program.
 *
 * @module
 */

import { type Program, startProgram } from "../../support/programs.ts";
import type { Question, Records, Settings } from "./dns_server.ts";
import type { Host } from "./netns.ts";

interface Line {
  readonly applied?: true;
  readonly question?: Question;
}

/** A name server whose records can be changed while it runs. */
export class NameServer {
  readonly #program: Program;
  #settings: Settings = { records: {}, fails: false, silent: [] };
  #commands = 0;

  constructor(program: Program) {
    this.#program = program;
  }

  /** The queries so far. */
  questions(): readonly Question[] {
    return this.#program.lines.flatMap((text) => (JSON.parse(text) as Line).question ?? []);
  }

  /** Resolves when it runs. */
  async started(): Promise<void> {
    await this.#applied();
  }

  /** Adds records, or changes those of names; resolves when they are in force. */
  async set(records: Records): Promise<void> {
    await this.#apply({ ...this.#settings, records: { ...this.#settings.records, ...records } });
  }

  /** Makes it fail, or work again; resolves when it does. */
  async fail(fails: boolean): Promise<void> {
    await this.#apply({ ...this.#settings, fails });
  }

  /** Makes it ignore queries for these names; resolves when it does. */
  async silence(...silent: readonly string[]): Promise<void> {
    await this.#apply({ ...this.#settings, silent });
  }

  async #apply(settings: Settings): Promise<void> {
    this.#settings = settings;
    this.#program.write(JSON.stringify(settings));
    await this.#applied();
  }

  /** It prints a line when it has started, and one for each command. */
  async #applied(): Promise<void> {
    const wanted = ++this.#commands;
    let seen = 0;
    await this.#program.line((text) => {
      if ((JSON.parse(text) as Line).applied) seen++;
      return seen >= wanted ? true : undefined;
    }, "an answer");
  }
}

/** The search domain of clients. */
export const SEARCH = "mesh.test";

/** Runs `body` with a name server on `host`, which all of `clients` use from then on, and ends it. */
export async function withNameServer(
  host: Host,
  clients: readonly Host[],
  body: (server: NameServer) => Promise<void>,
): Promise<void> {
  for (const client of clients) client.resolveBy(host.addresses[0] ?? "", SEARCH);
  const program = startProgram("node", "tests/hosts/support/dns_server.ts", { within: host.within });
  try {
    const server = new NameServer(program);
    await server.started();
    await body(server);
  } finally {
    await program.kill();
  }
}
