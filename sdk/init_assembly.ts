/**
 * The front door as users of the reference's Node SDK know it. Names and shapes are its own, hence
 * the camel case; what differs is that nothing passes unasked.
 *
 * @module
 */
import type { CheckClient } from "./check_client.ts";
import { ENFORCEMENT_MODES, type EnforcementMode } from "./enforcement_mode.ts";
import { variable } from "./environment.ts";
import { ConfigurationError } from "./errors.ts";
import { connect, type StartOptions } from "./govern.ts";
import { checkedParts } from "./govern_with.ts";
import { GovernedAgent, type GovernedAgentParts } from "./governed_agent.ts";
import type { Notice } from "./notice.ts";
import { type ToolMap, withAssembly } from "./wrappers/tool.ts";

/**
 * How the SDK reaches whoever decides: `auto`: `gatewayUrl` over HTTP when it is given, else as
 * `govern()` finds it; `grpc-sidecar`: the gateway over gRPC; `napi-inprocess`: the runtime's socket;
 * `sdk-only`: only with a `gatewayClient` that can decide, as nothing else would.
 */
export type AssemblyMode = "auto" | "sdk-only" | "grpc-sidecar" | "napi-inprocess";

/** What {@linkcode initAssembly} is told. */
export interface AssemblyConfig {
  /** The gateway's web address. @default the variable `AAASM_GATEWAY_URL` */
  readonly gatewayUrl?: string;
  /** Token of an operator's enrolment. @default the variable `AAASM_API_KEY` */
  readonly apiKey?: string;
  /** Name of the agent. @default the variable `AA_AGENT_ID` */
  readonly agentId?: string;
  /** How whoever decides is reached. @default "auto" */
  readonly mode?: AssemblyMode;
  /** A client that can decide. One that cannot is refused. */
  readonly gatewayClient?: CheckClient;
  /** LangChain tools to govern in place. */
  readonly langchain?: { readonly tools?: ToolMap; readonly approvalTimeoutMs?: number };
  /** Id of the agent that started it. */
  readonly parentAgentId?: string;
  /** Team of the agent. */
  readonly teamId?: string;
  /** At most 256 characters. */
  readonly delegationReason?: string;
  /** Tool that started it. */
  readonly spawnedByTool?: string;
  /** A claim: the gateway's operators decide, and only `enforce` has effect from here. */
  readonly enforcementMode?: EnforcementMode;
  /** Wait for a person's word, milliseconds. @default 300000 */
  readonly approvalTimeoutMs?: number;
  /** Told what a person may want to see. */
  readonly onNotice?: (notice: Notice) => void;
  /** Everything else that `govern()` takes. */
  readonly start?: Pick<StartOptions, "registration" | "runtime" | "fail_closed">;
}

/** A governed agent with what it was started with. */
export class AssemblyContext extends GovernedAgent {
  /** Frameworks whose tools were governed at the start; others are governed by their adapters. */
  readonly activeAdapters: readonly string[];
  /** Whether the agent was registered with the gateway from here. */
  readonly registered: boolean;
  /** Id of the agent that started it. */
  readonly parentAgentId?: string;
  /** Team of the agent. */
  readonly teamId?: string;
  /** Why the agent was started. */
  readonly delegationReason?: string;
  /** Tool that started it. */
  readonly spawnedByTool?: string;
  /** What was claimed; the mode in force is the gateway's. */
  readonly enforcementMode?: EnforcementMode;

  /** Takes what it is made of. */
  constructor(parts: GovernedAgentParts, config: AssemblyConfig) {
    super(parts);
    this.activeAdapters = config.langchain?.tools === undefined ? [] : ["langchain-js"];
    this.registered = parts.client.transport === "grpc" || parts.client.transport === "http";
    if (config.parentAgentId !== undefined) this.parentAgentId = config.parentAgentId;
    if (config.teamId !== undefined) this.teamId = config.teamId;
    if (config.delegationReason !== undefined) this.delegationReason = config.delegationReason;
    if (config.spawnedByTool !== undefined) this.spawnedByTool = config.spawnedByTool;
    if (config.enforcementMode !== undefined) this.enforcementMode = config.enforcementMode;
  }
}

