/**
 * Evaluated twice: a program that evaluates the module of the registry twice and leaves a mesh without network open: it
 * ends by itself.
 *
 * @module
 */

import { sharedMesh } from "../../mod.ts";

const specifier = "../../src/shared_meshes.ts?again";
const again: typeof import("../../src/shared_meshes.ts") = await import(specifier);
const mesh = await sharedMesh("both", { offline: true });
const same = await again.sharedMesh("both", { offline: true }, () => Promise.reject(new Error("It is open")));
console.log(String(mesh === same));
console.log("left open");
