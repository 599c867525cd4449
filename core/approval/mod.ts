/**
 * Approvals: what a person agrees to, who may agree, and how often the answer may be used.
 *
 * @module
 */
export * from "./approver.ts";
export * from "./bound_call.ts";
export * from "./canonical_json.ts";
export * from "./condition.ts";
export * from "./limits.ts";
export * from "./record.ts";
export * from "./request.ts";
export * from "./routing.ts";
