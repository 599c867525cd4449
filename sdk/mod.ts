/**
 * Governs an agent from inside its own process: every wrapped act is asked about before it happens.
 *
 * @module
 */

/** How the answers of the policy bind, as the reference's SDKs name it. */
export const ENFORCEMENT_MODES = ["enforce", "observe", "disabled"] as const;
