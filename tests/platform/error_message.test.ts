// Error messages: what is told of anything that was thrown.
import { describe, test } from "node:test";
import { assertEquals } from "@std/assert";
import { asError, codeOf } from "../../src/platform/error_message.ts";

describe("a thrown value", () => {
  test("is an error itself, or becomes the message of one", () => {
    const error = new TypeError("x");
    assertEquals(asError(error), error);
    assertEquals([asError("text").message, asError(undefined).message], ["text", "undefined"]);
  });

  test("has the code that the runtime gave it, or none", () => {
    assertEquals(codeOf(Object.assign(new Error("x"), { code: "EPIPE" })), "EPIPE");
    assertEquals(codeOf({ code: "EPIPE" }), "EPIPE");
    for (const thrown of [new Error("x"), "text", 5, null, undefined]) assertEquals(codeOf(thrown), undefined);
  });
});
