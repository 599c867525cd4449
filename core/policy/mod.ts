/**
 * The policy engine: load, compile, decide, explain. Pure; no I/O, no clock.
 *
 * @module
 */
export type { Spend } from "./budget.ts";
export * from "./compile.ts";
export { decide, ENGINE_FAULT, type Facts, NO_APPLICABLE_POLICY, NO_POLICY } from "./decide.ts";
export type { DetectionRules, ScannerFactory } from "./detection.ts";
export { policyDigest } from "./digest.ts";
export * from "./document.ts";
export * from "./explain.ts";
export * from "./filesystem.ts";
export { policyJsonSchema } from "./json_schema.ts";
export * from "./load.ts";
export * from "./matrix.ts";
export * from "./network.ts";
export * from "./position.ts";
export * from "./rate_limit.ts";
export { rateScope } from "./rate_rules.ts";
export * from "./ssrf.ts";
