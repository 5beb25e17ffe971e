/**
 * Opens two nodes in the namespace that it runs in, changes the host, and prints the state of the first: a line of
 * JSON, {@linkcode ShapeResult}. Its argument is a {@linkcode ShapeTask} as JSON.
 */

import { execFileSync } from "node:child_process";
import { writeSync } from "node:fs";
import process from "node:process";
import { delay } from "@std/async";
import { networkInterfaces } from "../../../adapters/system.ts";
import { type MeshBus, type MeshEvent, type MeshOptions, openMesh } from "../../../mod.ts";
import { LocalAddresses } from "../../../src/net/interfaces.ts";

/** The task. */
export interface ShapeTask {
  readonly options: MeshOptions;
  /** A shell script that changes the host once the two nodes know each other, or at once if they cannot. */
  readonly change?: string;
  /** The last type of event that the change causes. */
  readonly until?: MeshEvent["type"];
  /** Addresses that a node which is heard from 10.99.99.99 may advertise, or may not. */
  readonly places?: readonly string[];
}

/** The state of the first node; `error` alone when it could not be opened. */
export interface ShapeResult {
  /** Messages of its error and of the causes. */
  readonly error?: string;
  /** The hosts that it advertised, in order. */
  readonly hosts: readonly string[];
  /** The interfaces that it uses in the end, and whether its datagrams to the group loop back there. */
  readonly interfaces: readonly (readonly [name: string | null, address: string, isHeard: boolean | null])[];
  /** Whether the other node is heard by the group, and hears it. */
  readonly multicast: { readonly in: boolean | null; readonly out: boolean | null } | undefined;
  readonly findings: readonly string[];
  /** Types of its events, with the name of the interface if it is about one. */
  readonly events: readonly string[];
  /** Those of the places where a node may be. */
  readonly places: readonly string[];
}

const { options, change, until, places = [] } = JSON.parse(process.argv[2] ?? "{}") as ShapeTask;
/** Longest wait for the other node, in milliseconds, on a busy machine. */
const PATIENCE = 30_000;
const UNKNOWN_NODE = { host: "10.99.99.99", port: 7946 };

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
  // The other node detects it when it next checks, once a second: until then it may respond to probes at once,
  // so the diagnosis is repeated.
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
    places: places.filter((place) => local.mayBeAt(place, UNKNOWN_NODE)),
  };
  await Promise.all([first.close(), second.close()]);
  return result;
}

function hostOf({ address }: MeshBus): string {
  return address.slice(0, address.lastIndexOf(":"));
}

writeSync(1, `${JSON.stringify(await run())}\n`);
process.exit(0);
