/**
 * Sound node: the diagnosis of a node without any problem.
 *
 * @module
 */

import type { NodeDiagnosis } from "../../mod.ts";

export const NODE: NodeDiagnosis = {
  id: "node",
  address: "10.0.0.1:40000",
  isHealthy: true,
  adapter: "node",
  family: 4,
  port: 7946,
  group: "239.0.0.1",
  heartbeat: 5000,
  extended: true,
  requested: { multicast: true, multicastLoopback: true, receiveBuffer: 4_194_304 },
  receiveBuffer: null,
  receiveBufferRequired: false,
  multicastError: null,
  interfacesError: null,
  interfacesMissing: [],
  sendError: null,
  silentSeeds: [],
  unresolvedSeeds: [],
  peersLost: [],
  peersRefused: 0,
};
