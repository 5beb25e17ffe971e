// Socket options: the default options of a test's socket.
import type { BindOptions } from "../../src/platform/datagram_socket.ts";

/** The default options of a test's socket: on this host alone, without multicast. */
export const LOCAL: BindOptions = {
  host: "127.0.0.1",
  port: 0,
  shared: false,
  sendsMulticast: false,
  multicastLoopback: true,
  multicastTtl: 1,
};
