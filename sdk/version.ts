/**
 * The version that clients sign and events carry.
 *
 * @module
 */

/** Version of this package. */
export const SDK_VERSION = "0.4.0";
