/**
 * How the answers of the policy bind.
 *
 * @module
 */

/**
 * The postures that an operator can give an agent, as the reference's SDKs name them:
 *
 * - `enforce` (default): a denial stops the act, a redaction cuts secrets out of it.
 * - `observe`: every act goes through and what would have been denied is recorded as such.
 * - `disabled`: nothing is evaluated; for hermetic tests.
 *
 * The mode is the gateway's word. An agent that asks for `observe` or `disabled` gets `enforce`
 * (contract `wire` §1.2; design law 6), and a gateway that observes answers ALLOW by itself: nothing
 * in this package lets an act pass because of a mode.
 */
export const ENFORCEMENT_MODES = ["enforce", "observe", "disabled"] as const;

/** One of {@linkcode ENFORCEMENT_MODES}. */
export type EnforcementMode = (typeof ENFORCEMENT_MODES)[number];
