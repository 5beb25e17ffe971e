/**
 * Opens two nodes in the namespace that it runs in, changes the host, and prints what became of the first: a line of JSON,
 * {@linkcode ShapeResult}. Its argument is a {@linkcode ShapeTask} as JSON.
 */

import { execFileSync } from "node:child_process";
import { writeSync } from "node:fs";
import process from "node:process";
import { delay } from "@std/async";
import { networkInterfaces } from "../../../adapters/system.ts";
import { type MeshBus, type MeshEvent, type MeshOptions, openMesh } from "../../../mod.ts";
import { LocalAddresses } from "../../../src/net/interfaces.ts";

/** What is to be done. */
export interface ShapeTask {
  readonly options: MeshOptions;
  /** A shell script that changes the host once the two know each other, or at once if they can not. */
  readonly change?: string;
  /** The last type of event that the change makes. */
  readonly until?: MeshEvent["type"];
  /** Addresses of which a node that was heard from 10.99.99.99 may say that it is there, or may not. */
  readonly places?: readonly string[];
}

/** What became of the first node; `error` alone when it could not be opened. */
export interface ShapeResult {
  /** Messages of what it rejected with and of the causes. */
  readonly error?: string;
  /** The hosts that it advertised, the first first. */
  readonly hosts: readonly string[];
  /** The interfaces that it uses in the end, and whether what it sends to the group comes back from there. */
  readonly interfaces: readonly (readonly [name: string | null, address: string, isHeard: boolean | null])[];
  /** Whether the other one is heard by the group, and hears it. */
  readonly multicast: { readonly in: boolean | null; readonly out: boolean | null } | undefined;
  readonly findings: readonly string[];
  /** Types of its events, with the name of the interface if it is about one. */
  readonly events: readonly string[];
  /** Those of the places where a node may be. */
  readonly places: readonly string[];
}

const { options, change, until, places = [] } = JSON.parse(process.argv[2] ?? "{}") as ShapeTask;
/** Longest wait for the other one, in milliseconds: a busy machine takes its time. */
const PATIENCE = 30_000;
const STRANGER = { host: "10.99.99.99", port: 7946 };

async function run(): Promise<ShapeResult | { readonly error: string }> {
  let first: MeshBus;
  try {
    first = await openMesh({ heartbeat: 500, ...options });
  } catch (error) {
    const { message, cause } = error as Error;
    return { error: `${message} | ${(cause as Error | undefined)?.message}` };
  }
  const second = await openMesh({ heartbeat: 500, ...options });
  const events: MeshEvent[] = [];
  const waits = new Set<() => void>();
  first.events.listen((event) => {
    events.push(event);
    for (const look of waits) look();
  });
  const happened = (type: MeshEvent["type"]) =>
    new Promise<void>((resolve) => {
      const look = () => events.some((event) => event.type === type) && resolve();
      waits.add(look);
      look();
    });
  const hosts = [hostOf(first)];
  if (until !== "peerJoined") await happened("peerJoined");
  if (change !== undefined) execFileSync("sh", ["-e", "-c", change]);
  if (until !== undefined) await happened(until);
  if (hosts[0] !== hostOf(first)) hosts.push(hostOf(first));
  // The other one notices at a look of its own, one a second: it is asked until it has. Until then it may answer at once.
  const end = performance.now() + PATIENCE;
  let diagnosis = await first.diagnose();
  while (!diagnosis.peers.some(({ multicast }) => multicast.in && multicast.out) && performance.now() < end) {
    await delay(50);
    diagnosis = await first.diagnose();
  }
  const local = new LocalAddresses(networkInterfaces());
  const result: ShapeResult = {
    hosts,
    interfaces: diagnosis.interfaces.map(({ name, address, returned }) => [name, address, returned]),
    multicast: diagnosis.peers[0]?.multicast,
    findings: diagnosis.findings.map(({ code }) => code),
    events: events.map((event) => "name" in event ? `${event.type} ${event.name}` : event.type),
    places: places.filter((place) => local.mayBeAt(place, STRANGER)),
  };
  await Promise.all([first.close(), second.close()]);
  return result;
}

function hostOf({ address }: MeshBus): string {
  return address.slice(0, address.lastIndexOf(":"));
}

writeSync(1, `${JSON.stringify(await run())}\n`);
process.exit(0);
