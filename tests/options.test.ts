// Every option: its default, its range, and what is said of a value that is none.
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { assert, assertEquals, assertLess, assertStrictEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
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
  { name: "batchSize", rule: "an integer from 1 to 65535", min: 1, max: 65_535, fallback: 20 },
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
  { name: "batchInterval", rule: "a number of milliseconds from 0 to 60000", min: 0, max: 60_000, fallback: 100 },
  {
    name: "peerTimeout",
    rule: "a number of milliseconds from 20 to 86400000",
    min: 20,
    max: 86_400_000,
    fallback: 60_000,
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

/** Options that the compiler would not let through. */
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
      interface: undefined,
      seeds: [],
      advertise: undefined,
      heartbeat: 5000,
      batchInterval: 100,
      batchSize: 20,
      queueSize: 1000,
      multicast: true,
      multicastTtl: 1,
      multicastLoopback: true,
      receiveBuffer: 4 * 1024 * 1024,
      receiveBufferRequired: false,
      peerTimeout: 60_000,
      maxPeers: 1024,
      extended: true,
      repairBytes: 32 * 1024 * 1024,
      repairAge: 60_000,
      minSendRate: 2000,
      maxSendRate: 200_000,
      signal: undefined,
    });
  });

  test("undefined and null are as good as absent", () => {
    const names = numbers.map(({ name }) => name);
    for (const name of [...names, "peers", "group", "multicast", "multicastLoopback"]) {
      for (const value of [undefined, null]) assertEquals(check({ [name]: value }), checkOptions({}), name);
    }
    for (const name of ["interface", "advertiseAddr"]) {
      for (const value of [undefined, ""]) assertEquals(check({ [name]: value }), checkOptions({}), name);
    }
  });

  test("there must be an object all the same", () => {
    for (const value of [null, undefined, 7946, "7946", () => {}]) {
      assertEquals(refusal(value, TypeError).split(":")[0], "Cannot open the mesh as the options must be an object");
    }
  });
});

describe("the expiry of peers", () => {
  test("is three heartbeats where that is more than a minute", () => {
    assertEquals(check({ heartbeat: 20_000 }).peerTimeout, 60_000);
    assertEquals(check({ heartbeat: 120_000 }).peerTimeout, 360_000);
  });

  test("is refused below two heartbeats, with which live peers would be forgotten", () => {
    assertEquals(check({ heartbeat: 100, peerTimeout: 200 }).peerTimeout, 200);
    assertEquals(
      refusal({ heartbeat: 100, peerTimeout: 199 }, RangeError),
      "Cannot open the mesh as `peerTimeout` must be at least 2 × `heartbeat`, 200 ms: current value is 199",
    );
  });
});

