/**
 * Puts an agent together: who it is, the way to the answers, and what it holds to.
 *
 * @module
 */
import type { AgentTriple } from "./act.ts";
import { assertCheckCapable, type CheckClient } from "./check_client.ts";
import { ConfigurationError } from "./errors.ts";
import { GovernedAgent, type GovernedAgentParts } from "./governed_agent.ts";
import { SDK_LIMITS } from "./limits.ts";
import type { Notice } from "./notice.ts";
import { SDK_VERSION } from "./version.ts";

/** What every governed agent is told, whatever the way to the answers. */
export interface GovernOptions {
  /** Who asks; missing parts are empty (contract `wire` §6.1). */
  readonly agent: Partial<AgentTriple> & { readonly agent_id: string };
  /** The way to the answers. It must be able to decide. */
  readonly client: CheckClient;
  /**
   * Whether no answer is a denial. `false` lets acts happen that nobody decided on, and tells of each
   * as a notice; it is for operators who prefer that, by name.
   *
   * @default true
   */
  readonly fail_closed?: boolean;
  /** Time for one answer, milliseconds. @default 5000 */
  readonly answer_timeout_ms?: number;
  /** Wait for a person's word, milliseconds, at most a day. @default 300000 */
  readonly approval_timeout_ms?: number;
  /** Names the run in the record. @default a random UUID */
  readonly trace_id?: string;
  /** Told what a person may want to see: approvals that wait, redactions, lost connections. */
  readonly onNotice?: (notice: Notice) => void;
}

/**
 * Governs an agent over a client that exists.
 *
 * @throws {ConfigurationError} when the client cannot decide, or an option is not sound.
 */
export function governWith(options: GovernOptions): GovernedAgent {
  return new GovernedAgent(checkedParts(options));
}

/**
 * What an agent is made of, once every option was looked at.
 *
 * @throws {ConfigurationError} like {@linkcode governWith}.
 */
export function checkedParts(options: GovernOptions): GovernedAgentParts {
  const { agent, client, ...rest } = options;
  assertCheckCapable(client);
  if (typeof agent?.agent_id !== "string" || agent.agent_id.trim() === "") {
    throw new ConfigurationError("`agent_id` is missing: say who asks");
  }
  positive("answer_timeout_ms", rest.answer_timeout_ms, SDK_LIMITS.approval_timeout_max_ms);
  positive("approval_timeout_ms", rest.approval_timeout_ms, SDK_LIMITS.approval_timeout_max_ms);
  return {
    ...rest,
    agent: { org_id: agent.org_id ?? "", team_id: agent.team_id ?? "", agent_id: agent.agent_id },
    client,
    sdk_version: SDK_VERSION,
  };
}

function positive(name: string, value: number | undefined, max: number): void {
  if (value === undefined || (Number.isInteger(value) && value > 0 && value <= max)) return;
  throw new ConfigurationError(
    `\`${name}\` is \`${value}\`: expected whole milliseconds from 1 to ${max}`,
  );
}
