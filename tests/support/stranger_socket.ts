/**
 * The socket of an unknown node.
 *
 * @module
 */

import type { BindOptions } from "../../mod.ts";

/** It receives what is sent to it, and can send to the group. */
export const STRANGER_SOCKET: BindOptions = {
  host: "0.0.0.0",
  port: 5000,
  shared: false,
  sendsMulticast: true,
  multicastLoopback: false,
  multicastTtl: 1,
};
