/**
 * Memory sockets: sockets on a network in memory.
 *
 * @module
 */

import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { type MemoryHost, MemoryNetwork, type MemoryNetworkOptions } from "../../adapters/memory.ts";
import {
  BindError,
  type BindOptions,
  type DatagramHandlers,
  type DatagramSocket,
} from "../../src/platform/datagram_socket.ts";
import { Inbox } from "./inbox.ts";

export const GROUP = "239.0.0.1";
export const A = "10.0.0.1";
export const B = "10.0.0.2";
export const C = "10.0.0.3";

export const WITH_GROUP: Partial<BindOptions> = { shared: true, joinGroup: GROUP };

/** Two hosts, A and B, each with a socket on port 7946. */
export interface Pair {
  readonly network: MemoryNetwork;
  /** B. */
  readonly host: MemoryHost;
  /** A's socket. */
  readonly from: DatagramSocket;
  /** B's socket. */
  readonly to: DatagramSocket;
  /** The datagrams of B's socket. */
  readonly inbox: Inbox;
}

/** Opens a {@linkcode Pair}. */
export async function pair(options: MemoryNetworkOptions = {}): Promise<Pair> {
  const network = new MemoryNetwork(options);
  const inbox = new Inbox();
  const host = network.host(B);
  const to = await open(host, {}, inbox);
  const from = await open(network.host(A));
  return { network, host, from, to, inbox };
}

/** Binds with the options that {@linkcode optionsWith} returns. */
export function open(
  host: MemoryHost,
  options: Partial<BindOptions> = {},
  handlers: DatagramHandlers = new Inbox(),
): Promise<DatagramSocket> {
  return host.bind(optionsWith(options), handlers);
}

/** Options for 0.0.0.0:7946, not shared, except for those given. */
export function optionsWith(options: Partial<BindOptions>): BindOptions {
  const plain = { host: "0.0.0.0", port: 7946, shared: false, sendsMulticast: true, multicastLoopback: true };
  return { ...plain, multicastTtl: 1, ...options };
}

/** Asserts that the bind rejects with this code and a message that contains `text`. */
export async function assertBindFails(
  host: MemoryHost,
  options: Partial<BindOptions>,
  code: BindError["code"],
  text: string,
): Promise<void> {
  const error = await assertRejects(() => open(host, options), BindError, text);
  assertEquals(error.code, code);
}

/** Asserts that the call rejects with this code and names the action, the rule and the value. */
export async function assertRejectsWithCode(call: () => Promise<unknown>, code: string): Promise<void> {
  const error = await assertRejects(call, Error) as Error & { readonly code?: string };
  assertEquals(error.code, code);
  assertMatch(error.message, /^Cannot .* as .*: current value is /);
}
