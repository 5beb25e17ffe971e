import type { BindOptions } from "../../src/platform/datagram_socket.ts";

/** What a test asks of a socket unless it says otherwise: on this host alone, with no multicast. */
export const LOCAL: BindOptions = {
  host: "127.0.0.1",
  port: 0,
  shared: false,
  sendsMulticast: false,
  multicastLoopback: true,
  multicastTtl: 1,
};
