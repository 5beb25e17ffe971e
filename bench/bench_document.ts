/**
 * Benchmark document: the JSON document that a run of the benchmark prints.
 *
 * @module
 */

import type { Figure } from "./figures.ts";
import type { Outcome } from "./targets.ts";

/** Figures by `runtime/name`. */
export type Figures = Readonly<Record<string, Figure>>;

/** The document that `--json` prints. */
export interface BenchDocument {
  readonly package: string;
  readonly quick: boolean;
  /** The day, in UTC. */
  readonly date: string;
  readonly seconds: number;
  readonly machine: {
    readonly os: string;
    readonly processor: string;
    readonly cores: number;
    /** Load average of the minute before: processes that wanted to run. */
    readonly loadBefore: number;
  };
  /** Versions of the runtimes. */
  readonly versions: Readonly<Record<string, string>>;
  /** Versions of the servers that the mesh is compared with; `null` for one that is not installed. */
  readonly servers: Readonly<Record<string, string | null>>;
  readonly targets: readonly Outcome[];
  readonly figures: Figures;
}
