/** From how many publishers to how many subscribers keys go, each in a process of its own. */
export const WAYS = [
  { name: "1to1", publishers: 1, subscribers: 1 },
  { name: "1to4", publishers: 1, subscribers: 4 },
  { name: "4to4", publishers: 4, subscribers: 4 },
] as const;

/** One of them. */
export type Way = typeof WAYS[number];
