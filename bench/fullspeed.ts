/**
 * Keys from one process to another as fast as the mesh lets the publisher, at no rate given by hand: what arrives, and
 * what had to be sent again for that. By unicast alone, and by the group and unicast as by default. The control sends
 * datagrams of the same size from bare socket to bare socket, and loses what it loses.
 *
 * @module
 */

import process from "node:process";
import { type Figure, figure, print, type Rounds } from "./figures.ts";
import { type Outcome, Sender } from "./throughput_sender.ts";

const quick = process.argv.includes("--quick");
const ROUNDS = quick ? 2 : 5;
const ROUND_MS = quick ? 100 : 1_000;

const senders = { unicast: await Sender.open(), both: await Sender.open(true) };
const outcomes = { unicast: [] as Outcome[], both: [] as Outcome[], bare: [] as Outcome[] };
// Round 0 is for the compilers, and for the pace to find its rate.
for (let round = 0; round <= ROUNDS; round++) {
  const all = {
    unicast: await senders.unicast.send("prefix", Infinity, ROUND_MS),
    both: await senders.both.send("prefix", Infinity, ROUND_MS),
    bare: await senders.unicast.send("bare", Infinity, ROUND_MS),
  };
  if (round === 0) continue;
  outcomes.unicast.push(all.unicast);
  outcomes.both.push(all.both);
  outcomes.bare.push(all.bare);
}
print([...figures("unicast"), ...figures("both"), figure(delivered("bare"))]);
await Promise.all([senders.unicast.close(), senders.both.close()]);

function figures(name: "unicast" | "both"): Figure[] {
  return [
    figure(delivered(name), delivered("bare")),
    figure(rounds(name, "loss", "share", ({ loss }) => loss)),
    figure(rounds(name, "missing", "datagrams", ({ missing }) => missing)),
  ];
}

function delivered(name: keyof typeof outcomes): Rounds {
  return rounds(name, "delivered", "keys/s", ({ delivered }) => delivered);
}

function rounds(
  name: keyof typeof outcomes,
  what: string,
  unit: Rounds["unit"],
  pick: (of: Outcome) => number,
): Rounds {
  return { name: `fullspeed.${name}.${what}`, unit, values: outcomes[name].map(pick) };
}
