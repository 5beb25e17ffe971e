// Which losses are taken for congestion, and which for a property of the path.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import { SeededRandom } from "../../adapters/memory.ts";
import { CongestionDetector, type LossVerdict } from "../../src/reliability/congestion_detector.ts";

function range(from: number, to = from) {
  return { from, to };
}

/** Numbers are sent one after the other, and each peer asks for those that it loses, in packets of 20 that were sent. */
function lose(
  meter: CongestionDetector,
  { share, peers = 1, seed = 1, from = 1, count = 20_000, isSlow = false }: {
    readonly share: number;
    readonly peers?: number;
    readonly seed?: number;
    readonly from?: number;
    readonly count?: number;
    readonly isSlow?: boolean;
  },
) {
  const random = new SeededRandom(seed);
  const verdicts: Record<LossVerdict["loss"], number> = { usual: 0, high: 0, congestion: 0 };
  let firstCongestion: number | undefined;
  for (let number = from; number < from + count; number += 20) {
    const last = number + 19;
    for (let peer = 0; peer < peers; peer++) {
      const lost = Array.from({ length: 20 }, (_, i) => number + i).filter(() => random.chance(share));
      if (lost.length === 0) continue;
      const { loss } = meter.note(`peer ${peer}`, lost.map((each) => range(each)), last, isSlow);
      verdicts[loss]++;
      if (loss === "congestion") firstCongestion ??= last - from + 1;
    }
  }
  return { ...verdicts, firstCongestion };
}

describe("what a peer loses", () => {
  test("is no congestion up to one in fifty, of however many peers", () => {
    for (const peers of [1, 100]) {
      const { usual, high, congestion } = lose(new CongestionDetector(), { share: 0.02, peers });
      assertEquals(congestion, 0);
      assertLessOrEqual(high, (usual + high) / 50);
    }
  });

  test("is hardly ever, up to one in twenty-five", () => {
    const { usual, high, congestion } = lose(new CongestionDetector(), { share: 0.04, count: 200_000 });
    assertLessOrEqual(congestion, (usual + high) / 1000);
  });

  test("is congestion within 200 datagrams when it is a quarter of them, also after long without any", () => {
    for (const from of [1, 1_000_001]) {
      for (let seed = 1; seed <= 20; seed++) {
        const meter = new CongestionDetector();
        assertEquals(meter.note("peer 0", [range(from)], from + 9, false).loss, "usual");
        const { firstCongestion = Infinity } = lose(meter, { share: 0.25, seed, from: from + 100 });
        assertLessOrEqual(firstCongestion, 200);
      }
    }
  });

  test("is congestion when a burst of 50 is lost, and of a few it is not", () => {
    const meter = new CongestionDetector();
    lose(meter, { share: 0.02, count: 1000 });
    assertEquals(meter.note("peer 0", [range(1501, 1503)], 1600, false).loss, "usual");
    assertEquals(meter.note("peer 0", [range(2501, 2550)], 2600, false).loss, "congestion");
  });

  test("counts once, however often it is asked for", () => {
    const meter = new CongestionDetector();
    const verdicts = Array.from({ length: 100 }, () => meter.note("peer 0", [range(1001, 1010)], 2000, false).loss);
    assertEquals(new Set(verdicts), new Set(["usual"]));
  });

  test("counts for each peer by itself", () => {
    const meter = new CongestionDetector();
    for (let peer = 0; peer < 50; peer++) {
      assertEquals(meter.note(`peer ${peer}`, [range(1001 + 5 * peer, 1005 + 5 * peer)], 2000, false).loss, "usual");
    }
  });

  test("is worth a number that was never sent no more than one that was", () => {
    const meter = new CongestionDetector();
    assertEquals(meter.note("peer 0", [range(1, 2 ** 47)], 2, false).loss, "usual");
    assertEquals(meter.note("peer 0", [range(2 ** 47)], 2, false).loss, "usual");
  });
});

