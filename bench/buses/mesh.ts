import { type MeshBus, type MeshOptions, openMesh, type SyncEvent } from "../../mod.ts";
import { asciiKeys } from "../keys.ts";
import { type AdvertisedAddress, type Bus, KEY_POOL, type OpenBus } from "./bus.ts";

/** The mesh with default options, but for the port and the interface, which keep it on this machine and to itself. */
export const openMeshBus: OpenBus = async (place) => {
  const port = Number(place.targets[0]?.split(":")[1] ?? 0);
  const mesh = await openMesh({ interface: "127.0.0.1", port });
  return end(mesh, place, `127.0.0.1:${mesh.port}`, [{ prefix: "" }]);
};

/** The mesh set up for many keys: batches are filled by bytes and go by unicast alone. */
export const openFilled: OpenBus = async (place) => {
  const mesh = await openMesh(filled(place));
  return end(mesh, place, mesh.address, [{ prefix: "" }]);
};

/** The same, and whoever listens has a subscription for each key. */
export const openExact: OpenBus = async (place) => {
  const mesh = await openMesh(filled(place));
  return end(mesh, place, mesh.address, asciiKeys(KEY_POOL));
};

function filled({ targets }: AdvertisedAddress): MeshOptions {
  return {
    interface: "127.0.0.1",
    port: 0,
    multicast: false,
    peers: targets,
    // So long the keys of the last batch wait, which is not full.
    batchInterval: 10,
    queueSize: 10_000,
  };
}

function end(
  mesh: MeshBus,
  { heard }: AdvertisedAddress,
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
