/**
 * The socket of somebody who is no node.
 *
 * @module
 */

import type { BindOptions } from "../../mod.ts";

/** It hears what is sent to it, and can speak to the group. */
export const STRANGER_SOCKET: BindOptions = {
  host: "0.0.0.0",
  port: 5000,
  shared: false,
  sendsMulticast: true,
  multicastLoopback: false,
  multicastTtl: 1,
};