describe("after the rate has fallen", () => {
  test("what was sent before is no reason for another fall, and the rate does not rise until enough was sent", () => {
    const meter = new CongestionDetector();
    assertEquals(meter.note("peer 0", [range(901, 960)], 1000, false).loss, "congestion");
    meter.restart(1000, 30_000);
    // As much as that had arrived, and the rate is below it.
    const { carried } = meter.note("peer 0", [range(961, 1000)], 1010, false);
    assertEquals(carried, 30_000 * (1 - 100 / 512));
    // What is asked for again in bulk is lost now, as repairs are.
    assertEquals(meter.note("peer 0", [range(901, 960)], 1010, false).loss, "high");
    assertEquals(meter.note("peer 0", [range(1005)], 1010, false).loss, "high");
    assertEquals(meter.note("peer 0", [range(1205)], 1250, false).loss, "usual");
  });

  test("what was sent before says how much of it arrived, and at which rate it was sent", () => {
    const meter = new CongestionDetector();
    const told = (from: number, to: number, last: number) => meter.note("peer 0", [range(from, to)], last, false);
    assertEquals(told(745, 872, 1000), { loss: "congestion" });
    meter.restart(1000, 30_000);
    meter.restart(1200, 22_500);
    // Up to 1,000: of the last 512, half are lost.
    assertEquals(told(873, 1000, 1300), { loss: "congestion", carried: 15_000 });
    // Again: that is a loss of the repairs, whatever the rate was.
    assertEquals(told(873, 1000, 1300), { loss: "high", carried: 0, isAgain: true });
    // Of those that were sent at another rate, none counts. A few that were lost in a row do not say that nothing arrives.
    assertEquals(told(1001, 1064, 1300), { loss: "congestion", carried: 22_500 * 64 / 128 });
    assertEquals(told(1101, 1128, 1300), { loss: "congestion", carried: 22_500 * 36 / 128 });
    // Those that were sent since say what is so now.
    assertEquals(told(1201, 1202, 1300), { loss: "high" });
    assertEquals(told(1203, 1240, 1300), { loss: "congestion" });
  });

  test("what was sent before, and was not lost more than is usual, is no reason to fall", () => {
    const meter = new CongestionDetector();
    meter.restart(1000, 30_000);
    assertEquals(meter.note("peer 0", [range(900, 905)], 1300, false), { loss: "high" });
    assertEquals(meter.note("peer 0", [range(900, 905)], 1300, false), { loss: "usual" });
  });

  test("a peer to which nothing at all has come for long stood still: that says nothing of the path", () => {
    const meter = new CongestionDetector();
    meter.restart(1000, 30_000);
    assertEquals(meter.note("peer 0", [range(101, 611)], 1300, false), {
      loss: "congestion",
      carried: 30_000 * (1 - 511 / 512),
    });
    assertEquals(meter.note("peer 0", [range(612, 630)], 1300, false), { loss: "high", carried: 0 });
  });

  test("16 falls are remembered, and what was sent before counts as sent at the rate before the oldest", () => {
    const meter = new CongestionDetector();
    for (let fall = 1; fall <= 20; fall++) meter.restart(100 * fall, 30_000 - 1000 * fall);
    assertEquals(meter.note("peer 0", [range(31, 40)], 2100, false).carried, 25_000 * 118 / 128);
    assertEquals(meter.note("peer 0", [range(451, 500)], 2100, false).carried, 25_000 * (1 - 60 / 500));
    assertEquals(meter.note("peer 0", [range(581, 600)], 2100, false).carried, 24_000 * 108 / 128);
  });

  test("as much as before is congestion still", () => {
    const meter = new CongestionDetector();
    lose(meter, { share: 0.2, count: 1000 });
    meter.restart(1000, 30_000);
    assertLessOrEqual(lose(meter, { share: 0.2, from: 1001 }).firstCongestion ?? Infinity, 300);
  });
});

describe("what is lost at the lowest rates as well", () => {
  for (const share of [0.08, 0.1, 0.12]) {
    test(`is a property of the path: ${100 * share} % is no congestion from then on`, () => {
      const meter = new CongestionDetector();
      assertGreater(lose(meter, { share }).congestion, 0);
      lose(meter, { share, from: 20_001, isSlow: true });
      const { usual, high, congestion } = lose(meter, { share, from: 40_001 });
      assertLessOrEqual(congestion, (usual + high) / 100);
      assertLessOrEqual(high, usual / 2);
      // Twice as much is.
      assertLessOrEqual(lose(meter, { share: 2.2 * share, from: 60_001 }).firstCongestion ?? Infinity, 1000);
    });
  }

  test("is none when it is a quarter", () => {
    const meter = new CongestionDetector();
    lose(meter, { share: 0.25, isSlow: true });
    const { usual, congestion } = lose(meter, { share: 0.25, from: 20_001 });
    assertEquals(usual, 0);
    assertGreater(congestion, 100);
  });

  test("is forgotten when it is gone", () => {
    const meter = new CongestionDetector();
    lose(meter, { share: 0.1, isSlow: true });
    lose(meter, { share: 0.02, from: 20_001 });
    assertGreater(lose(meter, { share: 0.1, from: 40_001 }).congestion, 10);
  });

  test("is so of the peer that loses it alone", () => {
    const meter = new CongestionDetector();
    lose(meter, { share: 0.1, isSlow: true });
    assertEquals(meter.note("other", [range(20_001, 20_060)], 20_100, false).loss, "congestion");
  });
});

test("1,024 peers are measured: the one that has asked longest ago gives way", () => {
  const meter = new CongestionDetector();
  const ask = (peer: number, number: number) =>
    meter.note(`peer ${peer}`, [range(number, number + 2)], 2000, false).loss;
  for (let number = 1001; number < 1001 + 24; number += 3) ask(0, number);
  for (let peer = 1; peer <= 1023; peer++) ask(peer, 1001);
  assert(Array.from({ length: 20 }, (_, i) => ask(0, 1025 + 3 * i)).includes("congestion"));
  for (let peer = 2000; peer < 2000 + 1024; peer++) ask(peer, 1001);
  assertEquals(ask(0, 1100), "usual");
  meter.forget("peer 0");
  assertEquals(ask(0, 1001), "usual");
});
