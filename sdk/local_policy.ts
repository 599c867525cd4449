/**
 * Decides in this very process, with the one decision function: for pages and edge functions that
 * carry their policy, and for tests. It knows no gateway, so money, people and other processes are
 * unknown to it, and what is unknown is not allowed.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import {
  compilePolicySet,
  decide,
  explain,
  type Facts,
  loadPolicy,
  type PolicyDocument,
  type PolicySet,
  RateBuckets,
} from "@agent-assembly/core/policy";
import type { Principal } from "@agent-assembly/core/principal";
import { Sha256 } from "@agent-assembly/core/sha256";
import type { Decision as Ruling } from "@agent-assembly/core/verdict";
import { Decision } from "@agent-assembly/proto/common";
import { actionFromWire } from "@agent-assembly/proto/mapping";
import {
  type CheckActionRequest,
  type CheckActionResponse,
  CheckActionResponseSchema,
} from "@agent-assembly/proto/policy";
import { redactRules } from "@agent-assembly/proto/redact_rules";
import type { AuditEvent } from "@agent-assembly/proto/audit";
import type { CheckAnswer, CheckClient } from "./check_client.ts";
import { ConfigurationError, InvalidActError } from "./errors.ts";

/** One policy text. */
export interface PolicyText {
  /** Name shown in refusals. */
  readonly file: string;
  /** YAML. */
  readonly source: string;
}

/** Options of {@linkcode localPolicy}. */
export interface LocalPolicyOptions {
  /** The agent's own id. */
  readonly agent_id: string;
  /** Tenant organisation; may be empty. */
  readonly org_id?: string;
  /** Team inside it; may be empty. */
  readonly team_id?: string;
  /** Wall clock. @default Date.now */
  readonly now_ms?: () => number;
  /** Gets what is reported; without it reports are refused, because they would be lost. */
  readonly onEvent?: (event: AuditEvent) => void;
}

/** Texts that one local policy may have. More: a configuration error. */
const POLICY_TEXTS_MAX = 1_000;

/**
 * A {@linkcode CheckClient} over policies that are at hand.
 *
 * What a person must approve is denied; what costs money is denied where a budget limits it.
 *
 * @throws {ConfigurationError} naming the first problems of a policy that does not load.
 */
export function localPolicy(
  texts: readonly PolicyText[],
  options: LocalPolicyOptions,
): CheckClient {
  if (texts.length > POLICY_TEXTS_MAX) {
    throw new ConfigurationError(
      `${texts.length} policies are given, at most ${POLICY_TEXTS_MAX}`,
    );
  }
  const set = compilePolicySet(texts.map(loaded), {
    mode: texts.length === 1 ? "single_file" : "directory",
  });
  return new LocalPolicy(set, options);
}

function loaded({ file, source }: PolicyText): PolicyDocument {
  const result = loadPolicy(file, source);
  if (result.ok) return result.document;
  const told = result.problems.slice(0, 5).map((problem) =>
    `${file}:${problem.line}:${problem.column} ${problem.message}`
  );
  throw new ConfigurationError(`policy \`${file}\` does not load: ${told.join("; ")}`);
}

class LocalPolicy implements CheckClient {
  readonly transport = "local";
  readonly check_capable = true;
  readonly #set: PolicySet;
  readonly #buckets = new RateBuckets();
  readonly #options: LocalPolicyOptions;
  readonly #principal: Principal;

  constructor(set: PolicySet, options: LocalPolicyOptions) {
    this.#set = set;
    this.#options = options;
    const { agent_id, org_id, team_id } = options;
    this.#principal = {
      assurance: "asserted",
      agent_id,
      engine_key: new Sha256().update(agent_id).hex().slice(0, 32),
      ...(org_id === undefined ? {} : { org_id }),
      ...(team_id === undefined ? {} : { team_id }),
      status: "active",
    };
  }

  check(question: CheckActionRequest): Promise<CheckAnswer> {
    const read = actionFromWire(question.context);
    if (!read.ok) return Promise.reject(new InvalidActError(`${read.field} ${read.message}`));
    const now_ms = (this.#options.now_ms ?? Date.now)();
    const facts: Facts = {
      now_ms,
      principal: this.#principal,
      rateTokens: (charge) => this.#buckets.tokens(charge, now_ms),
      spend: { state: "unavailable" },
    };
    const ruling = decide(this.#set, read.action, facts);
    if (ruling.outcome === "allow" && !this.#buckets.take(ruling.charges ?? [], now_ms)) {
      return Promise.resolve({ response: denied("rate limit exceeded", "rate limit exceeded") });
    }
    const response = responseOf(ruling);
    if (response.decision !== Decision.DENY) return Promise.resolve({ response });
    const { changes } = explain(this.#set, read.action, facts, ruling);
    const { rule, stage } = ruling;
    return Promise.resolve({
      response,
      reasons: {
        ...(rule === undefined
          ? {}
          : { rule: { path: rule.path, at: `${rule.file}:${rule.line}:${rule.column}` } }),
        ...(stage === undefined ? {} : { stage }),
        changes: changes.map(({ text, who }) => ({ text, who })),
      },
    });
  }

  settle(_question: CheckActionRequest, pending: CheckAnswer): Promise<CheckAnswer> {
    return Promise.resolve(pending);
  }

  report(event: AuditEvent): Promise<void> {
    const { onEvent } = this.#options;
    if (onEvent === undefined) {
      return Promise.reject(
        new ConfigurationError("nobody takes events here: give `onEvent`, or ask a gateway"),
      );
    }
    onEvent(event);
    return Promise.resolve();
  }

  flush(): Promise<boolean> {
    return Promise.resolve(true);
  }

  heartbeat(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function responseOf(ruling: Ruling): CheckActionResponse {
  switch (ruling.outcome) {
    case "deny":
      return denied(ruling.reason, ruling.reason);
    case "require_approval":
      return denied("a person must approve this, and none can be asked here", "requires_approval");
    case "allow":
      if (ruling.redacted === undefined) {
        return create(CheckActionResponseSchema, { decision: Decision.ALLOW });
      }
      return create(CheckActionResponseSchema, {
        decision: Decision.REDACT,
        reason: "sensitive data detected",
        policyRule: "data_pattern_scan",
        redact: redactRules(ruling.findings),
      });
  }
}

function denied(reason: string, policyRule: string): CheckActionResponse {
  return create(CheckActionResponseSchema, { decision: Decision.DENY, reason, policyRule });
}
