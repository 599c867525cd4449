/**
 * Answers made here, and their evidence: none is given before it is on disk.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { policy } from "../../proto/mod.ts";
import type { MetricsPart, SpoolPart } from "../parts.ts";
import type { Timers } from "../timers.ts";
import { ContentTags } from "./content.ts";
import { type Because, type Decided, decisionBytes, withdrawalBytes } from "./record.ts";
import { NO_EVIDENCE_TEXT, RULES } from "./words.ts";

/** What evidence needs. */
export interface EvidenceOptions {
  readonly spool: Pick<SpoolPart, "append">;
  readonly metrics: MetricsPart;
  readonly timers: Timers;
  /** The gateway's clock as far as it is known, else this machine's. */
  readonly now_ms: () => number;
}

/** Numbers of the wire's `AgentIdentityAssurance`. */
export const ASSURANCE = { unattributed: 1, bound: 3 } as const;

/** Makes answers and keeps what is to be known of them. */
export class Evidence {
  readonly #on: EvidenceOptions;
  readonly #tags = new ContentTags();

  constructor(options: EvidenceOptions) {
    this.#on = options;
  }

  /**
   * An answer of the wire.
   *
   * @param decision 1 allow, 2 deny, 3 pending, 4 redact.
   * @param started_us Monotonic, when work on the query began.
   */
  answer(
    decision: 1 | 2 | 3 | 4,
    reason: string,
    policyRule: string,
    started_us: number,
    assurance: number = ASSURANCE.unattributed,
  ): policy.CheckActionResponse {
    const elapsed_us = this.#on.timers.monotonic_us() - started_us;
    return create(policy.CheckActionResponseSchema, {
      decision,
      reason,
      policyRule,
      decisionLatencyUs: BigInt(Math.max(0, Math.trunc(elapsed_us))),
      agentIdentityAssurance: assurance,
    });
  }

  /** The denial with a name, on record. */
  denied(
    query: policy.CheckActionRequest,
    reason: string,
    rule: string,
    because: Because,
    started_us: number,
  ): Promise<policy.CheckActionResponse> {
    return this.recorded(query, this.answer(2, reason, rule, started_us), because, started_us);
  }

  /** Gives an answer once its evidence is on disk here; without evidence only a denial is left. */
  async recorded(
    query: policy.CheckActionRequest,
    response: policy.CheckActionResponse,
    because: Because,
    started_us: number,
  ): Promise<policy.CheckActionResponse> {
    try {
      await this.keep({ query, response, because, decided_at_ms: this.#on.now_ms() });
      return response;
    } catch {
      this.#on.metrics.add("aa_runtime_evidence_failures_total");
      if (response.decision === 2) return response;
      return this.answer(2, NO_EVIDENCE_TEXT, RULES.evidence, started_us);
    }
  }

  /** Puts a decision on disk. @returns Its position. @throws when it cannot be kept. */
  keep(decided: Decided): Promise<number> {
    return this.#on.spool.append("decision", decisionBytes(decided, this.#tags));
  }

  /** Puts on disk that a decision was not given; what cannot be kept then is counted. */
  async withdraw(seq: number): Promise<void> {
    try {
      await this.#on.spool.append("decision", withdrawalBytes(seq));
    } catch {
      this.#on.metrics.add("aa_runtime_evidence_failures_total");
    }
  }
}
