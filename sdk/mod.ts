/**
 * Governs an agent from inside its own process: every wrapped act is asked about before it happens.
 *
 * @module
 */
export * from "./errors.ts";
export { ENFORCEMENT_MODES, type EnforcementMode } from "./enforcement_mode.ts";
export type {
  Act,
  AgentTriple,
  FileAct,
  LlmCallAct,
  NetworkAct,
  Operation,
  ProcessAct,
  ToolCallAct,
  ToolResultAct,
} from "./act.ts";
export {
  type AnswerReasons,
  assertCheckCapable,
  type CheckAnswer,
  type CheckCall,
  type CheckClient,
  type HeartbeatAnswer,
} from "./check_client.ts";
export type { EdgeReport, LlmCallReport } from "./events/event.ts";
export {
  type CheckOptions,
  type Clearance,
  GovernedAgent,
  type GovernedAgentParts,
  type ToolCallOptions,
  type Verdict,
} from "./governed_agent.ts";
export { type GovernOptions, governWith } from "./govern.ts";
export type { JsonValue } from "./json.ts";
export { SDK_LIMITS } from "./limits.ts";
export type { Notice } from "./notice.ts";
export type { PreflightFinding, Redaction } from "./redaction.ts";
export { readDecision, type Reading } from "./response_map.ts";
export { SDK_VERSION } from "./version.ts";
export {
  type ToolMap,
  withAssembly,
  type WithAssemblyOptions,
  wrapFunction,
  type WrapFunctionOptions,
} from "./wrappers/tool.ts";
