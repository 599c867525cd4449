/**
 * Answers without a gateway: by the operator's rules, or by the name of their absence (traps R11;
 * contract `wire` §3.7 steps 4 to 6).
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { event, type policy } from "../../proto/mod.ts";
import type { ClientMessages, Origin } from "../parts.ts";
import type { Timers } from "../timers.ts";
import type { Evidence } from "./evidence.ts";
import { decideByRules, type LocalPolicy } from "./fallback.ts";
import { DECISION_LIMITS } from "./limits.ts";
import { OPEN_WITHOUT_RULES_TEXT, RULES, UNCONFIGURED_TEXT } from "./words.ts";

/** What answering by rules needs. */
export interface LocalRulesOptions {
  readonly policy: LocalPolicy;
  readonly evidence: Evidence;
  readonly messages: ClientMessages;
  readonly timers: Timers;
  readonly newId: () => string;
  readonly stopping: AbortSignal;
}

/** The operator's rules at work. */
export class LocalRules {
  readonly #on: LocalRulesOptions;
  #pending = 0;

  constructor(options: LocalRulesOptions) {
    this.#on = options;
  }

  /** @param failed_open There is a gateway; it is away, and the operator chose this. */
  async answer(
    query: policy.CheckActionRequest,
    origin: Origin,
    started_us: number,
    failed_open: boolean,
  ): Promise<policy.CheckActionResponse> {
    const { policy: rules, evidence } = this.#on;
    if (rules.state !== "loaded") {
      const text = failed_open ? OPEN_WITHOUT_RULES_TEXT : UNCONFIGURED_TEXT;
      return await evidence.denied(query, text, RULES.unconfigured, "unconfigured", started_us);
    }
    const said = decideByRules(rules.rules, query);
    switch (said.verdict) {
      case "allow": {
        const response = evidence.answer(1, "", "", started_us);
        return await evidence.recorded(query, response, "local_rules", started_us);
      }
      case "deny":
        return await evidence.denied(query, said.reason, said.rule, "local_rules", started_us);
      case "pending":
        return await this.#hold(query, origin, started_us, said);
    }
  }

  /** Nobody here can agree: the decision comes with the timeout, and is no. */
  async #hold(
    query: policy.CheckActionRequest,
    origin: Origin,
    started_us: number,
    { rule, timeout_ms }: { readonly rule: string; readonly timeout_ms: number },
  ): Promise<policy.CheckActionResponse> {
    const { evidence, timers, stopping, newId } = this.#on;
    const reason = `approval required by rule: ${rule}`;
    if (this.#pending >= DECISION_LIMITS.local_approvals) {
      const text = `${reason}; too many wait already`;
      return await evidence.denied(query, text, RULES.approval, "local_rules", started_us);
    }
    const pending = evidence.answer(3, reason, rule, started_us);
    pending.approvalId = newId();
    const response = await evidence.recorded(query, pending, "local_rules", started_us);
    if (response !== pending) return response;
    this.#pending++;
    timers.sleep(timeout_ms, stopping).then(() => {
      this.#pending--;
      if (!stopping.aborted) this.#timedOut(pending.approvalId, origin);
    });
    return response;
  }

  #timedOut(approvalId: string, origin: Origin): void {
    if (origin.source !== "sdk") return;
    this.#on.messages.approvalDecided(
      origin.connection.id,
      create(event.ApprovalDecisionSchema, {
        approvalId,
        approved: false,
        decidedBy: "timeout",
        reason: "approval timed out",
        decidedAtUnixMs: BigInt(Math.trunc(this.#on.timers.now_ms())),
      }),
    );
  }
}
