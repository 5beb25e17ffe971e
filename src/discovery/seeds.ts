/**
 * Seeds: the addresses at which a node contacts the mesh first, of `peers` and of `discover`.
 *
 * @module
 */

import { show } from "../errors.ts";
import { Backoff } from "../platform/backoff.ts";
import type { Endpoint, Family } from "../platform/endpoint.ts";
import { Jitter } from "../platform/jitter.ts";
import type { MeshPorts } from "../platform/ports.ts";
import { type Discover, DiscoverHook } from "./discover_hook.ts";
import { type Leaf, MAX_TARGETS, type SeedSource, seedSource, type SourceContext } from "./dns_seed_source.ts";
import { MAX_SEED_ADDRESSES, pick, SeedAddresses } from "./seed_addresses.ts";
import { parseSeed, type SeedSpec } from "./seed_spec.ts";

/** Most items that are used of a list of `discover`: as many as `peers` may have. */
export const MAX_LISTED = 1024;

/** The options that decide which seeds there are. */
export interface SeedSettings {
  readonly seeds: readonly SeedSpec[];
  readonly discover: Discover | undefined;
  readonly family: Family;
  readonly resolveInterval: number;
}

/** The settings and callbacks of {@linkcode Seeds}. */
export interface SeedsConfig {
  readonly settings: SeedSettings;
  readonly ports: Pick<MeshPorts, "clock" | "resolve" | "resolveSrv" | "randomBytes">;
  /** Port of the seeds that name none. */
  readonly port: number;
  /**
   * Called with the addresses of each answer and each list, the same ones again and again. Not called with the literals
   * of `peers`.
   */
  readonly onNamed: (endpoints: readonly Endpoint[]) => void;
  /** Called when something has failed or was left out. It is tried again. */
  readonly onError: (error: Error) => void;
}

/** Counts of what was left out so far. */
export interface SeedCounts {
  /** Answers and lists that were truncated as they were too long. */
  readonly truncated: number;
  /** Addresses, records and items of lists that were left out as they cannot be seeds. */
  readonly unusable: number;
}

/**
 * The seeds of a mesh. Literals are known at once. Names are looked up in the background, again and again, and never
 * block anything.
 */
export class Seeds {
  readonly #config: SeedsConfig;
  readonly #jitter: Jitter;
  readonly #pool: SeedAddresses<Leaf>;
  readonly #context: SourceContext;
  /** The seeds of `peers` by their texts; literals need no source. */
  readonly #fromPeers = new Map<string, SeedSource | undefined>();
  readonly #fromDiscover = new Map<string, SeedSource | undefined>();
  readonly #discoverLeaf: Leaf = { origin: { text: "discover" } };
  readonly #discovery: DiscoverHook | undefined;
  /** The texts of the seeds that have had an address. */
  readonly #resolved = new Set<string>();
  /** The texts of the seeds whose look-up has failed. */
  readonly #failed = new Set<string>();
  /** Whether `discover` has neither given a list nor failed. */
  #isListing: boolean;
  readonly #counts = { truncated: 0, unusable: 0 };
  readonly #reportedCuts = new WeakSet<object>();
  #isClosed = false;

