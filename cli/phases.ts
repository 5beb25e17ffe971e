/**
 * What an examination does, one thing after the other, and how long each takes at most.
 *
 * @module
 */

import type { Settings } from "../src/options.ts";

/** Shortest and longest wait for others, in milliseconds, unless told otherwise; and that for two heartbeats. */
const WAIT = { min: 1000, max: 60_000, heartbeats: 30_000 };
/** Heartbeats after which one was heard of each node: of Go's, which answer nothing, this is all. */
const HEARD_AFTER = 1.2;
/** Time without a newcomer after which none is waited for, in milliseconds. */
export const QUIET = 500;
/** How long a node of this host is waited for that may have the port, in milliseconds. */
const BESIDE_TIME = 200;
/** How long answers from elsewhere are waited for, in milliseconds. */
const LOOK_TIME = 700;
/** Time within which an address of IPv6 is ready or never will be, in milliseconds. */
const READY_TIME = 3100;
/** What `close` takes at most, in milliseconds. */
const LEAVE_TIME = 1000;

/** How long each part takes at most, in milliseconds; 0 when it is left out. */
export interface Phases {
  /** Looking for a node of this host that has the port for itself. */
  readonly beside: number;
  /** Opening a node. */
  readonly open: number;
  /** Listening for others, when all is well. */
  readonly listen: number;
  /** The same when nobody is there or something is wrong. */
  readonly listenOn: number;
  /** Asking them: once, or when something is wrong once more within `listenOn`. */
  readonly ask: number;
  /** Asking those that are none of the mesh's. */
  readonly look: number;
  /** At the same time: asking hosts of silent seeds whether nobody listens there. */
  readonly seeds: number;
  /** Listening for those that answer nothing, when nobody was found. */
  readonly listenElsewhere: number;
  /** Leaving the mesh. */
  readonly leave: number;
}

/** A part of an examination. */
export type Phase = keyof Phases;

/** What an examination is asked to do. */
export interface Request {
  readonly isScouting: boolean;
  /** Longest wait for others, in milliseconds. When it is absent, 1.2 heartbeats, and two when something is wrong. */
  readonly wait: number | undefined;
  /** Longest wait for answers, in milliseconds. */
  readonly timeout: number;
}

/** What it takes with these options. */
export function phasesOf(
  { family, heartbeat, multicast, port }: Pick<Settings, "family" | "heartbeat" | "multicast" | "port">,
  { isScouting, timeout, wait }: Request,
): Phases {
  const all = HEARD_AFTER * heartbeat;
  const usual = Math.max(WAIT.min, all, Math.min(WAIT.heartbeats, 2 * heartbeat));
  const listenOn = wait ?? Math.min(WAIT.max, usual);
  return {
    beside: port === 0 ? 0 : BESIDE_TIME,
    open: family === 6 ? READY_TIME : 0,
    listen: Math.min(Math.max(QUIET, all), listenOn),
    listenOn,
    ask: timeout,
    look: isScouting ? LOOK_TIME : 0,
    seeds: Math.min(timeout, LOOK_TIME),
    // Go nodes know IPv4 and multicast.
    listenElsewhere: isScouting && family === 4 && multicast ? Math.min(WAIT.max, all, listenOn) : 0,
    leave: LEAVE_TIME,
  };
}

/** How long it takes at most, in milliseconds. */
export function longest({ beside, open, listenOn, ask, look, seeds, listenElsewhere, leave }: Phases): number {
  return beside + open + listenOn + ask + Math.max(look, seeds) + listenElsewhere + leave;
}

/** How long it takes when all is well: then answers come at once. In milliseconds, of a second or more whole seconds. */
export function usual({ beside, listen, look }: Phases): number {
  const time = beside + listen + look;
  return time < 1000 ? time : Math.ceil(time / 1000) * 1000;
}

/** The same, for whoever waits. */
export function phasesInWords(phases: Phases): string {
  const { ask, listen, listenElsewhere, listenOn, look, open } = phases;
  const listens = listenOn > listen
    ? `listens for ${seconds(listen)}, up to ${seconds(listenOn)} when something is wrong`
    : `listens for ${seconds(listen)}`;
  const parts = [
    ...open > 0 ? [`waits for its address for up to ${seconds(open)}`] : [],
    listens,
    `asks for up to ${seconds(ask)}`,
    ...look > 0 ? [`looks outside the mesh for ${seconds(look)}`] : [],
    ...listenElsewhere > 0 ? [`when nobody was found listens there for ${seconds(listenElsewhere)}`] : [],
  ];
  return `Takes about ${seconds(usual(phases))} when all is well, ${seconds(longest(phases))} at most: ` +
    `${parts.join("; ")}.`;
}

/** A time that is not longer than what is said; of long ones, fractions of a second are nobody's business. */
export function seconds(time: number): string {
  const unit = time < 10_000 ? 100 : 1000;
  return `${Math.ceil(Math.round(time) / unit) * unit / 1000} s`;
}
