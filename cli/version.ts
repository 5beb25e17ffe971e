/** The version of the package. A test holds it to the manifests, which none of the three ways to run it has at the same place. */
export const VERSION = "0.1.0";
