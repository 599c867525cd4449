/**
 * A governed agent whose gateway follows a script: what the adapters stand on in production, down to
 * the questions and answers of the wire.
 *
 * @module
 */
import { Decision } from "@agent-assembly/proto/common";
import { create } from "@bufbuild/protobuf";
import {
  type CheckActionRequest,
  CheckActionResponseSchema,
  RedactInstructionsSchema,
} from "@agent-assembly/proto/policy";
import { DEFAULT_SCANNER } from "@agent-assembly/core/scanner";
import { guardOf } from "../adapters/agent_guard.ts";
import type { Guard, ModelCall, ToolCall, ToolOutcome } from "../adapters/guard.ts";
import {
  type CheckAnswer,
  type CheckCall,
  type CheckClient,
  GatewayUnavailableError,
  governWith,
} from "../mod.ts";
import { AWAY, NEXT_STEP, RULE } from "./scripted_guard.ts";

/** What becomes of a held call. */
export type Word = "granted" | "rejected" | "expired";

const DECISIONS = {
  granted: Decision.ALLOW,
  rejected: Decision.DENY,
  expired: Decision.PENDING,
} as const;

/** The script's gateway, and the person who decides what it holds. */
export class GovernedScript implements Guard {
  readonly calls: ToolCall[] = [];
  readonly outcomes: ToolOutcome[] = [];
  /** True while nobody can decide on tools. */
  away = false;
  readonly #guard: Guard;
  readonly #held: { readonly tool: string; readonly decide: (word: Word) => void }[] = [];
  #wake: () => void = () => {};

  constructor() {
    const client: CheckClient = {
      transport: "script",
      check_capable: true,
      check: (question) => this.#answer(question),
      settle: (question, _pending, call) => this.#settle(question, call),
      report: () => Promise.resolve(),
      flush: () => Promise.resolve(true),
      heartbeat: () => Promise.resolve(undefined),
      close: () => Promise.resolve(),
    };
    this.#guard = guardOf(governWith({ agent: { agent_id: "scripted" }, client }));
  }

  beforeTool(call: ToolCall): Promise<unknown> {
    this.calls.push(call);
    return this.#guard.beforeTool(call);
  }

  afterTool(outcome: ToolOutcome): Promise<unknown> {
    this.outcomes.push(outcome);
    return this.#guard.afterTool(outcome);
  }

  beforeModel(call: ModelCall): Promise<void> {
    return this.#guard.beforeModel(call);
  }

  /** Decides the oldest held call, once there is one. Resolves with the tool's name. */
  async decide(word: Word): Promise<string> {
    while (this.#held.length === 0) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const held = this.#held.shift();
    if (held === undefined) throw new Error("nothing is held");
    held.decide(word);
    return held.tool;
  }

  #answer({ context }: CheckActionRequest): Promise<CheckAnswer> {
    const action = context?.action;
    // The model must speak for a tool to be called at all.
    if (this.away && action?.case !== "llmCall") {
      return Promise.reject(new GatewayUnavailableError(AWAY));
    }
    if (action?.case === "toolCall" && action.value.toolName === "delete_repository") {
      const rule = { path: RULE, at: "policy.yaml:7:5" };
      const changes = [{ text: NEXT_STEP, who: "org_admin" }];
      const response = { decision: Decision.DENY, reason: "tool denied by policy" };
      return Promise.resolve(answer(response, { rule, changes }));
    }
    if (action?.case === "toolCall" && action.value.toolName === "deploy") {
      const policyRule = "requires_approval";
      return Promise.resolve(
        answer({ decision: Decision.PENDING, policyRule, approvalId: "approval-1" }),
      );
    }
    const bytes = action?.case === "toolCall"
      ? action.value.argsJson
      : action?.case === "toolResult"
      ? action.value.resultJson
      : new Uint8Array();
    const findings = DEFAULT_SCANNER.scan(new TextDecoder().decode(bytes));
    if (findings.length === 0) return Promise.resolve(answer({ decision: Decision.ALLOW }));
    const rules = findings.map((finding) => ({
      fieldPath: `$.${finding.source === "locale" ? finding.category : finding.kind}`,
      replacement: "[REDACTED]",
    }));
    const redact = create(RedactInstructionsSchema, { rules });
    return Promise.resolve(answer({ decision: Decision.REDACT, redact }));
  }

  async #settle({ context }: CheckActionRequest, { signal }: CheckCall): Promise<CheckAnswer> {
    const action = context?.action;
    const tool = action?.case === "toolCall" ? action.value.toolName : "";
    const word = await new Promise<Word>((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason));
      this.#held.push({ tool, decide: resolve });
      this.#wake();
    });
    return answer({
      decision: DECISIONS[word],
      reason: word === "rejected" ? "rejected by ops: choose staging instead" : "",
      policyRule: "requires_approval",
      approvalId: "approval-1",
    });
  }
}

type Response = Partial<CheckAnswer["response"]>;

function answer(response: Response, reasons?: CheckAnswer["reasons"]): CheckAnswer {
  const { $typeName: _name, ...fields } = response;
  return {
    response: create(CheckActionResponseSchema, fields),
    ...(reasons === undefined ? {} : { reasons }),
  };
}
