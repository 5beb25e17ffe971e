import type { Figure } from "./figures.ts";
import type { Outcome } from "./targets.ts";

/** Figures by `runtime/name`. */
export type Figures = Readonly<Record<string, Figure>>;

/** What `--json` prints. */
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
    /** Processes that wanted to run, in the minute before. */
    readonly loadBefore: number;
  };
  /** Of the runtimes. */
  readonly versions: Readonly<Record<string, string>>;
  /** Versions of the servers beside which the mesh was measured; `null` where there is none. */
  readonly servers: Readonly<Record<string, string | null>>;
  readonly targets: readonly Outcome[];
  readonly figures: Figures;
}
