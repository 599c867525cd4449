/**
 * Asks the gateway before an act, and reads its answer: verdict, rule, and what would change it.
 *
 * @module
 */
import { fromBinary } from "@bufbuild/protobuf";
import { type Channel, type Client, createClient, GrpcError, Metadata } from "../../grpc/mod.ts";
import {
  type Explanation,
  ExplanationSchema,
  type RuleRef,
} from "../../proto/gen/assembly/admin/v1/admin_pb.ts";
import { Decision } from "../../proto/gen/assembly/common/v1/common_pb.ts";
import {
  type CheckActionResponse,
  PolicyService,
} from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import { type Act, actionTypeOf, contextOf } from "./act.ts";
import type { RegisteredAgent } from "./identity.ts";

/**
 * What came back. `refused` is a question that the gateway did not accept (a gRPC error): no
 * answer is never a yes.
 */
export type Verdict = "allow" | "redact" | "deny" | "pending" | "refused";

/** The rule that decided. */
export interface CitedRule {
  /** Dotted, e.g. `tools.deploy.allow`. */
  readonly path: string;
  /** `policy.yaml:31` */
  readonly at: string;
}

/** An answer with its reasons. */
export interface Answer {
  readonly verdict: Verdict;
  readonly reason: string;
  /** The rule that decided; of an allow, the first one that was asked and had nothing against it. */
  readonly rule?: CitedRule;
  /** One sentence from the gateway's explanation; empty when it gave none. */
  readonly summary: string;
  /** What would turn a denial into an allow, smallest first. */
  readonly changes: readonly { readonly text: string; readonly who: string }[];
  /** Kinds of finding to cut out, from the redaction instructions: `AwsAccessKey`. */
  readonly redact_kinds: readonly string[];
  /** Index of the log entry that was durable before this answer left. */
  readonly audit_index?: bigint;
}

/** Time to wait for an answer; without one the act does not happen. */
const ANSWER_MS_MAX = 10_000;

/** The way to the gateway for one agent. */
export class Gate {
  readonly #client: Client<typeof PolicyService>;

  /** @param trace Names the agent's session in the log. */
  constructor(channel: Channel, readonly agent: RegisteredAgent, private readonly trace: string) {
    this.#client = createClient(PolicyService, channel);
  }

  /**
   * Asks about one act. Never throws for a refusal or a failed call.
   *
   * @param step Number of the step; becomes the span id.
   * @param token Credential to present; the agent's own when left out.
   */
  async ask(step: number, act: Act, token: string = this.agent.token): Promise<Answer> {
    let trailers = new Metadata();
    try {
      const response = await this.#client.checkAction({
        agentId: this.agent.triple,
        credentialToken: token,
        traceId: this.trace,
        spanId: `step-${step}`,
        actionType: actionTypeOf(act),
        context: contextOf(act),
      }, {
        timeout_ms: ANSWER_MS_MAX,
        // Nobody is there to decide: a call that needs a person's word is not waited for.
        metadata: new Metadata().set("aasm-explain", "1").set("aasm-approval", "defer"),
        onTrailers: (received) => trailers = received,
      });
      return answerOf(response, trailers);
    } catch (error) {
      const { message } = GrpcError.from(error);
      return { verdict: "refused", reason: message, summary: "", changes: [], redact_kinds: [] };
    }
  }
}

function answerOf(response: CheckActionResponse, trailers: Metadata): Answer {
  const bytes = trailers.getBinary("aasm-explanation-bin");
  const explanation = bytes === undefined ? undefined : fromBinary(ExplanationSchema, bytes);
  const rule = explanation?.rule ?? passedRule(explanation);
  const index = trailers.get("aasm-audit-index");
  return {
    verdict: verdictOf(response.decision),
    reason: response.reason,
    ...(rule === undefined
      ? {}
      : { rule: { path: rule.path, at: `${fileName(rule.file)}:${rule.line}` } }),
    summary: explanation?.summary ?? "",
    changes: (explanation?.changes ?? []).map(({ text, who }) => ({ text, who })),
    redact_kinds: (response.redact?.rules ?? []).map((one) => one.fieldPath.replace(/^\$\./, "")),
    ...(index === undefined ? {} : { audit_index: BigInt(index) }),
  };
}

function passedRule(explanation: Explanation | undefined): RuleRef | undefined {
  if (explanation?.outcome !== "allow") return undefined;
  return explanation.considered.find((step) => step.result === "pass" && step.rule)?.rule;
}

/** Whatever is not known to be a yes is a no. */
function verdictOf(decision: number): Verdict {
  switch (decision) {
    case Decision.ALLOW:
      return "allow";
    case Decision.REDACT:
      return "redact";
    case Decision.PENDING:
      return "pending";
    default:
      return "deny";
  }
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
