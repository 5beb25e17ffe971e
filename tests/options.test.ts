// Options: the default and the range of each, and the error for a wrong value.
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { assert, assertEquals, assertLess, assertStrictEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import type { SeedSpec } from "../src/discovery/seed_spec.ts";
import { checkOptions, type MeshOptions, type Settings } from "../src/options.ts";

interface NumberRule {
  readonly name: keyof MeshOptions & keyof Settings;
  readonly rule: string;
  readonly min: number;
  readonly max: number;
  readonly fallback: number;
}

const numbers: readonly NumberRule[] = [
  { name: "port", rule: "an integer from 0 to 65535", min: 0, max: 65_535, fallback: 7946 },
  { name: "batchSize", rule: "an integer from 1 to 65535", min: 1, max: 65_535, fallback: 65_535 },
  { name: "queueSize", rule: "an integer from 1 to 1000000", min: 1, max: 1_000_000, fallback: 1000 },
  { name: "multicastTtl", rule: "an integer from 1 to 255", min: 1, max: 255, fallback: 1 },
  {
    name: "receiveBuffer",
    rule: "an integer from 4096 to 1073741824",
    min: 4096,
    max: 1_073_741_824,
    fallback: 4_194_304,
  },
  { name: "maxPeers", rule: "an integer from 1 to 65536", min: 1, max: 65_536, fallback: 1024 },
  {
    name: "heartbeat",
    rule: "a number of milliseconds from 10 to 3600000",
    min: 10,
    max: 3_600_000,
    fallback: 5000,
  },
  {
    name: "resolveInterval",
    rule: "a number of milliseconds from 100 to 86400000",
    min: 100,
    max: 86_400_000,
    fallback: 30_000,
  },
  { name: "batchInterval", rule: "a number of milliseconds from 0 to 60000", min: 0, max: 60_000, fallback: 100 },
  {
    name: "peerTimeout",
    rule: "a number of milliseconds from 20 to 86400000",
    min: 20,
    max: 86_400_000,
    fallback: 15_000,
  },
  {
    name: "repairBytes",
    rule: "an integer from 65536 to 1073741824",
    min: 65_536,
    max: 1_073_741_824,
    fallback: 33_554_432,
  },
  {
    name: "repairAge",
    rule: "a number of milliseconds from 100 to 86400000",
    min: 100,
    max: 86_400_000,
    fallback: 60_000,
  },
  {
    name: "maxRepairTime",
    rule: "a number of milliseconds from 100 to 86400000",
    min: 100,
    max: 86_400_000,
    fallback: 5000,
  },
  { name: "minSendRate", rule: "an integer from 1 to 1000000", min: 1, max: 1_000_000, fallback: 2000 },
  { name: "maxSendRate", rule: "an integer from 1 to 1000000", min: 1, max: 1_000_000, fallback: 200_000 },
];

/** What has to be given with an option so that all of its range is allowed. */
const company: Readonly<Record<string, MeshOptions>> = {
  // It must be twice the heartbeat, whose smallest value allows the smallest of this.
  peerTimeout: { heartbeat: 10 },
  minSendRate: { maxSendRate: 1_000_000 },
  maxSendRate: { minSendRate: 1 },
};

/** Options that the compiler would not accept. */
function check(options: unknown): Settings {
  return checkOptions(options as MeshOptions);
}

function refusal(options: unknown, type: typeof TypeError | typeof RangeError): string {
  const error = assertThrows(() => check(options), Error);
  assertStrictEquals(error.constructor, type, error.message);
  return error.message;
}

describe("without options", () => {
  test("the defaults are those of the documentation", () => {
    assertEquals(checkOptions({}), {
      port: 7946,
      group: "239.0.0.1",
      family: 4,
      interface: undefined,
      interfaces: undefined,
      waitForInterface: false,
      seeds: [],
      resolveInterval: 30_000,
      discover: undefined,
      advertise: undefined,
      heartbeat: 5000,
      batchInterval: 100,
      batchSize: 65_535,
      queueSize: 1000,
      multicast: true,
      multicastTtl: 1,
      multicastLoopback: true,
      receiveBuffer: 4 * 1024 * 1024,
      receiveBufferRequired: false,
      peerTimeout: 15_000,
      quietTimeout: 60_000,
      maxPeers: 1024,
      extended: true,
      repairBytes: 32 * 1024 * 1024,
      repairAge: 60_000,
      maxRepairTime: 5000,
      minSendRate: 2000,
      maxSendRate: 200_000,
      zone: undefined,
      region: undefined,
      signal: undefined,
    });
  });

  test("undefined and null count as absent", () => {
    const names = numbers.map(({ name }) => name);
    for (
      const name of [
        ...names,
        "peers",
        "group",
        "family",
        "discover",
        "multicast",
        "multicastLoopback",
        "waitForInterface",
      ]
    ) {
      for (const value of [undefined, null]) assertEquals(check({ [name]: value }), checkOptions({}), name);
    }
    for (const name of ["interface", "advertiseAddr"]) {
      for (const value of [undefined, ""]) assertEquals(check({ [name]: value }), checkOptions({}), name);
    }
  });

  test("an object is required all the same", () => {
    for (const value of [null, undefined, 7946, "7946", () => {}]) {
      assertEquals(refusal(value, TypeError).split(":")[0], "Cannot open the mesh as the options must be an object");
    }
  });
});

describe("the expiry of peers", () => {
  test("is three heartbeats where that is more than a minute", () => {
    const timeouts = (options: MeshOptions) => [check(options).peerTimeout, check(options).quietTimeout];
    assertEquals(timeouts({ heartbeat: 20_000 }), [60_000, 60_000]);
    assertEquals(timeouts({ heartbeat: 100 }), [300, 60_000]);
    assertEquals(timeouts({ heartbeat: 120_000 }), [360_000, 360_000]);
    assertEquals(timeouts({ heartbeat: 100, peerTimeout: 1000 }), [1000, 1000]);
  });

  test("is refused below two heartbeats, with which live peers would be lost", () => {
    assertEquals(check({ heartbeat: 100, peerTimeout: 200 }).peerTimeout, 200);
    assertEquals(
      refusal({ heartbeat: 100, peerTimeout: 199 }, RangeError),
      "Cannot open the mesh as `peerTimeout` must be at least 2 × `heartbeat`, 200 ms: current value is 199",
    );
  });
});

describe("the send rates", () => {
  test("adapt to one that is given: the least to the most, and the most to the least", () => {
    const rates = (options: MeshOptions) => {
      const { minSendRate, maxSendRate } = checkOptions(options);
      return [minSendRate, maxSendRate];
    };
    assertEquals(rates({ maxSendRate: 100 }), [100, 100]);
    assertEquals(rates({ maxSendRate: 5000 }), [2000, 5000]);
    assertEquals(rates({ minSendRate: 500_000 }), [500_000, 500_000]);
    assertEquals(rates({ minSendRate: 1 }), [1, 200_000]);
    assertEquals(rates({ minSendRate: 300, maxSendRate: 300 }), [300, 300]);
  });

  test("are refused when the most is below the least", () => {
    assertEquals(
      refusal({ minSendRate: 300, maxSendRate: 299 }, RangeError),
      "Cannot open the mesh as `maxSendRate` must be at least `minSendRate`, 300: current value is 299",
    );
  });
});

describe("the option", () => {
  for (const { name, rule, min, max, fallback } of numbers) {
    const base = company[name] ?? {};
    test(`${name} is ${rule}`, () => {
      for (const value of [min, max, fallback]) assertEquals(check({ ...base, [name]: value })[name], value);
      const whole = rule.startsWith("an integer");
      if (!whole) assertEquals(check({ ...base, [name]: min + 0.5 })[name], min + 0.5);
      const outside = [min - 1, max + 1, NaN, Infinity, -Infinity, min - 1e-9, ...(whole ? [min + 0.5] : [])];
      for (const value of outside) {
        const expected = `Cannot open the mesh as \`${name}\` must be ${rule}: current value is ${value}`;
        assertEquals(refusal({ ...base, [name]: value }, RangeError), expected);
      }
      for (
        const [value, shown] of [["5", '"5"'], [true, "true"], [{}, "[object Object]"], [[50], "[50]"], [50n, "50"]]
      ) {
        const expected = `Cannot open the mesh as \`${name}\` must be ${rule}: current value is ${shown}`;
        assertEquals(refusal({ [name]: value }, TypeError), expected);
      }
    });

    test(`${name} is documented so`, () => {
      const doc = documentation(name);
      const numbersOf = (text: string) => Number(text.replaceAll(/[,_]/g, ""));
      const range = /(?:: |bytes: )([\d,]+) to ([\d,]+)/.exec(doc);
      assertEquals([range?.[1], range?.[2]].map((text) => numbersOf(text ?? "")), [min, max]);
      const fallbackText = /@default (?:\{([\d,_]+)\}|([\d,]+))/.exec(doc);
      assertEquals(numbersOf(fallbackText?.[1] ?? fallbackText?.[2] ?? ""), fallback);
    });
  }

  for (const name of ["multicast", "multicastLoopback", "waitForInterface"] as const) {
    test(`${name} is true or false`, () => {
      for (const value of [true, false]) assertEquals(check({ [name]: value })[name], value);
      for (const [value, shown] of [[0, "0"], [1, "1"], ["false", '"false"'], [{}, "[object Object]"]]) {
        const expected = `Cannot open the mesh as \`${name}\` must be true or false: current value is ${shown}`;
        assertEquals(refusal({ [name]: value }, TypeError), expected);
      }
    });
  }

  test("batchSize has go-warp's default where only its wire is spoken", () => {
    const sizes = [{}, { batchSize: 7 }].map((given) => check({ wire: "go-warp", ...given }).batchSize);
    assertEquals(sizes, [20, 7]);
  });

  test("wire is extended, or go-warp's", () => {
    const extended = (wire?: MeshOptions["wire"]) => check({ wire }).extended;
    assertEquals([extended(), extended("extended"), extended("go-warp")], [true, true, false]);
    for (const value of ["", "plain", "Extended", true, false, 0, {}]) {
      const shown = typeof value === "string" ? JSON.stringify(value) : String(value);
      const expected = `Cannot open the mesh as \`wire\` must be "extended" or "go-warp": current value is ${shown}`;
      assertEquals(refusal({ wire: value }, TypeError), expected);
    }
  });

  test("group is a multicast address, and gives the family of the mesh", () => {
    const groups = (options: MeshOptions) => {
      const { group, family } = checkOptions(options);
      return [group, family];
    };
    for (const group of ["224.0.0.0", "239.255.255.255"]) assertEquals(groups({ group }), [group, 4]);
    assertEquals(groups({ group: "FF12:0::5752:0001" }), ["ff12::5752:1", 6]);
    for (const group of ["ff00::", "ffff::ffff"]) assertEquals(groups({ group }), [group, 6]);
    const rule = "Cannot open the mesh as `group` must be an IPv4 multicast address, 224.0.0.0 to 239.255.255.255, " +
      "or an IPv6 multicast address, ff00::/8";
    const v4 = ["", "223.255.255.255", "240.0.0.0", "10.0.0.1", "239.0.0.256", "239.0.0", "all", 239];
    const v6 = [
      "fd00::1",
      "::",
      "::1",
      "fe02::1",
      "ff::1",
      "ff:1:2::",
      "ff02::1%eth0",
      "[ff02::1]",
      "ff02::1::2",
      "ff02::g",
    ];
    for (const group of [...v4, ...v6]) {
      assertEquals(refusal({ group }, TypeError), `${rule}: current value is ${JSON.stringify(group)}`);
    }
  });

  test("family is 4 or 6, and the group is of that family", () => {
    const groups = (options: MeshOptions) => {
      const { group, family } = checkOptions(options);
      return [group, family];
    };
    assertEquals([groups({}), groups({ family: 4 })], [["239.0.0.1", 4], ["239.0.0.1", 4]]);
    assertEquals(groups({ family: 6 }), ["ff12::5752:1", 6]);
    assertEquals(groups({ family: 6, group: "ff02::fb" }), ["ff02::fb", 6]);
    for (const [value, shown] of [[5, "5"], ["6", '"6"'], [true, "true"], [{}, "[object Object]"]]) {
      const expected = `Cannot open the mesh as \`family\` must be 4 or 6: current value is ${shown}`;
      assertEquals(refusal({ family: value }, TypeError), expected);
    }
    assertEquals(
      refusal({ family: 4, group: "ff02::fb" }, TypeError),
      "Cannot open the mesh as `group` must be an IPv4 multicast address, 224.0.0.0 to 239.255.255.255, as `family` is 4: " +
        'current value is "ff02::fb"',
    );
    assertEquals(
      refusal({ family: 6, group: "239.0.0.1" }, TypeError),
      "Cannot open the mesh as `group` must be an IPv6 multicast address, ff00::/8, as `family` is 6: " +
        'current value is "239.0.0.1"',
    );
  });

  test("interface is a text, a list of texts, or all", () => {
    const chosen = (value: unknown) => {
      const settings = check({ interface: value });
      return [settings.interface, settings.interfaces];
    };
    for (const text of ["eth0", "127.0.0.1", "Ethernet 2", "::1", "All"]) assertEquals(chosen(text), [text, undefined]);
    assertEquals(chosen("all"), [undefined, "all"]);
    assertEquals(chosen(["eth0"]), [undefined, ["eth0"]]);
    assertEquals(chosen(["eth0", "10.0.0.1", "eth0"]), [undefined, ["eth0", "10.0.0.1"]]);
    const rule = "Cannot open the mesh as `interface` must be the name or an address of an interface, " +
      'a list of 1 to 64 of those, or "all"';
    const bad = [[0, "0"], [true, "true"], [{}, "[object Object]"], [null, "null"], [[], "[]"], [[""], '[""]'], [
      [5],
      "[5]",
    ]];
    for (const [value, shown] of [...bad, [["eth0", "all"], '["eth0","all"]']]) {
      assertEquals(refusal({ interface: value }, TypeError), `${rule}: current value is ${shown}`);
    }
    const names = Array.from({ length: 65 }, (_, i) => `eth${i}`);
    assertEquals(checkOptions({ interface: names.slice(1) }).interfaces, names.slice(1));
    refusal({ interface: names }, TypeError);
  });

  test("discover is an async iterable, or a function", () => {
    async function* lists(): AsyncGenerator<readonly string[]> {}
    for (const value of [lists, lists()]) assertStrictEquals(check({ discover: value }).discover, value);
    const rule =
      "Cannot open the mesh as `discover` must be an async iterable of arrays of texts, or a function that returns one";
    for (
      const [value, shown] of [[5, "5"], ["a:1", '"a:1"'], [["a:1"], '["a:1"]'], [{}, "[object Object]"], [
        true,
        "true",
      ]]
    ) {
      assertEquals(refusal({ discover: value }, TypeError), `${rule}: current value is ${shown}`);
    }
  });

  test("receiveBuffer has a fallback only when it was given", () => {
    assertEquals([check({ receiveBuffer: 4096 }).receiveBufferRequired, check({}).receiveBufferRequired], [
      true,
      false,
    ]);
  });

  test("signal is an AbortSignal", () => {
    const { signal } = new AbortController();
    assertStrictEquals(check({ signal }).signal, signal);
    for (const value of [new AbortController(), {}, true, null, "signal"]) {
      const expected = "Cannot open the mesh as `signal` must be an AbortSignal";
      assertEquals(refusal({ signal: value }, TypeError).split(":")[0], expected);
    }
  });
});

describe("the option peers", () => {
  const good: Readonly<Record<string, readonly [SeedSpec["kind"], string, number]>> = {
    "10.0.0.1:7946": ["literal", "10.0.0.1", 7946],
    "10.0.0.1": ["literal", "10.0.0.1", 0],
    "127.0.0.1:1": ["literal", "127.0.0.1", 1],
    "cache.default.svc.cluster.local:65535": ["name", "cache.default.svc.cluster.local", 65535],
    "localhost": ["name", "localhost", 0],
    "my_host-1.": ["name", "my_host-1.", 0],
    "1and1.example:80": ["name", "1and1.example", 80],
    "srv:_warp-mesh._udp.cache.default.svc": ["srv", "_warp-mesh._udp.cache.default.svc", 0],
    "srv:cache": ["srv", "cache", 0],
    "srv": ["name", "srv", 0],
    // A port: the name of a service has a letter.
    "srv:7946": ["name", "srv", 7946],
  };
  const good6: typeof good = {
    "[fd00::1]:7946": ["literal", "fd00::1", 7946],
    "[FD00:0:0::0001]": ["literal", "fd00::1", 0],
    "::1": ["literal", "::1", 0],
    "fd00::1:7946": ["literal", "fd00::1:7946", 0],
    "1:2:3:4:5:6:7:8": ["literal", "1:2:3:4:5:6:7:8", 0],
    "[fe80::1%eth0]:1": ["literal", "fe80::1%eth0", 1],
    "fe80::1%2": ["literal", "fe80::1%2", 0],
    "cache:1": ["name", "cache", 1],
    "srv:cache": ["srv", "cache", 0],
  };
  const rule = "Cannot open the mesh as `peers` must be `host:port` texts with an IPv4 literal or a name as host";
  const rule6 = "Cannot open the mesh as `peers` must be `host:port` texts with an IPv6 literal in brackets";

  test("takes literals, names and services, with a port or without", () => {
    for (const [family, texts] of [[4, good], [6, good6]] as const) {
      const expected = Object.entries(texts).map(([text, [kind, host, port]]) => ({ text, kind, host, port }));
      assertEquals(checkOptions({ family, peers: Object.keys(texts) }).seeds, expected);
    }
  });

  function refuses(options: MeshOptions, rule: string, text: string): void {
    test(`refuses ${JSON.stringify(text).slice(0, 40)} ${options.family ?? ""}, alone or among others`, () => {
      const { message } = assertThrows(() => checkOptions({ ...options, peers: [text] }), TypeError);
      assertEquals(message.slice(0, rule.length), rule);
      assert(message.includes(JSON.stringify(text).slice(0, 50)), message);
      assertThrows(() => checkOptions({ ...options, peers: ["cache", text] }), TypeError, rule);
    });
  }

  const none = ["", ":7946", "0.0.0.0:7946", "[::]:7946", "0", "srv:", "[]", "[]:1"];
  const many = ["239.0.0.1:7946", "224.0.0.1", "255.255.255.255:7946", "240.0.0.1", "0.1.2.3:7946"];
  const wrong = [
    "10.0.0.256:1",
    "10.0.0:1",
    "1.2.3.4.5",
    "a:65536",
    "a:-1",
    "a:0",
    "a:",
    "a:b",
    "a:1:2",
    "[a]:1",
    "[10.0.0.1]:1",
  ];
  const srv = ["srv:a:1", "srv:a b", "srv:[::1]", "srv:srv:a", `srv:${"a".repeat(300)}`, "SRV:a"];
  const texts = ["a b:1", " a", "http://a:1", "a/b", "a".repeat(300), "ä:1", "a\n:1", "a:1\n", "a: 1", "a:1e3"];
  for (const text of [...none, ...many, ...wrong, ...srv, ...texts]) refuses({}, rule, text);
  const wrong6 = [
    "ff02::1",
    "[ff02::1]:1",
    "::",
    "[::]:1",
    "fe80::1",
    "[fd00::1%eth0]:1",
    "[::ffff:10.0.0.1]:1",
    "[fd00::1",
    "[fd00::g]:1",
  ];
  const more6 = [
    "[fd00::1]:65536",
    "[fd00::1]:0",
    "[fd00::1]1",
    "[[::1]]:1",
    "[fe80::1%]:1",
    "[fe80::1%a b]:1",
    "1:2:3:4:5:6:7:8:9",
  ];
  for (const text of [...wrong6, ...more6]) refuses({ family: 6 }, rule6, text);

  const other = (family: 4 | 6) => `Cannot open the mesh as \`peers\` must be of the mesh's family, IPv${family}`;
  for (const text of ["[::1]:7946", "::1", "[fe80::1%eth0]:1"]) refuses({}, other(4), text);
  for (const text of ["10.0.0.1", "10.0.0.1:1"]) refuses({ family: 6 }, other(6), text);

  test("refuses an item that is no text, and a value that is no array", () => {
    for (const value of [5, null, undefined, {}, ["10.0.0.1"]]) {
      assertEquals(refusal({ peers: [value] }, TypeError).slice(0, rule.length), rule);
    }
    for (const value of ["10.0.0.1:7946", {}, 5, new Set(["a"])]) {
      const expected = "Cannot open the mesh as `peers` must be an array of `host:port` texts: current value is";
      assertEquals(refusal({ peers: value }, TypeError).slice(0, expected.length), expected);
    }
  });

  test("takes 1024 texts", () => {
    const peers = Array.from({ length: 1025 }, (_, i) => `n${i}`);
    assertEquals(checkOptions({ peers: peers.slice(1) }).seeds.length, 1024);
    const expected = "Cannot open the mesh as `peers` must be at most 1024 texts: current value is 1025";
    assertEquals(refusal({ peers }, RangeError), expected);
  });
});

describe("the option advertiseAddr", () => {
  test("takes a literal of the mesh's family, a name or no host, with a port", () => {
    const both: Readonly<Record<string, readonly [string, number]>> = {
      "node-1.example:0": ["node-1.example", 0],
      ":7946": ["", 7946],
      "0.0.0.0:0": ["0.0.0.0", 0],
      "[::]:7946": ["::", 7946],
    };
    const own = { 4: { "10.0.0.1:7946": ["10.0.0.1", 7946] }, 6: { "[FD00:0::1]:7946": ["fd00::1", 7946] } };
    for (const family of [4, 6] as const) {
      for (const [text, [host, port]] of Object.entries({ ...both, ...own[family] })) {
        assertEquals(checkOptions({ family, advertiseAddr: text }).advertise, { host, port });
      }
    }
  });

  const rule = "Cannot open the mesh as `advertiseAddr` must be `host:port` with an IPv4 literal or a name as host";
  const bad = ["10.0.0.1", "10.0.0.1:65536", "239.0.0.1:1", "255.255.255.255:1", "0.1.2.3:1", "[::1]:1", "a b:1", ":"];
  for (const value of [...bad, "10.0.0.256:1", 7946, {}, true]) {
    test(`refuses ${JSON.stringify(value)}`, () => {
      const shown = typeof value === "object" ? String(value) : JSON.stringify(value);
      assertEquals(refusal({ advertiseAddr: value }, TypeError), `${rule}: current value is ${shown}`);
    });
  }

  const rule6 =
    "Cannot open the mesh as `advertiseAddr` must be `host:port` with an IPv6 literal in brackets or a name as host";
  for (
    const value of [
      "10.0.0.1:1",
      "::1",
      "[::1]",
      "[ff02::1]:1",
      "[::ffff:10.0.0.1]:1",
      "[fd00::g]:1",
      "fd00::1:1",
      "1.2.3:1",
    ]
  ) {
    test(`refuses ${JSON.stringify(value)} in a mesh of IPv6`, () => {
      const expected = `${rule6}: current value is ${JSON.stringify(value)}`;
      assertEquals(refusal({ family: 6, advertiseAddr: value }, TypeError), expected);
    });
  }
});

describe("any value of any option", () => {
  test("is accepted, or refused in one line that names the option", () => {
    const others = [
      "group",
      "family",
      "discover",
      "interface",
      "peers",
      "advertiseAddr",
      "multicast",
      "multicastLoopback",
      "waitForInterface",
      "signal",
      "wire",
    ];
    const names = [...numbers.map(({ name }) => name), ...others];
    const value = fc.oneof(
      fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true, withTypedArray: true }),
      fc.string(),
      fc.func(fc.anything()),
      fc.double(),
    );
    fc.assert(
      fc.property(fc.constantFrom(...names), value, (name, value) => {
        let message: string;
        try {
          checkOptions({ [name]: value });
          return;
        } catch (error) {
          assert(error instanceof TypeError || error instanceof RangeError);
          message = error.message;
        }
        assertEquals(message.split("`")[1], name);
        assert(message.startsWith(`Cannot open the mesh as \`${name}\` must be `), message);
        assert(/: current value is .+$/s.test(message), message);
        assert(!message.includes("\n"), message);
        assertLess(message.length, 250);
      }),
      { numRuns: 1000 },
    );
  });
});

/** The comment before an option's declaration. */
function documentation(name: string): string {
  const source = readFileSync(new URL("../src/options.ts", import.meta.url), "utf8");
  const before = source.slice(0, source.indexOf(`readonly ${name}?:`));
  return before.slice(before.lastIndexOf("/**")).replaceAll(/\s*\n\s*\*\s?/g, " ");
}