describe("the send rates", () => {
  test("give way to one that is given: the least to the most, and the most to the least", () => {
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

  for (const name of ["multicast", "multicastLoopback"] as const) {
    test(`${name} is true or false`, () => {
      for (const value of [true, false]) assertEquals(check({ [name]: value })[name], value);
      for (const [value, shown] of [[0, "0"], [1, "1"], ["false", '"false"'], [{}, "[object Object]"]]) {
        const expected = `Cannot open the mesh as \`${name}\` must be true or false: current value is ${shown}`;
        assertEquals(refusal({ [name]: value }, TypeError), expected);
      }
    });
  }

  test("wire is extended, or that of the original", () => {
    const extended = (wire?: MeshOptions["wire"]) => check({ wire }).extended;
    assertEquals([extended(), extended("extended"), extended("go-warp")], [true, true, false]);
    for (const value of ["", "plain", "Extended", true, false, 0, {}]) {
      const shown = typeof value === "string" ? JSON.stringify(value) : String(value);
      const expected = `Cannot open the mesh as \`wire\` must be "extended" or "go-warp": current value is ${shown}`;
      assertEquals(refusal({ wire: value }, TypeError), expected);
    }
  });

  test("group is an IPv4 multicast address", () => {
    for (const group of ["224.0.0.0", "239.255.255.255"]) assertEquals(check({ group }).group, group);
    const rule = "Cannot open the mesh as `group` must be an IPv4 multicast address, 224.0.0.0 to 239.255.255.255";
    for (
      const group of ["", "223.255.255.255", "240.0.0.0", "10.0.0.1", "239.0.0.256", "239.0.0", "ff02::1", "all", 239]
    ) {
      assertEquals(refusal({ group }, TypeError), `${rule}: current value is ${JSON.stringify(group)}`);
    }
  });

  test("interface is a text", () => {
    for (const text of ["eth0", "127.0.0.1", "Ethernet 2"]) assertEquals(check({ interface: text }).interface, text);
    const rule = "Cannot open the mesh as `interface` must be the name or the IPv4 address of an interface";
    for (const value of [0, true, {}, null]) {
      assertEquals(refusal({ interface: value }, TypeError), `${rule}: current value is ${value}`);
    }
  });

  test("receiveBuffer is worth a fallback only when it was asked for", () => {
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
  const good: Readonly<Record<string, readonly [string, number]>> = {
    "10.0.0.1:7946": ["10.0.0.1", 7946],
    "10.0.0.1": ["10.0.0.1", 0],
    "127.0.0.1:1": ["127.0.0.1", 1],
    "cache.default.svc.cluster.local:65535": ["cache.default.svc.cluster.local", 65535],
    "localhost": ["localhost", 0],
    "my_host-1.": ["my_host-1.", 0],
    "1and1.example:80": ["1and1.example", 80],
  };
  const rule = "Cannot open the mesh as `peers` must be `host:port` texts with an IPv4 literal or a name as host";

  test("takes literals and names, with a port or without", () => {
    const expected = Object.entries(good).map(([text, [host, port]]) => ({ text, host, port }));
    assertEquals(checkOptions({ peers: Object.keys(good) }).seeds, expected);
  });

  const none = ["", ":7946", "0.0.0.0:7946", "[::]:7946", "0"];
  const many = ["239.0.0.1:7946", "224.0.0.1", "255.255.255.255:7946", "240.0.0.1", "0.1.2.3:7946"];
  const wrong = ["[::1]:7946", "::1", "10.0.0.256:1", "10.0.0:1", "1.2.3.4.5", "a:65536", "a:-1", "a:", "a:b", "a:1:2"];
  for (const text of [...none, ...many, ...wrong, "a b:1", " a", "http://a:1", "a/b", "a".repeat(300), "ä:1"]) {
    test(`refuses ${JSON.stringify(text).slice(0, 40)}, alone or among others`, () => {
      const { message } = assertThrows(() => checkOptions({ peers: [text] }), TypeError);
      assertEquals(message.slice(0, rule.length), rule);
      assert(message.includes(JSON.stringify(text).slice(0, 50)), message);
      assertThrows(() => checkOptions({ peers: ["10.0.0.1", text] }), TypeError, rule);
    });
  }

  test("refuses what is no text, and what is no array", () => {
    for (const value of [5, null, undefined, {}, ["10.0.0.1"]]) {
      assertEquals(refusal({ peers: [value] }, TypeError).slice(0, rule.length), rule);
    }
    for (const value of ["10.0.0.1:7946", {}, 5, new Set(["a"])]) {
      const expected = "Cannot open the mesh as `peers` must be an array of `host:port` texts: current value is";
      assertEquals(refusal({ peers: value }, TypeError).slice(0, expected.length), expected);
    }
  });
});

describe("the option advertiseAddr", () => {
  test("takes a literal, a name or no host, with a port", () => {
    const good: Readonly<Record<string, readonly [string, number]>> = {
      "10.0.0.1:7946": ["10.0.0.1", 7946],
      "node-1.example:0": ["node-1.example", 0],
      ":7946": ["", 7946],
      "0.0.0.0:0": ["0.0.0.0", 0],
      "[::]:7946": ["::", 7946],
    };
    for (const [text, [host, port]] of Object.entries(good)) {
      assertEquals(checkOptions({ advertiseAddr: text }).advertise, { host, port });
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
});

describe("any value of any option", () => {
  test("is taken, or refused in one line that names the option", () => {
    const others = ["group", "interface", "peers", "advertiseAddr", "multicast", "multicastLoopback", "signal", "wire"];
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
