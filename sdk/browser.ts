/**
 * The SDK for browsers and edge: the policy engine and the scanner in the page itself, questions to
 * the gateway over HTTP, governed tools and `fetch`. No Node built-in, no Deno namespace.
 *
 * @example A policy that the page carries.
 * ```ts
 * import { governWith, localPolicy, PolicyViolationError } from "@agent-assembly/sdk/browser";
 *
 * const source = "tools:\n  '*':\n    allow: false\n  search:\n    allow: true\n";
 * const client = localPolicy([{ file: "page.yaml", source }], { agent_id: "page" });
 * const agent = governWith({ agent: { agent_id: "page" }, client });
 * await agent.check({ kind: "tool_call", tool: "search", args: { q: "weather" } });
 * const verdict = await agent.decide({ kind: "tool_call", tool: "deploy", args: {} });
 * if (!verdict.allowed) console.log(verdict.error instanceof PolicyViolationError); // true
 * ```
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
export { type GovernOptions, governWith } from "./govern_with.ts";
export { AgentKey } from "./identity/agent_key.ts";
export type { JsonValue } from "./json.ts";
export { SDK_LIMITS } from "./limits.ts";
export { localPolicy, type LocalPolicyOptions, type PolicyText } from "./local_policy.ts";
export type { Notice } from "./notice.ts";
export {
  type PreflightFinding,
  preflightScan,
  type Redaction,
  type RedactionResult,
} from "./redaction.ts";
export { readDecision, type Reading } from "./response_map.ts";
export type { Timers } from "./timers.ts";
export { GatewayClient, type GatewayClientOptions } from "./transports/gateway/gateway_client.ts";
export { HttpRpc, type HttpRpcOptions } from "./transports/gateway/http_rpc.ts";
export {
  registerAgent,
  type Registration,
  type RegistrationOptions,
} from "./transports/gateway/registration.ts";
export {
  type GatewayRpc,
  type RpcAnswer,
  type RpcCode,
  RpcError,
  type RpcTerms,
} from "./transports/gateway/rpc.ts";
export { TRANSPORT_LIMITS } from "./transports/limits.ts";
export { SDK_VERSION } from "./version.ts";
export { wrapFetch, type WrapFetchOptions } from "./wrappers/fetch.ts";
export {
  type ToolMap,
  withAssembly,
  type WithAssemblyOptions,
  wrapFunction,
  type WrapFunctionOptions,
} from "./wrappers/tool.ts";
