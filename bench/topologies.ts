/**
 * Topologies of the throughput benchmark: from how many publishers to how many subscribers keys go, each in a process
 * of its own.
 *
 * @module
 */

/** All topologies, by their names in figures. */
export const TOPOLOGIES = [
  { name: "1to1", publishers: 1, subscribers: 1 },
  { name: "1to4", publishers: 1, subscribers: 4 },
  { name: "4to4", publishers: 4, subscribers: 4 },
] as const;

/** One topology. */
export type Topology = typeof TOPOLOGIES[number];
