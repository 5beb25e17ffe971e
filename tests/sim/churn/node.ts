/**
 * A node of a churn world: one process, and the peers that it knows by its events.
 *
 * @module
 */

import type { MemoryHost } from "../../../adapters/memory.ts";
import type { MeshBus } from "../../../mod.ts";

/** A stretch of time, in milliseconds. */
export interface Span {
  readonly from: number;
  to: number;
}

/** A restart on the same host is another node. */
export class ChurnNode {
  readonly index: number;
  readonly host: MemoryHost;
  readonly mesh: MeshBus;
  readonly openedAt: number;
  /** Peers by id, and when they joined, in milliseconds: those that have not left since. */
  readonly known: Map<string, number> = new Map();
  /** Its stalls. The last has no end as long as it lasts. */
  readonly stalls: Span[] = [];
  /** When its host got another address. */
  movedAt: number = -Infinity;
  state: "running" | "closed" | "crashed" = "running";
  /** When `close` was called, or when it crashed. */
  departedAt: number = Infinity;
  /** Whether no node may know it any more. */
  isForgotten = false;

  constructor(index: number, host: MemoryHost, mesh: MeshBus, openedAt: number) {
    this.index = index;
    this.host = host;
    this.mesh = mesh;
    this.openedAt = openedAt;
  }

  get id(): string {
    return this.mesh.nodeId;
  }

  get isRunning(): boolean {
    return this.state === "running";
  }

  get isPaused(): boolean {
    return this.host.state === "paused";
  }

  /** For how long it was stalled between two moments, in milliseconds. */
  stalledIn(from: number, to: number): number {
    return this.stalls.reduce((sum, stall) => sum + overlap(stall, from, to), 0);
  }
}

/** How much of a stretch of time lies between two moments, in milliseconds; 0 when nothing does. */
export function overlap(span: Span, from: number, to: number): number {
  return Math.max(0, Math.min(span.to, to) - Math.max(span.from, from));
}