const DELEGATION_REASON_CHARS_MAX = 256;
const MODES: readonly AssemblyMode[] = ["auto", "sdk-only", "grpc-sidecar", "napi-inprocess"];

/**
 * Starts a governed agent.
 *
 * @throws {RangeError} when `delegationReason` is too long, or `enforcementMode` or `mode` is no
 * word of theirs: nothing was started.
 * @throws like `govern()`; above all when nothing could decide (trap C4).
 */
export async function initAssembly(config: AssemblyConfig = {}): Promise<AssemblyContext> {
  checkWords(config);
  const parts = checkedParts(await connect(startOptions(config)));
  const context = new AssemblyContext(parts, config);
  try {
    if (config.langchain?.tools !== undefined) {
      withAssembly(config.langchain.tools, { context, source: "langchain" });
    }
  } catch (error) {
    await context.shutdown();
    throw error;
  }
  return context;
}

function checkWords({ delegationReason = "", enforcementMode, mode }: AssemblyConfig): void {
  if (delegationReason.length > DELEGATION_REASON_CHARS_MAX) {
    throw new RangeError(
      `\`delegationReason\` is \`${delegationReason.length}\` characters, at most ${DELEGATION_REASON_CHARS_MAX}`,
    );
  }
  if (enforcementMode !== undefined && !ENFORCEMENT_MODES.includes(enforcementMode)) {
    throw new RangeError(
      `\`enforcementMode\` is \`${enforcementMode}\`: expected ${ENFORCEMENT_MODES.join(", ")}`,
    );
  }
  if (mode !== undefined && !MODES.includes(mode)) {
    throw new RangeError(`\`mode\` is \`${mode}\`: expected ${MODES.join(", ")}`);
  }
}

function startOptions(config: AssemblyConfig): StartOptions {
  const { agentId, teamId, onNotice, start = {} } = config;
  const approval_timeout_ms = config.approvalTimeoutMs ?? config.langchain?.approvalTimeoutMs;
  const enrolment = config.apiKey ?? variable("AAASM_API_KEY");
  return {
    ...(agentId === undefined ? {} : { agent_id: agentId }),
    ...(teamId === undefined ? {} : { team_id: teamId }),
    ...(onNotice === undefined ? {} : { onNotice }),
    ...(approval_timeout_ms === undefined ? {} : { approval_timeout_ms }),
    ...(start.fail_closed === undefined ? {} : { fail_closed: start.fail_closed }),
    ...(start.runtime === undefined ? {} : { runtime: start.runtime }),
    ...wayOf(config),
    registration: {
      ...start.registration,
      ...(enrolment === undefined ? {} : { enrolment }),
      ...(config.parentAgentId === undefined ? {} : { parent_agent_id: config.parentAgentId }),
      ...(config.delegationReason === undefined
        ? {}
        : { delegation_reason: config.delegationReason }),
      ...(config.spawnedByTool === undefined ? {} : { spawned_by_tool: config.spawnedByTool }),
      ...(config.enforcementMode === undefined ? {} : { enforcement_mode: config.enforcementMode }),
    },
  };
}

function wayOf(
  { gatewayClient, gatewayUrl, mode = "auto" }: AssemblyConfig,
): Pick<StartOptions, "client" | "socket" | "grpc" | "http"> {
  if (gatewayClient !== undefined) return { client: gatewayClient };
  const url = gatewayUrl ?? variable("AAASM_GATEWAY_URL");
  switch (mode) {
    case "sdk-only":
      throw new ConfigurationError(
        "`sdk-only` has nobody to decide, and this SDK has no client that allows everything: give a " +
          "`gatewayClient`, a `gatewayUrl`, or start the agent's runtime",
      );
    case "napi-inprocess":
      return { socket: true };
    case "grpc-sidecar":
      return { grpc: url ?? variable("AA_GATEWAY_ENDPOINT") ?? "http://127.0.0.1:50051" };
    case "auto":
      return url === undefined ? {} : { http: url };
  }
}
