/**
 * The socket of an unknown node: how a test binds it.
 *
 * @module
 */

import type { BindOptions } from "../../mod.ts";

/** It receives what is sent to it, and can send to the group. */
export const UNKNOWN_NODE_SOCKET: BindOptions = {
  host: "0.0.0.0",
  port: 5000,
  shared: false,
  sendsMulticast: true,
  multicastLoopback: false,
  multicastTtl: 1,
};
