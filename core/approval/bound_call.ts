/**
 * What an approval is bound to: one agent, one action with every field, the policy documents that
 * asked, and the price. A person agrees to the digest of all of it; only a call with the same digest
 * may use the answer (design B3).
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Action } from "../action.ts";
import type { IdentityAssurance } from "../principal.ts";
import { canonicalJson, type CanonicalObject, type CanonicalValue } from "./canonical_json.ts";

/** Version of what is hashed; it is part of the text, so that versions never agree by accident. */
const FORM = "aasm-approval/1";

/** The agent side of a bound call. */
export interface BoundAgent {
  /** Registry key of a proven agent, else `asserted:` and the engine key of the claimed id. */
  readonly key: string;
  /** Agent id text. */
  readonly agent_id: string;
  readonly org_id?: string;
  readonly team_id?: string;
  readonly assurance: IdentityAssurance;
}

/** One call, ready to be hashed. */
export interface BoundCall {
  readonly agent: BoundAgent;
  /** The action with every field; texts exactly as sent. See {@linkcode exactAction}. */
  readonly action: CanonicalObject;
  /** Digests of every document that took part, in cascade order. */
  readonly policy_digests: readonly string[];
  /** Worst-case price, micro-dollars. */
  readonly micro_usd: number;
  /** Who or what asks for a person's word. */
  readonly asked_by: "policy" | "anomaly";
}

/** The parts of a call that can differ, by the name a refusal uses. */
export const CALL_PARTS = ["agent", "action", "policy", "price", "asker"] as const;

/** One part of a call. */
export type CallPart = (typeof CALL_PARTS)[number];

/** The digest of a call and of its parts: `sha256:` and 64 hex digits each. */
export interface CallDigest {
  readonly digest: string;
  readonly parts: Readonly<Record<CallPart, string>>;
}

/**
 * Digests a call.
 *
 * @throws {CanonicalJsonError} when a field has no canonical form: such a call cannot be approved.
 */
export function digestCall(call: BoundCall): CallDigest {
  const { agent } = call;
  const values: Readonly<Record<CallPart, CanonicalValue>> = {
    agent: {
      key: agent.key,
      agent_id: agent.agent_id,
      org_id: agent.org_id ?? null,
      team_id: agent.team_id ?? null,
      assurance: agent.assurance,
    },
    action: call.action,
    policy: call.policy_digests,
    price: { micro_usd: call.micro_usd },
    asker: call.asked_by,
  };
  return {
    digest: sha256(canonicalJson({ form: FORM, call: values })),
    parts: {
      agent: sha256(canonicalJson({ form: FORM, agent: values.agent })),
      action: sha256(canonicalJson({ form: FORM, action: values.action })),
      policy: sha256(canonicalJson({ form: FORM, policy: values.policy })),
      price: sha256(canonicalJson({ form: FORM, price: values.price })),
      asker: sha256(canonicalJson({ form: FORM, asker: values.asker })),
    },
  };
}

/** Which parts two calls differ in; empty when they are the same call. */
export function differingParts(one: CallDigest, other: CallDigest): readonly CallPart[] {
  return CALL_PARTS.filter((part) => one.parts[part] !== other.parts[part]);
}

/**
 * Every field of an action, texts as they are. `kind` tells kinds apart whose other fields agree.
 *
 * The wire's own message says more (how a command's words were split, say); where it is at hand,
 * its fields are bound instead: see `proto/approval_subject.ts`.
 */
export function exactAction(action: Action): CanonicalObject {
  switch (action.kind) {
    case "tool_call":
      return {
        kind: action.kind,
        tool: action.tool,
        args: action.args,
        llm: action.llm === undefined
          ? null
          : { model: action.llm.model, prompt_tokens: action.llm.prompt_tokens },
      };
    case "tool_result":
      return { kind: action.kind, tool: action.tool, result: action.result };
    case "file_access":
      return { kind: action.kind, path: action.path, mode: action.mode };
    case "network_request":
      return { kind: action.kind, url: action.url, method: action.method };
    case "process_exec":
      return { kind: action.kind, command: action.command };
    case "send_message":
      return {
        kind: action.kind,
        source_team_id: action.source_team_id ?? null,
        target_team_id: action.target_team_id ?? null,
        channel_id: action.channel_id ?? null,
      };
  }
}

function sha256(text: string): string {
  return `sha256:${createHash("sha256").update(text, "utf8").digest("hex")}`;
}
