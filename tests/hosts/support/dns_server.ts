/**
 * A program: a name server whose records are set by lines of JSON on standard input, and which prints its queries.
 * `name_server.ts` is its other side. It ends when its input ends.
 *
 * @module
 */

import { type Answer, AUTHORITATIVE_ANSWER, decode, encode } from "dns-packet";
import { createSocket } from "node:dgram";
import process from "node:process";
import { createInterface } from "node:readline";

/** Records by name. A name with records of other types only has an empty answer; any other does not exist. */
export interface Records {
  readonly [name: string]: {
    readonly A?: readonly string[];
    readonly AAAA?: readonly string[];
    readonly SRV?: readonly { readonly target: string; readonly port: number }[];
  };
}

/** The commands of the server. It prints `{"applied": true}` when one is in force. */
export interface Settings {
  readonly records: Records;
  /** Whether it answers everything with SERVFAIL. */
  readonly fails: boolean;
  /** Names whose queries it does not answer. */
  readonly silent: readonly string[];
}

/** A query. */
export interface Question {
  readonly from: string;
  readonly name: string;
  readonly type: string;
  /** In milliseconds of the system's clock. */
  readonly at: number;
}

// RFC 1035, 4.1.1.
const SERVER_FAILURE = 2;
const NAME_ERROR = 3;
// Nothing is cached here: the records change.
const TTL = 0;

let settings: Settings = { records: {}, fails: false, silent: [] };

function answersTo(name: string, type: string): Answer[] | undefined {
  const records = settings.records[name.toLowerCase()];
  if (records === undefined) return undefined;
  if (type === "A" || type === "AAAA") return (records[type] ?? []).map((data) => ({ name, type, ttl: TTL, data }));
  if (type !== "SRV") return [];
  return (records.SRV ?? []).map((data) => ({ name, type, ttl: TTL, data: { ...data, priority: 0, weight: 0 } }));
}

const socket = createSocket({ type: "udp6", ipv6Only: false });
socket.on("message", (message, { address, port }) => {
  const { id = 0, questions = [] } = decode(message);
  const [question] = questions;
  if (question === undefined) return;
  const { name, type } = question;
  const at = performance.timeOrigin + performance.now();
  console.log(
    JSON.stringify({ question: { from: address.replace(/^::ffff:/, ""), name, type, at } satisfies Question }),
  );
  if (settings.silent.includes(name.toLowerCase())) return;
  const answers = answersTo(name, type);
  const code = settings.fails ? SERVER_FAILURE : answers === undefined ? NAME_ERROR : 0;
  const body = { id, questions, answers: settings.fails ? [] : answers ?? [] };
  socket.send(encode({ type: "response", flags: AUTHORITATIVE_ANSWER | code, ...body }), port, address);
});
socket.bind(53, () => console.log(JSON.stringify({ applied: true })));

const input = createInterface({ input: process.stdin });
input.on("line", (line) => {
  settings = JSON.parse(line) as Settings;
  console.log(JSON.stringify({ applied: true }));
});
input.on("close", () => socket.close());
