// The arguments of `publish` and its awaited forms: what they mean, and each refusal with its message.
import { describe, test } from "node:test";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type AwaitOptions,
  checkAwait,
  checkPublish,
  checkTopology,
  hasMetadata,
  type PublishOptions,
  type TopologyOptions,
} from "../../src/pubsub/sync_bus.ts";

type Refused = readonly (readonly [unknown, typeof TypeError | typeof RangeError, string])[];

function refuse(refused: Refused, check: (value: unknown) => unknown): void {
  for (const [value, type, message] of refused) {
    const error = assertThrows(() => check(value), type, message) as Error;
    assert(error.message.startsWith("Cannot publish as "), error.message);
  }
}

describe("options of `publish`", () => {
  test("may be left out, or undefined each", () => {
    for (const options of [undefined, {}, { self: undefined, goKeys: undefined, region: undefined }]) {
      checkPublish(options);
    }
    checkPublish({ goKeys: [], self: false });
    checkPublish({ goKeys: new Array(65_536).fill("k") });
  });

  test("are refused when they are of another type", () => {
    refuse([
      [{ self: 1 }, TypeError, "`self` must be a boolean: current value is 1"],
      [{ goKeys: "k" }, TypeError, '`goKeys` must be an array of keys: current value is "k"'],
      [
        { goKeys: new Array(65_537).fill("k") },
        RangeError,
        "`goKeys` must have at most 65536 keys: current value is 65537",
      ],
      [{ timeout: 5 }, TypeError, "timeout"],
      [{ regoin: "eu" }, TypeError, "regoin"],
    ], (value) => checkPublish(value as PublishOptions));
  });

  test("attach metadata with a region, a scope or a clock, and with nothing else", () => {
    const all: readonly PublishOptions[] = [{}, { self: true, goKeys: [] }, { region: undefined }, { region: "eu" }, {
      scope: "local",
    }, { vectorClock: {} }];
    assertEquals(all.map((options) => hasMetadata(options)), [false, false, false, true, true, true]);
  });
});

describe("what `publishAndAwait` takes", () => {
  test('is a count or "all", and a time of 10 s unless it says otherwise', () => {
    assertEquals(checkAwait("all", undefined), { replicas: "all", ownZone: false, timeout: 10_000 });
    assertEquals(checkAwait(0, { timeout: 1 }), { replicas: 0, ownZone: false, timeout: 1 });
    assertEquals(checkAwait(3, { timeout: 86_400_000 }).timeout, 86_400_000);
  });

  test("is refused otherwise", () => {
    const rule = '`replicas` must be an integer from 0, or "all"';
    refuse([
      [-1, RangeError, `${rule}: current value is -1`],
      [1.5, RangeError, `${rule}: current value is 1.5`],
      [NaN, RangeError, rule],
      [Infinity, RangeError, rule],
      ["1", TypeError, `${rule}: current value is "1"`],
      [undefined, TypeError, rule],
    ], (value) => checkAwait(value as number, {}));
    const time = "`timeout` must be a number of milliseconds from 1 to 86400000";
    refuse([
      [{ timeout: 0 }, RangeError, `${time}: current value is 0`],
      [{ timeout: 86_400_001 }, RangeError, `${time}: current value is 86400001`],
      [{ timeout: NaN }, RangeError, time],
      [{ timeout: "5" }, TypeError, `${time}: current value is "5"`],
      [{ ownZone: true }, TypeError, "ownZone"],
      [{ self: 0 }, TypeError, "`self` must be a boolean"],
    ], (value) => checkAwait(1, value as AwaitOptions));
  });
});

describe("what `publishAndAwaitTopology` takes", () => {
  test("is a count of zones, without that of the publisher unless it says otherwise", () => {
    assertEquals(checkTopology(2, undefined), { zones: 2, ownZone: false, timeout: 10_000 });
    assertEquals(checkTopology(0, { ownZone: true, timeout: 7 }), { zones: 0, ownZone: true, timeout: 7 });
  });

  test("is refused otherwise", () => {
    const rule = "`minZones` must be an integer from 0";
    refuse([
      [-1, RangeError, `${rule}: current value is -1`],
      [0.5, RangeError, rule],
      ["all", TypeError, `${rule}: current value is "all"`],
    ], (value) => checkTopology(value as number, {}));
    refuse([
      [{ ownZone: "yes" }, TypeError, '`ownZone` must be a boolean: current value is "yes"'],
      [{ timeout: -1 }, RangeError, "`timeout` must be a number"],
    ], (value) => checkTopology(1, value as TopologyOptions));
  });
});
