/**
 * Keys from one process to another on the loopback interface, and what of them is lost: at full speed, and at the
 * highest rate at which nothing is. The control sends datagrams of the same size from bare socket to bare socket.
 *
 * @module
 */

import process from "node:process";
import { type Figure, figure, print, type Rounds } from "./figures.ts";
import { KEYS_PER_DATAGRAM } from "./keys.ts";
import { type Outcome, Sender } from "./throughput_sender.ts";

const quick = process.argv.includes("--quick");
const ROUNDS = quick ? 2 : 5;
const ROUND_MS = quick ? 100 : 500;
const PROBE_MS = quick ? 80 : 300;
const MAX_PROBES = quick ? 2 : 6;
// Rates are tried in steps of a tenth.
const STEP = 0.9;
// The receiver may be done so much later than the sender, a tenth of a round. More, and the receive buffer hides that it
// does not keep up: one of 4 MiB holds about 100 ms.
const MAX_LAG_MS = 50;

const WAYS = ["prefix", "exact"] as const;
type Way = typeof WAYS[number];

// One each: a sender whose receiver was overrun a moment ago is still slow.
const senders = { prefix: await Sender.open(), exact: await Sender.open() };
// For the compilers, and for the pace to find its rate.
for (const way of WAYS) await senders[way].send(way, Infinity, quick ? PROBE_MS : 1000);
print(await figures());
await Promise.all(WAYS.map((way) => senders[way].close()));

async function figures(): Promise<Figure[]> {
  const rates = { prefix: await highestRate("prefix"), exact: await highestRate("exact") };
  const held: Record<Way, Outcome[]> = { prefix: [], exact: [] };
  const full: Record<Way, Outcome[]> = { prefix: [], exact: [] };
  const bare: Outcome[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    for (const way of WAYS) {
      held[way].push(await heldOutcome(way, rates));
      full[way].push(await senders[way].send(way, Infinity, ROUND_MS));
    }
    bare.push(await senders.prefix.send("bare", Infinity, ROUND_MS));
  }
  return [
    ...WAYS.flatMap((way) => transport(`held.${way}`, held[way], bare)),
    ...WAYS.flatMap((way) => [...transport(`full.${way}`, full[way], bare), ...cost(`full.${way}`, full[way], bare)]),
    ...transport("bare", bare),
    figure(rounds("bare.datagrams", "datagrams/s", bare, ({ delivered }) => delivered / KEYS_PER_DATAGRAM)),
    ...cost("bare", bare),
  ];
}

function transport(name: string, list: readonly Outcome[], control?: readonly Outcome[]): Figure[] {
  const delivered = (of: string, outcomes: readonly Outcome[]) =>
    rounds(`${of}.delivered`, "keys/s", outcomes, ({ delivered }) => delivered);
  return [
    figure(delivered(name, list), control && delivered("bare", control)),
    figure(rounds(`${name}.sent`, "keys/s", list, ({ sent }) => sent)),
    figure(rounds(`${name}.loss`, "share", list, ({ loss }) => loss)),
  ];
}

function cost(name: string, list: readonly Outcome[], control?: readonly Outcome[]): Figure[] {
  return (["sendCpu", "receiveCpu"] as const).map((cpu) => {
    const costs = (of: string, outcomes: readonly Outcome[]) =>
      rounds(`${of}.${cpu}`, "ns/key", outcomes, (outcome) => outcome[cpu]);
    return figure(costs(name, list), control && costs("bare", control));
  });
}

function rounds(name: string, unit: Rounds["unit"], list: readonly Outcome[], pick: (of: Outcome) => number): Rounds {
  return { name: `throughput.${name}`, unit, values: list.map(pick) };
}

/**
 * Finds the highest rate that the receiver keeps up with, to a tenth: from what it takes at full speed downwards until
 * a rate holds, or upwards until one does not.
 */
async function highestRate(way: Way): Promise<number> {
  const full = await senders[way].send(way, Infinity, PROBE_MS);
  let rate = Math.min(full.delivered, full.sent);
  let highest: number | undefined;
  for (let probe = 0; probe < MAX_PROBES; probe++) {
    if (await holds(way, rate)) {
      const falling = highest === undefined && probe > 0;
      highest = rate;
      if (falling || rate >= full.sent) break;
      rate = Math.min(rate / STEP, full.sent);
    } else {
      if (highest !== undefined) break;
      rate *= STEP;
    }
  }
  return highest ?? rate;
}

/** Whether the receiver keeps up. Tried twice, as the machine may have had something else to do. */
async function holds(way: Way, rate: number): Promise<boolean> {
  return isHeld(await senders[way].send(way, rate, PROBE_MS)) || isHeld(await senders[way].send(way, rate, PROBE_MS));
}

/**
 * A round at the rate that should hold. If it does, the next one is tried a little faster; if not, this one is made again
 * slower: the machine's other work comes and goes.
 */
async function heldOutcome(way: Way, rates: Record<Way, number>): Promise<Outcome> {
  const outcome = await senders[way].send(way, rates[way], ROUND_MS);
  if (isHeld(outcome)) {
    rates[way] /= Math.sqrt(STEP);
    return outcome;
  }
  rates[way] *= STEP;
  return await senders[way].send(way, rates[way], ROUND_MS);
}

/** Nothing lost, not even for a time, and next to nothing left in the receive buffer for later. */
function isHeld({ loss, missing, lag }: Outcome): boolean {
  return loss === 0 && missing === 0 && lag < MAX_LAG_MS;
}
