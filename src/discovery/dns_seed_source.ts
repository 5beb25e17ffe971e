/**
 * DNS seed sources: seeds that are names or services, which are looked up again and again.
 *
 * @module
 */

import { show } from "../errors.ts";
import { Backoff } from "../platform/backoff.ts";
import type { Endpoint, Family } from "../platform/endpoint.ts";
import { messageOf } from "../platform/error_message.ts";
import type { SrvRecord } from "../platform/host.ts";
import type { Jitter } from "../platform/jitter.ts";
import type { MeshPorts } from "../platform/ports.ts";
import { RetryLoop } from "../platform/retry_loop.ts";
import { SingleFlight } from "../platform/single_flight.ts";
import { readHosts, readTargets } from "./dns_answers.ts";
import { pick } from "./seed_addresses.ts";
import type { SeedSpec } from "./seed_spec.ts";

/** Most targets of a service that are looked up: each costs a look-up every `resolveInterval`. */
export const MAX_TARGETS = 256;

/** An owner of addresses: a seed, or one target of a service. `origin` names it in messages. */
export interface Leaf {
  readonly origin: { readonly text: string };
}

/** Settings and callbacks that all sources share. */
export interface SourceContext {
  readonly family: Family;
  /** Port of the seeds that name none. */
  readonly port: number;
  /** Time between look-ups, in milliseconds. */
  readonly interval: number;
  readonly ports: Pick<MeshPorts, "clock" | "resolve" | "resolveSrv">;
  readonly jitter: Jitter;
  /** Called with all addresses of a leaf, or with none when it is gone. */
  readonly onAnswer: (leaf: Leaf, endpoints: readonly Endpoint[]) => void;
  /** Called when a look-up has failed. It is tried again. */
  readonly onError: (error: Error) => void;
  /** Called when a look-up of a seed has failed. */
  readonly onFailed: (seed: SeedSpec) => void;
  /** Called with the number of addresses or records of an answer that were left out as unusable. */
  readonly onUnusable: (count: number) => void;
  /** Called when a service has too many targets. */
  readonly onCut: (seed: SeedSpec, targets: number) => void;
}

/** A seed that is looked up. */
export interface SeedSource {
  start(): void;
  /** Ends all look-ups. The addresses that it has found stay, unless it is withdrawn. */
  close(): void;
  /** Withdraws the addresses that it has found. */
  withdraw(): void;
}

/** The source for a seed that is a name or a service. */
export function seedSource(seed: SeedSpec, context: SourceContext): SeedSource {
  return seed.kind === "srv" ? new DnsServiceSource(seed, context) : new DnsNameSource(seed, context);
}

class DnsNameSource implements SeedSource, Leaf {
  readonly origin: SeedSpec;
  readonly #context: SourceContext;
  readonly #lookUp: SingleFlight<readonly string[]>;
  readonly #retryLoop: RetryLoop;

  constructor(seed: SeedSpec, context: SourceContext) {
    this.origin = seed;
    this.#context = context;
    const { clock, resolve } = context.ports;
    this.#lookUp = new SingleFlight(clock, (options) => resolve(seed.host, options));
    this.#retryLoop = retryLoopOf(seed, context, async () => {
      const hosts = usable(await this.#lookUp.run(), context);
      context.onAnswer(this, hosts.map((host) => ({ host, port: seed.port || context.port })));
    });
  }

  start(): void {
    this.#retryLoop.start();
  }

  close(): void {
    this.#retryLoop.close();
    this.#lookUp.close();
  }

  withdraw(): void {
    this.#context.onAnswer(this, []);
  }
}

/** A host of a service, and the ports that the records name there. */
interface Target extends Leaf {
  readonly host: string;
  readonly lookUp: SingleFlight<readonly string[]>;
  ports: readonly number[];
}

