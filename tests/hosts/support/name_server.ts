/**
 * A name server on one of the hosts of a test: `dns_server.ts` is the program.
 *
 * @module
 */

import { type Program, startProgram } from "../../support/programs.ts";
import type { Question, Records, Told } from "./dns_server.ts";
import type { Host } from "./netns.ts";

interface Line {
  readonly told?: true;
  readonly question?: Question;
}

/** A name server whose records can be changed while it runs. */
export class NameServer {
  readonly #program: Program;
  #told: Told = { records: {}, fails: false, silent: [] };
  #tells = 0;

  constructor(program: Program) {
    this.#program = program;
  }

  /** The queries so far. */
  questions(): readonly Question[] {
    return this.#program.lines.flatMap((text) => (JSON.parse(text) as Line).question ?? []);
  }

  /** Resolves when it runs. */
  async started(): Promise<void> {
    await this.#heeded();
  }

  /** Adds records, or changes those of names; resolves when they are in force. */
  async set(records: Records): Promise<void> {
    await this.#tell({ ...this.#told, records: { ...this.#told.records, ...records } });
  }

  /** Makes it fail, or work again; resolves when it does. */
  async fail(fails: boolean): Promise<void> {
    await this.#tell({ ...this.#told, fails });
  }

  /** Makes it ignore queries for these names; resolves when it does. */
  async silence(...silent: readonly string[]): Promise<void> {
    await this.#tell({ ...this.#told, silent });
  }

  async #tell(told: Told): Promise<void> {
    this.#told = told;
    this.#program.write(JSON.stringify(told));
    await this.#heeded();
  }

  /** It prints a line when it has started, and one for each command. */
  async #heeded(): Promise<void> {
    const wanted = ++this.#tells;
    let seen = 0;
    await this.#program.line((text) => {
      if ((JSON.parse(text) as Line).told) seen++;
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
