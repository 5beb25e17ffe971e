/**
 * Phases: the steps of an examination in order, and how long each takes at most.
 *
 * @module
 */

import type { Settings } from "../src/options.ts";

/**
 * Default for the shortest and longest wait for other nodes, in milliseconds, and the longest wait for two heartbeats.
 */
const WAIT = { min: 1000, max: 60_000, heartbeats: 30_000 };
/**
 * Heartbeats after which every node has been heard once. Go nodes send no acks, so this is all that is heard of them.
 */
const HEARD_AFTER = 1.2;
/** Time without a new node after which no other is awaited, in milliseconds. */
export const QUIET = 500;
/** How long a node of this host that may hold the port is awaited, in milliseconds. */
const HOLDER_TIME = 200;
/** How long acks from outside the mesh are awaited, in milliseconds. */
const SCAN_TIME = 700;
/** Time in which an IPv6 address becomes ready, or never will, in milliseconds. */
const READY_TIME = 3100;
/** Longest time that `close` takes, in milliseconds. */
const LEAVE_TIME = 1000;

/** Longest time of each phase, in milliseconds; 0 when the phase is left out. */
export interface Phases {
  /** Looking for a node of this host that holds the port. */
  readonly beside: number;
  /** Opening a node. */
  readonly open: number;
  /** Listening for other nodes, when all is well. */
  readonly listen: number;
  /** Listening when no node is heard or something is wrong. */
  readonly listenOn: number;
  /** Probing the peers: once, and when something is wrong once more within `listenOn`. */
  readonly probe: number;
  /** Probing outside the mesh. */
  readonly scan: number;
  /** At the same time: probing the ports of silent seeds, whether their hosts refuse them. */
  readonly seeds: number;
  /** Listening for plain nodes, when none was found. */
  readonly listenElsewhere: number;
  /** Leaving the mesh. */
  readonly leave: number;
}

/** One phase of an examination. */
export type Phase = keyof Phases;

/** What an examination has to do, and for how long it waits. */
export interface Request {
  readonly isScanning: boolean;
  /** Longest wait for other nodes, in milliseconds. When absent, 1.2 heartbeats, and two when something is wrong. */
  readonly wait: number | undefined;
  /** Longest wait for acks, in milliseconds. */
  readonly timeout: number;
}

/** The phases that these options need. */
export function phasesOf(
  { family, heartbeat, multicast, port }: Pick<Settings, "family" | "heartbeat" | "multicast" | "port">,
  { isScanning, timeout, wait }: Request,
): Phases {
  const all = HEARD_AFTER * heartbeat;
  const usual = Math.max(WAIT.min, all, Math.min(WAIT.heartbeats, 2 * heartbeat));
  const listenOn = wait ?? Math.min(WAIT.max, usual);
  return {
    beside: port === 0 ? 0 : HOLDER_TIME,
    open: family === 6 ? READY_TIME : 0,
    listen: Math.min(Math.max(QUIET, all), listenOn),
    listenOn,
    probe: timeout,
    scan: isScanning ? SCAN_TIME : 0,
    seeds: Math.min(timeout, SCAN_TIME),
    // Go nodes speak IPv4 and multicast only.
    listenElsewhere: isScanning && family === 4 && multicast ? Math.min(WAIT.max, all, listenOn) : 0,
    leave: LEAVE_TIME,
  };
}

/** Longest duration of all phases, in milliseconds. */
export function longest({ beside, open, listenOn, probe, scan, seeds, listenElsewhere, leave }: Phases): number {
  return beside + open + listenOn + probe + Math.max(scan, seeds) + listenElsewhere + leave;
}

/** Duration when all is well and acks come at once, in milliseconds; from a second on in whole seconds. */
export function usual({ beside, listen, scan }: Phases): number {
  const time = beside + listen + scan;
  return time < 1000 ? time : Math.ceil(time / 1000) * 1000;
}

/** The durations in words, for whoever waits. */
export function phasesInWords(phases: Phases): string {
  const { probe, listen, listenElsewhere, listenOn, scan, open } = phases;
  const listens = listenOn > listen
    ? `listens for ${seconds(listen)}, up to ${seconds(listenOn)} when something is wrong`
    : `listens for ${seconds(listen)}`;
  const parts = [
    ...open > 0 ? [`waits for its address for up to ${seconds(open)}`] : [],
    listens,
    `probes for up to ${seconds(probe)}`,
    ...scan > 0 ? [`probes outside the mesh for ${seconds(scan)}`] : [],
    ...listenElsewhere > 0 ? [`when no node was found listens there for ${seconds(listenElsewhere)}`] : [],
  ];
  return `Takes about ${seconds(usual(phases))} when all is well, ${seconds(longest(phases))} at most: ` +
    `${parts.join("; ")}.`;
}

/** A duration rounded up, so that it takes no longer than shown; long ones in whole seconds. */
export function seconds(time: number): string {
  const unit = time < 10_000 ? 100 : 1000;
  return `${Math.ceil(Math.round(time) / unit) * unit / 1000} s`;
}
