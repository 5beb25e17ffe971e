/**
 * Mesh buses: the mesh with the options that are compared.
 *
 * @module
 */

import { type MeshBus, type MeshOptions, openMesh, type SyncEvent } from "../../mod.ts";
import { asciiKeys } from "../keys.ts";
import { type Bus, type EndpointOptions, KEY_POOL, type OpenBus } from "./bus.ts";

/**
 * The mesh with default options, except the port and the interface, which keep it on this machine and apart from
 * others.
 */
export const openMeshBus: OpenBus = async (options) => {
  const port = Number(options.targets[0]?.split(":")[1] ?? 0);
  const mesh = await openMesh({ interface: "127.0.0.1", port });
  return end(mesh, options, `127.0.0.1:${mesh.port}`, [{ prefix: "" }]);
};

/** The mesh set up for many keys: batches are filled by bytes and go by unicast alone. */
export const openFilled: OpenBus = async (options) => {
  const mesh = await openMesh(filled(options));
  return end(mesh, options, mesh.address, [{ prefix: "" }]);
};

/** The same, and each subscriber has a subscription for each key. */
export const openExact: OpenBus = async (options) => {
  const mesh = await openMesh(filled(options));
  return end(mesh, options, mesh.address, asciiKeys(KEY_POOL));
};

function filled({ targets }: EndpointOptions): MeshOptions {
  return {
    interface: "127.0.0.1",
    port: 0,
    multicast: false,
    peers: targets,
    // How long the keys of the last batch wait, which is not full.
    batchInterval: 10,
    queueSize: 10_000,
  };
}

function end(
  mesh: MeshBus,
  { heard }: EndpointOptions,
  address: string,
  topics: readonly (string | { readonly prefix: string })[],
): Bus {
  if (heard !== undefined) {
    const callback = ({ key, cause }: SyncEvent) => {
      if (cause === "publish") heard(key);
    };
    for (const topic of topics) mesh.subscribe(topic, callback);
  }
  let last: Promise<void> | undefined;
  return {
    address,
    ready: (others) => mesh.waitForPeers(others),
    publish(key) {
      last = mesh.publish(key);
    },
    flush: () => last,
    close: () => mesh.close(),
  };
}
