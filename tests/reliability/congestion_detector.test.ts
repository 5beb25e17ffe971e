// The congestion detector: which losses count as congestion, and which as a property of the path.
import { describe, test } from "node:test";
import { assert, assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import { SeededRandom } from "../../adapters/memory.ts";
import { CongestionDetector, type LossAssessment } from "../../src/reliability/congestion_detector.ts";

function range(from: number, to = from) {
  return { from, to };
}

/** Numbers are sent in order, and each peer requests those that it loses, in packets of 20 that were sent. */
function lose(
  detector: CongestionDetector,
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
  const results: Record<LossAssessment["loss"], number> = { usual: 0, high: 0, congestion: 0 };
  let firstCongestion: number | undefined;
  for (let number = from; number < from + count; number += 20) {
    const last = number + 19;
    for (let peer = 0; peer < peers; peer++) {
      const lost = Array.from({ length: 20 }, (_, i) => number + i).filter(() => random.chance(share));
      if (lost.length === 0) continue;
      const { loss } = detector.note(`peer ${peer}`, lost.map((each) => range(each)), last, isSlow);
      results[loss]++;
      if (loss === "congestion") firstCongestion ??= last - from + 1;
    }
  }
  return { ...results, firstCongestion };
}

describe("the loss of a peer", () => {
  test("is no congestion up to one in fifty, with any number of peers", () => {
    for (const peers of [1, 100]) {
      const { usual, high, congestion } = lose(new CongestionDetector(), { share: 0.02, peers });
      assertEquals(congestion, 0);
      assertLessOrEqual(high, (usual + high) / 50);
    }
  });

  test("is hardly ever congestion up to one in twenty-five", () => {
    const { usual, high, congestion } = lose(new CongestionDetector(), { share: 0.04, count: 200_000 });
    assertLessOrEqual(congestion, (usual + high) / 1000);
  });

  test("is congestion within 200 datagrams when it is a quarter of them, also after a long time without loss", () => {
    for (const from of [1, 1_000_001]) {
      for (let seed = 1; seed <= 20; seed++) {
        const detector = new CongestionDetector();
        assertEquals(detector.note("peer 0", [range(from)], from + 9, false).loss, "usual");
        const { firstCongestion = Infinity } = lose(detector, { share: 0.25, seed, from: from + 100 });
        assertLessOrEqual(firstCongestion, 200);
      }
    }
  });

  test("is congestion when a burst of 50 is lost, and none with a few", () => {
    const detector = new CongestionDetector();
    lose(detector, { share: 0.02, count: 1000 });
    assertEquals(detector.note("peer 0", [range(1501, 1503)], 1600, false).loss, "usual");
    assertEquals(detector.note("peer 0", [range(2501, 2550)], 2600, false).loss, "congestion");
  });

  test("counts once, however often it is requested", () => {
    const detector = new CongestionDetector();
    const results = Array.from({ length: 100 }, () => detector.note("peer 0", [range(1001, 1010)], 2000, false).loss);
    assertEquals(new Set(results), new Set(["usual"]));
  });

  test("counts for each peer separately", () => {
    const detector = new CongestionDetector();
    for (let peer = 0; peer < 50; peer++) {
      assertEquals(detector.note(`peer ${peer}`, [range(1001 + 5 * peer, 1005 + 5 * peer)], 2000, false).loss, "usual");
    }
  });

  test("counts a number that was never sent as one that was", () => {
    const detector = new CongestionDetector();
    assertEquals(detector.note("peer 0", [range(1, 2 ** 47)], 2, false).loss, "usual");
    assertEquals(detector.note("peer 0", [range(2 ** 47)], 2, false).loss, "usual");
  });
});

describe("after the rate has fallen", () => {
  test("earlier numbers cause no further fall, and the rate does not rise until enough was sent", () => {
    const detector = new CongestionDetector();
    assertEquals(detector.note("peer 0", [range(901, 960)], 1000, false).loss, "congestion");
    detector.restart(1000, 30_000);
    // As much as that had arrived, and the rate is below it.
    const { carried } = detector.note("peer 0", [range(961, 1000)], 1010, false);
    assertEquals(carried, 30_000 * (1 - 100 / 512));
    // What is requested again in bulk is lost now: retransmissions are.
    assertEquals(detector.note("peer 0", [range(901, 960)], 1010, false).loss, "high");
    assertEquals(detector.note("peer 0", [range(1005)], 1010, false).loss, "high");
    assertEquals(detector.note("peer 0", [range(1205)], 1250, false).loss, "usual");
  });

  test("earlier numbers show how much of them arrived, and at which rate they were sent", () => {
    const detector = new CongestionDetector();
    const note = (from: number, to: number, last: number) => detector.note("peer 0", [range(from, to)], last, false);
    assertEquals(note(745, 872, 1000), { loss: "congestion" });
    detector.restart(1000, 30_000);
    detector.restart(1200, 22_500);
    // Up to 1,000: of the last 512, half are lost.
    assertEquals(note(873, 1000, 1300), { loss: "congestion", carried: 15_000 });
    // Again: that is a loss of retransmissions, whatever the rate was.
    assertEquals(note(873, 1000, 1300), { loss: "high", carried: 0, isAgain: true });
    // Numbers that were sent at another rate do not count. A few lost in a row do not show that nothing arrives.
    assertEquals(note(1001, 1064, 1300), { loss: "congestion", carried: 22_500 * 64 / 128 });
    assertEquals(note(1101, 1128, 1300), { loss: "congestion", carried: 22_500 * 36 / 128 });
    // The numbers that were sent since show the present loss.
    assertEquals(note(1201, 1202, 1300), { loss: "high" });
    assertEquals(note(1203, 1240, 1300), { loss: "congestion" });
  });

  test("earlier numbers that had the usual loss cause no fall", () => {
    const detector = new CongestionDetector();
    detector.restart(1000, 30_000);
    assertEquals(detector.note("peer 0", [range(900, 905)], 1300, false), { loss: "high" });
    assertEquals(detector.note("peer 0", [range(900, 905)], 1300, false), { loss: "usual" });
  });

  test("a peer that received nothing at all for long was suspended: that says nothing of the path", () => {
    const detector = new CongestionDetector();
    detector.restart(1000, 30_000);
    assertEquals(detector.note("peer 0", [range(101, 611)], 1300, false), {
      loss: "congestion",
      carried: 30_000 * (1 - 511 / 512),
    });
    assertEquals(detector.note("peer 0", [range(612, 630)], 1300, false), { loss: "high", carried: 0 });
  });

  test("16 falls are remembered, and earlier numbers count as sent at the rate before the oldest of them", () => {
    const detector = new CongestionDetector();
    for (let fall = 1; fall <= 20; fall++) detector.restart(100 * fall, 30_000 - 1000 * fall);
    assertEquals(detector.note("peer 0", [range(31, 40)], 2100, false).carried, 25_000 * 118 / 128);
    assertEquals(detector.note("peer 0", [range(451, 500)], 2100, false).carried, 25_000 * (1 - 60 / 500));
    assertEquals(detector.note("peer 0", [range(581, 600)], 2100, false).carried, 24_000 * 108 / 128);
  });

  test("the same loss is still congestion", () => {
    const detector = new CongestionDetector();
    lose(detector, { share: 0.2, count: 1000 });
    detector.restart(1000, 30_000);
    assertLessOrEqual(lose(detector, { share: 0.2, from: 1001 }).firstCongestion ?? Infinity, 300);
  });
});

describe("a loss that is the same at the lowest rates", () => {
  for (const share of [0.08, 0.1, 0.12]) {
    test(`is a property of the path: ${100 * share} % is no congestion from then on`, () => {
      const detector = new CongestionDetector();
      assertGreater(lose(detector, { share }).congestion, 0);
      lose(detector, { share, from: 20_001, isSlow: true });
      const { usual, high, congestion } = lose(detector, { share, from: 40_001 });
      assertLessOrEqual(congestion, (usual + high) / 100);
      assertLessOrEqual(high, usual / 2);
      // Twice as much is congestion.
      assertLessOrEqual(lose(detector, { share: 2.2 * share, from: 60_001 }).firstCongestion ?? Infinity, 1000);
    });
  }

  test("is no congestion when it is a quarter", () => {
    const detector = new CongestionDetector();
    lose(detector, { share: 0.25, isSlow: true });
    const { usual, congestion } = lose(detector, { share: 0.25, from: 20_001 });
    assertEquals(usual, 0);
    assertGreater(congestion, 100);
  });

  test("is forgotten when it is over", () => {
    const detector = new CongestionDetector();
    lose(detector, { share: 0.1, isSlow: true });
    lose(detector, { share: 0.02, from: 20_001 });
    assertGreater(lose(detector, { share: 0.1, from: 40_001 }).congestion, 10);
  });

  test("is a property of the path of that peer alone", () => {
    const detector = new CongestionDetector();
    lose(detector, { share: 0.1, isSlow: true });
    assertEquals(detector.note("other", [range(20_001, 20_060)], 20_100, false).loss, "congestion");
  });
});

test("1,024 peers are measured: the one whose last request is the longest ago is forgotten", () => {
  const detector = new CongestionDetector();
  const request = (peer: number, number: number) =>
    detector.note(`peer ${peer}`, [range(number, number + 2)], 2000, false).loss;
  for (let number = 1001; number < 1001 + 24; number += 3) request(0, number);
  for (let peer = 1; peer <= 1023; peer++) request(peer, 1001);
  assert(Array.from({ length: 20 }, (_, i) => request(0, 1025 + 3 * i)).includes("congestion"));
  for (let peer = 2000; peer < 2000 + 1024; peer++) request(peer, 1001);
  assertEquals(request(0, 1100), "usual");
  detector.forget("peer 0");
  assertEquals(request(0, 1001), "usual");
});
