/**
 * User program: a program as a user would write it, which imports only the package. It has two nodes, and sends a key
 * from one to the other. Its argument is the options as JSON. It prints what has happened as JSON.
 *
 * @module
 */

import { MeshOpenError, type MeshOptions, openMesh } from "../../mod.ts";

/** What the program prints. */
export interface Outcome {
  /** Keys that have arrived. */
  readonly keys: readonly string[];
  readonly address: string;
  /** Types of the events, in order, with the adapter or the stage where there is one. */
  readonly events: readonly string[];
}

/** The output when the mesh cannot be opened. */
export interface Refusal {
  readonly refused: string;
  readonly option: unknown;
}

const { Deno } = globalThis as { readonly Deno?: { readonly args: readonly string[] } };
const options = JSON.parse(Deno?.args[0] ?? "{}") as MeshOptions;

async function run(): Promise<Outcome> {
  const events: string[] = [];
  const a = await openMesh({ interface: "127.0.0.1", port: 0, ...options });
  try {
    const joined = new Promise<void>((resolve) => {
      a.events.listen((event) => {
        const detail = "adapter" in event ? event.adapter : "stage" in event ? event.stage : undefined;
        events.push(detail === undefined ? event.type : `${event.type} ${detail}`);
        if (event.type === "peerJoined") resolve();
      });
    });
    // A node that advertises no host is reached on this one.
    const seed = a.address.replace("0.0.0.0", "127.0.0.1");
    const b = await openMesh({ interface: "127.0.0.1", ...options, port: a.port, peers: [seed] });
    try {
      const subscription = b.subscribe("user:42");
      await joined;
      await a.publish("user:42");
      for await (const event of subscription) return { keys: [event.key], address: a.address, events };
      throw new Error("The subscription has ended");
    } finally {
      await b.close();
    }
  } finally {
    await a.close();
  }
}

try {
  console.log(JSON.stringify(await run()));
} catch (error) {
  if (!(error instanceof MeshOpenError)) throw error;
  console.log(JSON.stringify({ refused: error.message, option: error.option }));
}
