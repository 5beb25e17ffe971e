// The conformance suite on meshes of a simulated network.
import { describe } from "node:test";
import { goWire, inMemory, testConformance } from "./buses.ts";

describe("meshes", () => testConformance(inMemory()));
describe("meshes with go-warp's wire", () => testConformance(goWire));
