// SRV records: the names that are looked up, and the answers of a simulated network.
import { describe, test } from "node:test";
import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { MemoryNetwork } from "../../adapters/memory.ts";
import { candidates } from "../../adapters/srv_lookup.ts";
import { resolveSrv } from "../../adapters/system.ts";

const POD =
  "nameserver 10.96.0.10\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n";

describe("the names that are looked up", () => {
  test("have the domains of the search list first, when there are few dots", () => {
    assertEquals(candidates("_warp-mesh._udp.cache.default.svc", POD), [
      "_warp-mesh._udp.cache.default.svc.default.svc.cluster.local",
      "_warp-mesh._udp.cache.default.svc.svc.cluster.local",
      "_warp-mesh._udp.cache.default.svc.cluster.local",
      "_warp-mesh._udp.cache.default.svc",
    ]);
  });

  test("have the name itself first, when there are many", () => {
    const name = "_warp-mesh._udp.cache.default.svc.cluster.local";
    assertEquals(candidates(name, POD)[0], name);
    assertEquals(candidates("a.b", "search x"), ["a.b", "a.b.x"]);
    assertEquals(candidates("a", "search x"), ["a.x", "a"]);
  });

  test("are only the name when it ends in a dot, or when there is no search list", () => {
    assertEquals(candidates("a.", POD), ["a."]);
    for (
      const conf of ["", "nameserver 10.0.0.1\n", "search\n", "search .\n", "# search x\n", "garbage \u0000\n\n;\n"]
    ) {
      assertEquals(candidates("a.b", conf), ["a.b"]);
      assertEquals(candidates("a", conf), ["a"]);
    }
  });

  test("follow the last list and the last number, and lines with any space", () => {
    const conf = "domain x\n  search  y.\tz \noptions rotate ndots:0\noptions ndots:x timeout:1\n";
    assertEquals(candidates("a", conf), ["a", "a.y", "a.z"]);
  });
});

describe("the system's resolver", () => {
  test("rejects an impossible name", async () => {
    // Longer than a name in the DNS may be, so that there is no query.
    assertInstanceOf(await assertRejects(() => resolveSrv("a".repeat(300))), Error);
  });
});

describe("a simulated network", () => {
  test("looks services up in data that may change", async () => {
    const network = new MemoryNetwork();
    const { resolveSrv } = network.host("10.0.0.1");
    const name = "_warp-mesh._udp.cache";
    const unknown = async () => {
      const error = await assertRejects(() => resolveSrv(name));
      assert(error instanceof Error && "code" in error);
      assertEquals(error.code, "ENOTFOUND");
    };
    await unknown();
    const records = [{ host: "a", port: 1 }, { host: "b", port: 2 }];
    network.services.set(name, records);
    assertEquals(await resolveSrv(name), records);
    network.services.set(name, []);
    await unknown();
    network.services.delete(name);
    await unknown();
  });

  test("returns an answer that may be modified", async () => {
    const network = new MemoryNetwork();
    const { resolveSrv } = network.host("10.0.0.1");
    network.services.set("a", [{ host: "b", port: 1 }]);
    (await resolveSrv("a") as unknown[]).length = 0;
    assertEquals((await resolveSrv("a")).length, 1);
  });

  test("resolves an IPv6 literal to itself", async () => {
    assertEquals(await new MemoryNetwork().host("10.0.0.1").resolve("fd00::1"), ["fd00::1"]);
  });
});
