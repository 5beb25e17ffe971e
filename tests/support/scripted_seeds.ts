// Scripted seeds: seeds on a virtual clock whose look-ups end as the test says.
import { VirtualClock } from "../../adapters/memory/clock.ts";
import { SeededRandom } from "../../adapters/memory/random.ts";
import { Seeds } from "../../src/discovery/seeds.ts";
import { checkOptions, type MeshOptions } from "../../src/options.ts";
import { formatAddress } from "../../src/platform/endpoint.ts";
import type { SrvRecord } from "../../src/platform/host.ts";

/** The end of a look-up: an answer, a rejection, an exception, none, or what the test supplies later. */
export type Answer = readonly string[] | readonly SrvRecord[] | Error | "throw" | "never" | "late";

/** A look-up that was made. */
export interface ScriptedLookUp {
  readonly host: string;
  readonly at: number;
}

/** Seeds on a virtual clock, and a record of their calls. */
export interface GivenSeeds {
  readonly seeds: Seeds;
  readonly clock: VirtualClock;
  readonly lookUps: readonly ScriptedLookUp[];
  /** The arguments of `onNamed`, call by call. */
  readonly named: readonly (readonly string[])[];
  /** The addresses in it that were new, where some were. */
  readonly found: readonly (readonly string[])[];
  readonly errors: readonly Error[];
  readonly places: () => string[];
  /** Ends the look-ups whose answer is "late". */
  readonly answerLate: (answer: readonly string[] | Error) => void;
  /** Calls another listener with errors as well. */
  readonly onError: (listener: (error: Error) => void) => void;
  /** Calls another listener when something is named. */
  readonly onNamed: (listener: () => void) => void;
}

/** The same answer without end: an array whose first item is never used up. */
export function script(answer: Answer): Answer[] {
  return Object.assign([answer], { shift: () => answer });
}

/** SRV records of `host:port` texts. */
export function records(...texts: readonly string[]): readonly SrvRecord[] {
  return texts.map((text) => {
    const [host = "", port] = text.split(":");
    return { host, port: Number(port) };
  });
}

/** So many addresses, from 10.0.0.1 on. */
export function addresses(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `10.${(i + 1) >> 16}.${((i + 1) >> 8) & 255}.${(i + 1) & 255}`);
}

/**
 * Seeds as the options list them. `answers` are the ends of the look-ups of a name, in turn; after them look-ups fail.
 */
export function givenSeeds(
  options: MeshOptions,
  answers: Readonly<Record<string, Answer[]>> = {},
  { seed = 1 }: { readonly seed?: number } = {},
): GivenSeeds {
  const clock = new VirtualClock();
  const random = new SeededRandom(seed);
  const lookUps: ScriptedLookUp[] = [];
  const named: string[][] = [];
  const found: string[][] = [];
  const errors: Error[] = [];
  const late: ((answer: readonly string[] | Error) => void)[] = [];
  let errorListener: (error: Error) => void = () => {};
  let namedListener: () => void = () => {};
  const places = () => seeds.endpoints().map(({ host, port }) => formatAddress(host, port));

  function ask(host: string): Promise<never> {
    lookUps.push({ host, at: clock.now() });
    const list = answers[host] ?? [];
    const answer = list.length > 0 ? list.shift() : new Error("ENOTFOUND");
    if (answer === "throw") throw new Error("thrown");
    return new Promise((resolve, reject) => {
      const settle = (answer: unknown) => answer instanceof Error ? reject(answer) : resolve(answer as never);
      if (answer === "late") late.push(settle);
      else if (answer !== "never") settle(answer);
    });
  }

  const seeds = new Seeds({
    settings: checkOptions(options),
    ports: { clock, resolve: ask, resolveSrv: ask, randomBytes: (length) => random.bytes(length) },
    port: 7946,
    onNamed: (endpoints) => {
      const names = endpoints.map(({ host, port }) => formatAddress(host, port));
      named.push(names);
      const fresh = names.filter((name) => !before.has(name));
      if (fresh.length > 0) found.push(fresh);
      before = new Set(places());
      namedListener();
    },
    onError: (error) => {
      errors.push(error);
      errorListener(error);
    },
  });
  let before = new Set(places());
  return {
    seeds,
    clock,
    lookUps,
    named,
    found,
    errors,
    places,
    answerLate: (answer) => late.splice(0).forEach((settle) => settle(answer)),
    onError: (listener) => errorListener = listener,
    onNamed: (listener) => namedListener = listener,
  };
}
