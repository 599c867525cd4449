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
export { govern, type RegisterOptions, type RuntimeOptions, type StartOptions } from "./govern.ts";
export { type GovernOptions, governWith } from "./govern_with.ts";
export { AgentKey } from "./identity/agent_key.ts";
export { IdentityStore, type IdentityStoreOptions } from "./identity/store.ts";
export {
  type AssemblyConfig,
  AssemblyContext,
  type AssemblyMode,
  initAssembly,
} from "./init_assembly.ts";
export type { JsonValue } from "./json.ts";
export { SDK_LIMITS } from "./limits.ts";
export type { Notice } from "./notice.ts";
export type { PreflightFinding, Redaction } from "./redaction.ts";
export { readDecision, type Reading } from "./response_map.ts";
export { SocketClient, type SocketClientOptions } from "./transports/socket/socket_client.ts";
export { GatewayClient, type GatewayClientOptions } from "./transports/gateway/gateway_client.ts";
export { HttpRpc, type HttpRpcOptions } from "./transports/gateway/http_rpc.ts";
export type { Registration } from "./transports/gateway/registration.ts";
export { registerAgent, type RegistrationOptions } from "./transports/gateway/registration.ts";
export {
  type GatewayRpc,
  type RpcAnswer,
  type RpcCode,
  RpcError,
  type RpcTerms,
} from "./transports/gateway/rpc.ts";
export { TRANSPORT_LIMITS } from "./transports/limits.ts";
export type { Timers } from "./timers.ts";
export { SDK_VERSION } from "./version.ts";
export {
  type CommandConstructor,
  type GovernedCommand,
  type GovernedCommandFactory,
  wrapCommand,
} from "./wrappers/command.ts";
export { wrapFetch, type WrapFetchOptions } from "./wrappers/fetch.ts";
export {
  type GovernedDenoFiles,
  type GovernedNodeFiles,
  wrapDenoFiles,
  wrapNodeFiles,
} from "./wrappers/files.ts";
export {
  type ToolMap,
  withAssembly,
  type WithAssemblyOptions,
  wrapFunction,
  type WrapFunctionOptions,
} from "./wrappers/tool.ts";
