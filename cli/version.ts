/**
 * Version: that of the package, as the program prints it.
 *
 * @module
 */

/**
 * The version of the package. A test compares it with the manifests: the program runs in three ways, none of which has
 * them at the same place.
 */
export const VERSION = "0.1.0";
