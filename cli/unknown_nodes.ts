/**
 * Nodes that are none of the mesh's: who has answered, or was heard elsewhere.
 *
 * @module
 */

import type { Diagnosis, NetworkInterface, Report } from "../mod.ts";
import { groupLiteral } from "../src/net/address_family.ts";
import type { Heard } from "./listen.ts";
import type { Answer } from "./network_scan.ts";

/** Strangers that are kept, and those of the others that are counted: whoever invents nodes fills no memory, and no report. */
const MOST_KEPT = 64;
const MOST_COUNTED = 65_536;
/** Heartbeats that a mesh can have, in milliseconds. */
const HEARTBEAT = { min: 10, max: 3_600_000 };

/** A node that is none of the mesh's. */
export interface Stranger {
  readonly id: string;
  /** Where it answered from, `host:port`. */
  readonly address: string;
  /** The interface of this host at which its answer came in. */
  readonly interface: string;
  /** Whether the mesh uses that interface. */
  readonly isOnMesh: boolean;
  readonly port: number;
  readonly group: string;
  /** Milliseconds; null when it answers nothing, as a Go node. */
  readonly heartbeat: number | null;
  readonly multicast: boolean;
}

/** Gathers them, each once. */
export class Strangers {
  readonly #diagnosis: Pick<Diagnosis, "node" | "interfaces">;
  readonly #known: ReadonlySet<string>;
  readonly #kept = new Map<string, Stranger>();
  readonly #others = new Set<string>();

  /** `known` are the node itself and all that it has known, also those that are added while it gathers. */
  constructor(diagnosis: Pick<Diagnosis, "node" | "interfaces">, known: ReadonlySet<string>) {
    this.#diagnosis = diagnosis;
    this.#known = known;
  }

  /** The first 64. */
  get list(): readonly Stranger[] {
    return [...this.#kept.values()].filter(({ id }) => !this.#known.has(id));
  }

  /** How many there are besides, as far as they were counted. */
  get more(): number {
    return this.#others.size;
  }

  /** Notes who has answered, rather where the mesh is. */
  answered({ id, host, port, report, question: { from } }: Answer): void {
    const isOnMesh = isUsed(from, this.#diagnosis.interfaces);
    if (!isSound(report) || (this.#kept.has(id) && !isOnMesh)) return;
    const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    const { port: meshPort, group, heartbeat, multicast } = report;
    this.#note({ id, address, interface: from.name, isOnMesh, port: meshPort, group, heartbeat, multicast });
  }

  /** Notes who was heard on another interface, in the group of the mesh, and has answered nothing. */
  heard({ id, host, port, from }: Heard): void {
    const { group, port: meshPort } = this.#diagnosis.node;
    this.#note({
      id,
      address: `${host}:${port}`,
      interface: from.name,
      isOnMesh: false,
      port: meshPort,
      group,
      heartbeat: null,
      multicast: true,
    });
  }

  #note(stranger: Stranger): void {
    const { id } = stranger;
    if (this.#known.has(id)) return;
    if (this.#kept.has(id) || this.#kept.size < MOST_KEPT) this.#kept.set(id, stranger);
    else if (this.#others.size < MOST_COUNTED) this.#others.add(id);
  }
}

/** Whether the mesh uses an interface. */
export function isUsed({ name, address }: NetworkInterface, interfaces: Diagnosis["interfaces"]): boolean {
  return interfaces.some((one) => one.name === name || one.address === address);
}

/** Whether a mesh can have these options. */
function isSound({ port, group, heartbeat }: Report): boolean {
  return port !== 0 && heartbeat >= HEARTBEAT.min && heartbeat <= HEARTBEAT.max &&
    groupLiteral(group, group.includes(":") ? 6 : 4) !== undefined;
}
