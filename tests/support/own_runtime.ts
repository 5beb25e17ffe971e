/**
 * The runtime that runs the tests.
 *
 * @module
 */

/** Whether it is Node, which runs every test. */
export const IS_NODE: boolean = !("Deno" in globalThis || "Bun" in globalThis);
