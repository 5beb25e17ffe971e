/**
 * Diagnosed LAN: a simulated network whose nodes are diagnosed.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type MemoryHost, MemoryNetwork } from "../../adapters/memory.ts";
import {
  type Bind,
  type DiagnoseOptions,
  type Diagnosis,
  MeshBus,
  type MeshOptions,
  type MeshPorts,
} from "../../mod.ts";

export const HEARTBEAT: number = 1000;
export const A: string = "10.0.0.1";
export const B: string = "10.0.0.2";
export const C: string = "10.0.0.3";

/** Nodes on one network, and a clock that runs as long as they are waited for. */
export class Lan {
  readonly network: MemoryNetwork;
  readonly nodes: MeshBus[] = [];

  constructor(seed = 1) {
    this.network = new MemoryNetwork({ seed });
  }

  async open(address: string, options: MeshOptions = {}, ports: Partial<MeshPorts> = {}): Promise<MeshBus> {
    const host = this.network.host(address);
    const mesh = await MeshBus.open({ ...host, heartbeat: HEARTBEAT, ...options, ...ports });
    this.nodes.push(mesh);
    return mesh;
  }

  /** Three nodes, the first of which is diagnosed after so many heartbeats. */
  async three(options: MeshOptions = {}, heartbeats = 3): Promise<MeshBus> {
    const [first] = [await this.open(A, options), await this.open(B, options), await this.open(C, options)];
    await this.pass(heartbeats);
    return first;
  }

  async pass(heartbeats: number): Promise<void> {
    await this.network.clock.advance(heartbeats * HEARTBEAT);
  }

  async diagnose(mesh: MeshBus, options?: DiagnoseOptions): Promise<Diagnosis> {
    return await this.network.clock.run(mesh.diagnose(options), 61_000);
  }

  /** Runs the diagnosis of all of them at the same time. */
  async diagnoseAll(nodes: readonly MeshBus[], options?: DiagnoseOptions): Promise<readonly Diagnosis[]> {
    return await this.network.clock.run(Promise.all(nodes.map((mesh) => mesh.diagnose(options))), 61_000);
  }

  async close(): Promise<void> {
    await this.network.clock.run(Promise.all(this.nodes.map((mesh) => mesh.close())), 5000);
  }
}

export function withLan(body: (lan: Lan) => Promise<void>, seed?: number): () => Promise<void> {
  return async () => {
    const lan = new Lan(seed);
    await body(lan);
    await lan.close();
  };
}

/** Severities and codes, worst first. */
export function codesOf({ findings }: Diagnosis): readonly string[] {
  return findings.map(({ code, severity }) => `${severity} ${code}`);
}

export function assertCodes(diagnosis: Diagnosis, ...codes: readonly string[]): void {
  assertEquals(codesOf(diagnosis), codes, JSON.stringify(diagnosis, null, 1));
  assertEquals(diagnosis.ok, !codes.some((code) => code.startsWith("error")));
}

export function addressesOf(...nodes: readonly MeshBus[]): string {
  return nodes.map(({ address }) => address).sort().join(", ");
}

export function subjectOf({ findings }: Diagnosis, code: string): string {
  return findings.find((finding) => finding.code === code)?.subject.split(", ").sort().join(", ") ?? "";
}

/** Loses the datagrams in one direction that match. */
export function lose(
  { network }: Lan,
  from: string,
  to: string,
  is: (datagram: { readonly multicast: boolean; readonly port: number; readonly length: number }) => boolean,
): void {
  const drop = ({ data, multicast, to: { port } }: Parameters<NonNullable<Parameters<typeof network.tap>[0]>>[0]) =>
    is({ multicast, port, length: data.length });
  network.set({ drop: drop as never }, { from, to });
}

/** Ports whose sockets do not receive what `isLost` matches, or describe themselves differently. */
export function binding(
  host: MemoryHost,
  isLost: (from: string) => boolean,
  said: Readonly<Record<string, unknown>> = {},
): { readonly bind: Bind } {
  return {
    bind: async (options, { message, error }) => {
      const socket = await host.bind(options, {
        message: (data, from, port) => isLost(from) || message(data, from, port),
        error,
      });
      return new Proxy(socket, {
        get(target, name) {
          if (typeof name === "string" && name in said) return said[name];
          const value: unknown = Reflect.get(target, name, target);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
    },
  };
}
