// The conformance suite on in-process buses.
import { describe } from "node:test";
import { inProcess, inProcessWithClock, testConformance } from "./buses.ts";

describe("in-process buses without a clock", () => testConformance(inProcess));
describe("in-process buses with a clock", () => testConformance(inProcessWithClock));