  constructor(config: SeedsConfig) {
    const { settings, ports, port, onError } = config;
    const { family, resolveInterval: interval, discover } = settings;
    this.#config = config;
    const jitter = this.#jitter = new Jitter(ports.randomBytes);
    this.#pool = new SeedAddresses(
      jitter,
      ({ origin }, length) => this.#reportCut(origin, MAX_SEED_ADDRESSES, "addresses", length),
    );
    this.#context = {
      family,
      port,
      interval,
      ports,
      jitter,
      onAnswer: (leaf, endpoints) => this.#update(leaf, endpoints),
      onError,
      onFailed: ({ text }) => void this.#failed.add(text),
      onUnusable: (count) => this.#counts.unusable += count,
      onCut: (seed, targets) => this.#reportCut(seed, MAX_TARGETS, "targets", targets),
    };
    for (const seed of settings.seeds) this.#add(seed);
    this.#pool.commit();
    this.#isListing = discover !== undefined;
    this.#discovery = discover && new DiscoverHook({
      discover,
      clock: ports.clock,
      backOff: new Backoff(interval, jitter),
      onList: (list) => {
        this.#isListing = false;
        this.#applyList(list);
      },
      onError: (error) => {
        this.#isListing = false;
        onError(error);
      },
    });
  }

  /** Begins to look names up, and to follow `discover`. */
  start(): void {
    for (const source of this.#fromPeers.values()) source?.start();
    this.#discovery?.start();
  }

  /**
   * The known addresses of the seeds: each endpoint once, although several names may lead to it, at most {@linkcode
   * MAX_SEED_ADDRESSES}. The same array as long as nothing has changed.
   */
  endpoints(): readonly Endpoint[] {
    return this.#pool.endpoints;
  }

  /** The texts of the seeds that have had no address so far. */
  get unresolved(): readonly string[] {
    const sources = [...this.#fromPeers, ...this.#fromDiscover].filter(([, source]) => source !== undefined);
    return sources.map(([text]) => text).filter((text) => !this.#resolved.has(text));
  }

  /** Whether the first look-up of a seed, or the first list, is under way. */
  get isLookingUp(): boolean {
    return this.#isListing || this.unresolved.some((text) => !this.#failed.has(text));
  }

  /**
   * The addresses that are contacted until they answer: those that were given as such, and those of names that have no
   * more than 16. The same array as long as nothing has changed.
   */
  few(): readonly Endpoint[] {
    return this.#pool.few;
  }

  /** What was left out so far. */
  get counts(): SeedCounts {
    return { ...this.#counts };
  }

  /** Ends all look-ups. Later answers are ignored. */
  close(): void {
    this.#isClosed = true;
    this.#discovery?.close();
    for (const source of this.#fromPeers.values()) source?.close();
    for (const source of this.#fromDiscover.values()) source?.close();
  }

  #add(seed: SeedSpec): void {
    if (this.#fromPeers.has(seed.text)) return;
    if (seed.kind === "literal") this.#pool.set({ origin: seed }, [this.#endpoint(seed)]);
    this.#fromPeers.set(seed.text, seed.kind === "literal" ? undefined : seedSource(seed, this.#context));
  }

  #endpoint({ host, port }: SeedSpec): Endpoint {
    return { host, port: port || this.#config.port };
  }

  #update(leaf: Leaf, endpoints: readonly Endpoint[]): void {
    if (this.#isClosed) return;
    if (endpoints.length > 0) this.#resolved.add(leaf.origin.text);
    this.#pool.set(leaf, endpoints);
    this.#pool.commit();
    const named = this.#pool.listed(leaf);
    if (named.length > 0) this.#config.onNamed(named);
  }

  /** Applies a list of `discover`, which replaces the one before. */
  #applyList(list: readonly unknown[]): void {
    const seeds = this.#read(list);
    for (const [text, source] of this.#fromDiscover) {
      if (seeds.has(text)) continue;
      this.#fromDiscover.delete(text);
      this.#resolved.delete(text);
      source?.close();
      source?.withdraw();
    }
    const literals: Endpoint[] = [];
    for (const [text, seed] of seeds) {
      const isLiteral = seed.kind === "literal";
      if (isLiteral) literals.push(this.#endpoint(seed));
      if (this.#fromDiscover.has(text)) continue;
      const source = isLiteral ? undefined : seedSource(seed, this.#context);
      this.#fromDiscover.set(text, source);
      source?.start();
    }
    this.#update(this.#discoverLeaf, literals);
  }

  /** The seeds of a list by their texts, without those that `peers` has. */
  #read(list: readonly unknown[]): ReadonlyMap<string, SeedSpec> {
    const seeds = new Map<string, SeedSpec>();
    const broken: string[] = [];
    for (const item of list) {
      const seed = parseSeed(item, this.#context.family);
      if (typeof seed === "string") broken.push(`${seed}: current value of the first is ${show(item)}`);
      else if (!this.#fromPeers.has(seed.text)) seeds.set(seed.text, seed);
    }
    if (broken.length > 0) {
      this.#counts.unusable += broken.length;
      const part = `${broken.length} of the ${list.length} items that \`discover\` lists`;
      this.#config.onError(new TypeError(`Cannot use ${part} as all items must be ${broken[0]}`));
    }
    if (seeds.size <= MAX_LISTED) return seeds;
    this.#reportCut(this.#discoverLeaf.origin, MAX_LISTED, "items", seeds.size);
    return new Map(pick([...seeds], MAX_LISTED, ([text]) => this.#fromDiscover.has(text), this.#jitter));
  }

  /** Counts each truncation, and reports the first of each origin. */
  #reportCut(origin: Leaf["origin"], limit: number, what: string, length: number): void {
    this.#counts.truncated++;
    if (this.#reportedCuts.has(origin)) return;
    this.#reportedCuts.add(origin);
    this.#config.onError(
      new Error(
        `Cannot contact all ${what} of ${show(origin.text)} as there may be at most ${limit} in all: ` +
          `current number is ${length}`,
      ),
    );
  }
}