class DnsServiceSource implements SeedSource {
  readonly #seed: SeedSpec;
  readonly #context: SourceContext;
  readonly #lookUp: SingleFlight<readonly SrvRecord[]>;
  readonly #retryLoop: RetryLoop;
  readonly #targets = new Map<string, Target>();

  constructor(seed: SeedSpec, context: SourceContext) {
    this.#seed = seed;
    this.#context = context;
    const { clock, resolveSrv } = context.ports;
    this.#lookUp = new SingleFlight(clock, () => resolveSrv(seed.host));
    this.#retryLoop = retryLoopOf(seed, context, () => this.#round());
  }

  start(): void {
    this.#retryLoop.start();
  }

  close(): void {
    this.#retryLoop.close();
    this.#lookUp.close();
    for (const { lookUp } of this.#targets.values()) lookUp.close();
  }

  withdraw(): void {
    this.#update([]);
  }

  /**
   * One round: the service, then its targets. Targets that cannot be looked up keep their addresses, and make the round
   * fail at its end.
   */
  async #round(): Promise<void> {
    this.#update(this.#chosen(await this.#lookUp.run()));
    const failures: string[] = [];
    await Promise.all(Array.from(this.#targets.values(), async (target) => {
      try {
        const hosts = usable(await target.lookUp.run(), this.#context);
        this.#context.onAnswer(target, hosts.flatMap((host) => target.ports.map((port) => ({ host, port }))));
      } catch (cause) {
        failures.push(`${show(target.host)}: ${messageOf(cause)}`);
      }
    }));
    if (failures.length === 0) return;
    throw new Error(
      `${failures.length} of its ${this.#targets.size} targets failed, the first is ${failures[0]}`,
    );
  }

  #chosen(answer: readonly SrvRecord[]): readonly SrvRecord[] {
    const { family, jitter, onUnusable, onCut } = this.#context;
    const { targets, unusable } = readTargets(answer, family);
    if (unusable > 0) onUnusable(unusable);
    if (targets.length === 0 && (unusable > 0 || answer.length === 0)) {
      throw new Error(`an SRV record must name a host and a port from 1 to 65535: 0 of ${answer.length} records do`);
    }
    if (targets.length <= MAX_TARGETS) return targets;
    onCut(this.#seed, targets.length);
    return pick(targets, MAX_TARGETS, ({ host }) => this.#targets.has(host), jitter);
  }

  #update(records: readonly SrvRecord[]): void {
    const ports = new Map<string, number[]>();
    for (const { host, port } of records) ports.set(host, [...ports.get(host) ?? [], port]);
    for (const [host, target] of this.#targets) {
      if (ports.has(host)) continue;
      this.#targets.delete(host);
      target.lookUp.close();
      this.#context.onAnswer(target, []);
    }
    for (const [host, list] of ports) {
      const target = this.#targets.get(host);
      if (target !== undefined) target.ports = list;
      else this.#targets.set(host, { origin: this.#seed, host, lookUp: this.#lookUpOf(host), ports: list });
    }
  }

  #lookUpOf(host: string): SingleFlight<readonly string[]> {
    const { clock, resolve } = this.#context.ports;
    return new SingleFlight(clock, (options) => resolve(host, options));
  }
}

function retryLoopOf(
  seed: SeedSpec,
  { ports, interval, jitter, onError, onFailed }: SourceContext,
  round: () => Promise<void>,
): RetryLoop {
  return new RetryLoop(ports.clock, new Backoff(interval, jitter), round, (cause) => {
    onFailed(seed);
    onError(new Error(`Cannot look up the seed ${show(seed.text)}: ${messageOf(cause)}`, { cause }));
  });
}

function usable(answer: readonly string[], { family, onUnusable }: SourceContext): readonly string[] {
  const { hosts, unusable } = readHosts(answer, family);
  if (unusable > 0) onUnusable(unusable);
  if (hosts.length > 0) return hosts;
  throw new Error(`a mesh of IPv${family} needs an address of IPv${family}: current addresses are ${show(answer)}`);
}
