/**
 * Unknown nodes: nodes outside the mesh that sent an ack or were heard on another interface.
 *
 * @module
 */

import type { Diagnosis, NetworkInterface, Report } from "../mod.ts";
import { groupLiteral } from "../src/net/address_family.ts";
import type { Heard } from "./listen.ts";
import type { ScanAck } from "./network_scan.ts";

/**
 * Largest number of unknown nodes that are kept, and of those beyond that are counted: forged nodes fill neither memory
 * nor report.
 */
const MOST_KEPT = 64;
const MOST_COUNTED = 65_536;
/** Range of heartbeat intervals that a mesh can have, in milliseconds. */
const HEARTBEAT = { min: 10, max: 3_600_000 };

/** A node that is not part of the mesh. */
export interface UnknownNode {
  readonly id: string;
  /** The source address of its ack, `host:port`. */
  readonly address: string;
  /** The interface of this host at which its ack arrived. */
  readonly interface: string;
  /** Whether the mesh uses that interface. */
  readonly isOnMesh: boolean;
  readonly port: number;
  readonly group: string;
  /** Milliseconds; null when it sends no acks, as a Go node. */
  readonly heartbeat: number | null;
  readonly multicast: boolean;
}

/** Collects unknown nodes, each once. */
export class UnknownNodes {
  readonly #diagnosis: Pick<Diagnosis, "node" | "interfaces">;
  readonly #known: ReadonlySet<string>;
  readonly #kept = new Map<string, UnknownNode>();
  readonly #others = new Set<string>();

  /** `known` holds the ids of the node itself and of all its peers; ids that are added later count too. */
  constructor(diagnosis: Pick<Diagnosis, "node" | "interfaces">, known: ReadonlySet<string>) {
    this.#diagnosis = diagnosis;
    this.#known = known;
  }

  /** The first 64 unknown nodes. */
  get list(): readonly UnknownNode[] {
    return [...this.#kept.values()].filter(({ id }) => !this.#known.has(id));
  }

  /** Number of further unknown nodes, as far as they were counted. */
  get more(): number {
    return this.#others.size;
  }

  /** Records a node that has sent an ack, preferably at an interface of the mesh. */
  acked({ id, host, port, report, probe: { from } }: ScanAck): void {
    const isOnMesh = isUsed(from, this.#diagnosis.interfaces);
    if (!isSound(report) || (this.#kept.has(id) && !isOnMesh)) return;
    const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    const { port: meshPort, group, heartbeat, multicast } = report;
    this.#note({ id, address, interface: from.name, isOnMesh, port: meshPort, group, heartbeat, multicast });
  }

  /** Records a node that was heard on another interface, in the group of the mesh, and sends no acks. */
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

  #note(unknownNode: UnknownNode): void {
    const { id } = unknownNode;
    if (this.#known.has(id)) return;
    if (this.#kept.has(id) || this.#kept.size < MOST_KEPT) this.#kept.set(id, unknownNode);
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
