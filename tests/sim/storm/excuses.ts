/**
 * Excuses: the exceptions that the checks of a seeded world allow, by name. `docs/guarantees.md` lists the same, and a
 * test compares the two.
 *
 * @module
 */

/** What may happen in spite of the promise, in the words of `docs/guarantees.md`. */
export const EXCUSES = {
  "never met":
    "Two nodes of which one has never responded to the other owe each other nothing: a crash or a leave before that " +
    "is a gap only when the node was heard while its stream was empty.",
  "a reader's first key":
    "A node that was known for four times `peerTimeout` with an empty stream is a reader. When the first key of its " +
    "life is lost on the way and it crashes, or is cut off for good, before anything of it is heard again, there is " +
    "no gap.",
  "away":
    "What a node publishes after the other has lost it, with a gap, needs no second gap when it departs before the " +
    "two know each other again.",
  "met on leaving":
    "A node that met another less than 500 ms before that began to leave may get a gap, though nothing was lost.",
  "own stall":
    "A node that was stalled for longer than a heartbeat has a gap for its own subscribers, though nothing was " +
    "lost.",
  "twice":
    "A key comes twice when a datagram was truncated on the way and has lost its number, when several nodes publish " +
    "it, when more than 16 holes of a stream were open at once, or when a node was set back and its numbers begin " +
    "anew.",
  "no room":
    "A node that finds no room, as `maxPeers` are known, is not followed: for that receiver, what it publishes may " +
    "be lost or come twice. When it leaves, the receiver gets no leave, and that is a gap.",
  "forged new node":
    "An unsolicited heartbeat of an unknown id with an empty stream looks like a node that has just opened. When " +
    "nothing follows it is one gap, at most four at once and four a minute for each node.",
  "one id":
    "A token that names an id which two nodes have had, as after a node was cloned or set back, may be reached by what " +
    "the other has published, until the duplicate is noticed. A node that takes another id may get what it has just " +
    "published itself, when its own datagram comes back by multicast after that.",
  "lasting loss":
    "While a tenth of all datagrams is lost, a peer may be in doubt at any moment: that all is current is checked " +
    "once, not to the end.",
  "long delays":
    "While datagrams take more than half a second, and heartbeats differ from node to node, a peer may be in doubt " +
    "at any moment, as its response takes long: that all is current is checked once, not to the end.",
  "late copies":
    "A late copy of a datagram, of a peer that is there, looks like a new one: until the next new datagram, " +
    "`staleness` does not count what was published since the copied one was sent. If the peer has just crashed, it " +
    "is lost later by that.",
  "stale by":
    "`staleness` may be less than the truth by 505 ms, by 0.2 % for the clocks, and by twice as much as the time " +
    "that datagrams take from host to host has varied since the key was published, and in the 10 s before; of a " +
    "peer that was heard for the first time since, by how long the key had waited there to be sent.",
} as const;

/** A name of {@linkcode EXCUSES}. */
export type Excuse = keyof typeof EXCUSES;

/** How often each exception was used in a world. */
export class ExcuseBook {
  readonly #counts = new Map<Excuse, number>();

  /** Counts one use. */
  use(excuse: Excuse): void {
    this.#counts.set(excuse, (this.#counts.get(excuse) ?? 0) + 1);
  }

  get counts(): ReadonlyMap<Excuse, number> {
    return this.#counts;
  }
}
