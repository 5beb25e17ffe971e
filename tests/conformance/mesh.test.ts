// The conformance suite on meshes of real sockets.
import { describe } from "node:test";
import { onLoopback, testConformance } from "./buses.ts";

describe("meshes", () => testConformance(onLoopback));
