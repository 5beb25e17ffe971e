// The event stream: what listeners and loops get, and how often failures are reported.
import { describe, test } from "node:test";
import { assert, assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import { VirtualClock } from "../../adapters/memory/clock.ts";
import { NOTHING_PUBLISHED } from "../../src/close_report.ts";
import type { MeshEvent } from "../../src/events.ts";
import { ErrorReporter } from "../../src/observability/error_reporter.ts";
import { EventStream } from "../../src/observability/event_stream.ts";
import { settle, watch } from "../support/outcome.ts";

const CLOSED: MeshEvent = { type: "closed", report: NOTHING_PUBLISHED };

/** An event that is identified by its name. */
function joined(name: string): MeshEvent {
  return { type: "peerJoined", peer: { id: name, address: "10.0.0.1:1" } };
}

function nameOf(event: MeshEvent): string {
  return event.type === "peerJoined" ? event.peer.id : event.type;
}

function setUp() {
  const errors: unknown[] = [];
  const stream = new EventStream((error) => errors.push(error));
  const log: string[] = [];
  const note = (name: string) => (event: MeshEvent) => void log.push(`${name}:${nameOf(event)}`);
  const emit = (...names: string[]) => names.forEach((name) => stream.emit(joined(name)));
  /** Loops to the end, and resolves to the names of all events. */
  const loop = async () => {
    const names: string[] = [];
    for await (const event of stream) names.push(nameOf(event));
    return names;
  };
  return { stream, errors, log, note, emit, loop };
}

describe("a listener", () => {
  test("gets each event as it happens, until it is stopped", () => {
    const { stream, log, note, emit } = setUp();
    const stop = stream.listen(note("1"));
    stream.listen(note("2"));
    emit("a");
    stop();
    stop();
    emit("b");
    stream.end(CLOSED);
    assertEquals(log, ["1:a", "2:a", "2:b", "2:closed"]);
  });

  test("gets the events before it, if it is the first", () => {
    const { stream, log, note, emit } = setUp();
    emit("a", "b");
    stream.listen(note("1"));
    stream.listen(note("2"));
    emit("c");
    assertEquals(log, ["1:a", "1:b", "1:c", "2:c"]);
  });

  test("gets the last 256 of the events before it", () => {
    const { stream, log, note, emit } = setUp();
    for (let i = 0; i < 300; i++) emit(String(i));
    stream.listen(note("1"));
    assertEquals([log.length, log[0], log.at(-1)], [256, "1:44", "1:299"]);
  });

  test("gets the events that happened without a listener", () => {
    const { stream, log, note, emit } = setUp();
    const stop = stream.listen(note("1"));
    emit("a");
    stop();
    emit("b");
    stream.listen(note("2"));
    assertEquals(log, ["1:a", "2:b"]);
  });

  test("gets the events before it though the mesh is closed", () => {
    const { stream, log, note, emit } = setUp();
    emit("a");
    stream.end(CLOSED);
    emit("late");
    stream.end(CLOSED);
    stream.listen(note("1"));
    assertEquals(log, ["1:a", "1:closed"]);
  });

  test("that throws or rejects does not affect others, and is reported", async () => {
    const { stream, errors, log, note, emit } = setUp();
    const failures = [new Error("thrown"), new Error("rejected")];
    stream.listen(() => {
      throw failures[0];
    });
    stream.listen(async () => {
      await undefined;
      throw failures[1];
    });
    stream.listen(note("last"));
    emit("a");
    await settle();
    emit("b");
    await settle();
    assertEquals([log, errors.length], [["last:a", "last:b"], 4]);
    failures.forEach((failure, i) => assertStrictEquals(errors[i], failure));
  });

  test("that throws on an event before it stays a listener", () => {
    const { stream, errors, emit } = setUp();
    emit("a");
    stream.listen(() => {
      throw new Error("no");
    });
    emit("b");
    assertEquals(errors.length, 2);
  });

  test("may stop others, and be stopped", () => {
    const { stream, log, note, emit } = setUp();
    stream.listen(() => stop());
    const stop = stream.listen(note("stopped"));
    stream.listen(note("last"));
    emit("a");
    assertEquals(log, ["last:a"]);
  });

  test("may wait for the next event with a new one", () => {
    const { stream, log, note, emit } = setUp();
    const waitForNext = (left: number) => {
      if (left === 0) return;
      const stop = stream.listen((event) => {
        stop();
        note(String(left))(event);
        waitForNext(left - 1);
      });
    };
    waitForNext(100);
    stream.listen(note("other"));
    emit("a", "b");
    assertEquals(log, ["100:a", "other:a", "other:b", "99:b"]);
  });

  test("must be a function", () => {
    const { stream } = setUp();
    const listen = stream.listen.bind(stream) as (listener: unknown) => void;
    for (const listener of [undefined, null, {}, "f"]) {
      assertThrows(() => listen(listener), TypeError, "Cannot listen as the listener must be a function");
    }
  });
});

describe("a loop", () => {
  test("gets the events before it, what happens, and ends when the mesh is closed", async () => {
    const { stream, emit, loop } = setUp();
    emit("a", "b");
    const names = loop();
    await settle();
    emit("c");
    await settle();
    emit("d", "e");
    stream.end(CLOSED);
    assertEquals(await names, ["a", "b", "c", "d", "e", "closed"]);
  });

  test("waits for events, and is woken by the close", async () => {
    const { stream, loop } = setUp();
    const outcome = watch(loop());
    await settle();
    assertEquals(outcome.state, "waiting");
    stream.end(CLOSED);
    await settle();
    assertEquals(outcome.state, "fulfilled");
  });

  test("ends at once when the mesh is closed already", async () => {
    const { stream, emit, loop } = setUp();
    emit("a");
    stream.end(CLOSED);
    assertEquals([await loop(), await loop()], [["a", "closed"], []]);
  });

  test("runs beside others, and each gets everything", async () => {
    const { stream, emit, loop } = setUp();
    const loops = [loop(), loop(), loop()];
    await settle();
    emit("a", "b");
    stream.end(CLOSED);
    assertEquals(await Promise.all(loops), new Array(3).fill(["a", "b", "closed"]));
  });

  test("that lags behind loses the oldest beyond 256, never the close", async () => {
    const { stream, emit } = setUp();
    const events = stream[Symbol.asyncIterator]();
    emit("first");
    assertEquals((await events.next()).value, joined("first"));
    for (let i = 0; i < 300; i++) emit(String(i));
    stream.end(CLOSED);
    const names: string[] = [];
    for await (const event of { [Symbol.asyncIterator]: () => events }) names.push(nameOf(event));
    assertEquals([names.length, names[0], names.at(-2), names.at(-1)], [256, "45", "299", "closed"]);
  });

  test("that is left while it waits ends at once", async () => {
    const { stream, emit } = setUp();
    const events = stream[Symbol.asyncIterator]();
    const waiting = events.next();
    await events.return?.();
    assertEquals(await waiting, { done: true, value: undefined });
    emit("a");
    assertEquals((await stream[Symbol.asyncIterator]().next()).value, joined("a"));
  });

  test("that is left gets no more events", async () => {
    const { stream, emit } = setUp();
    emit("a", "b");
    const events = stream[Symbol.asyncIterator]();
    for await (const event of { [Symbol.asyncIterator]: () => events }) {
      assertEquals(nameOf(event), "a");
      break;
    }
    emit("c");
    assertEquals((await events.next()).done, true);
    // It is no listener any more, so this is kept for the next one.
    assertEquals((await stream[Symbol.asyncIterator]().next()).value, joined("c"));
  });
});

describe("failures", () => {
  test("are all counted, and reported once a second for each stage", async () => {
    const clock = new VirtualClock();
    const events: MeshEvent[] = [];
    const errorReporter = new ErrorReporter(clock, (event) => events.push(event));
    const [send, resolve] = [new Error("send"), new Error("resolve")];
    for (let i = 0; i < 1000; i++) errorReporter.report("send", send);
    errorReporter.report("resolve", resolve);
    await clock.advance(999);
    errorReporter.report("send", send);
    await clock.advance(1);
    errorReporter.report("send", send);
    errorReporter.report("send", send);
    await clock.advance(60_000);
    errorReporter.report("send", send);
    const report = (stage: "send" | "resolve", suppressed: number) => ({
      type: "error" as const,
      stage,
      error: stage === "send" ? send : resolve,
      suppressed,
    });
    assertEquals(events, [report("send", 0), report("resolve", 0), report("send", 1000), report("send", 1)]);
    assertEquals([errorReporter.count("send"), errorReporter.count("resolve"), errorReporter.count("close")], [
      1004,
      1,
      0,
    ]);
  });

  test("are errors, whatever was thrown", () => {
    const events: MeshEvent[] = [];
    const thrown: readonly unknown[] = ["text", undefined, 5, Symbol("s"), Object.create(null), { toString: "no" }];
    for (const value of thrown) {
      new ErrorReporter(new VirtualClock(), (event) => events.push(event)).report("callback", value);
    }
    assertEquals(events.length, thrown.length);
    for (const event of events) {
      assert(event.type === "error");
      assertInstanceOf(event.error, Error);
    }
  });
});
