/**
 * `assembly.policy.v1.PolicyService`: one decision, or a batch of them (contract `wire` §1.3).
 *
 * @module
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { type CallContext, Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import {
  BatchCheckResponseSchema,
  type CheckActionRequest,
  type CheckActionResponse,
  type PolicyService,
} from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import { ExplanationSchema } from "../../proto/gen/assembly/admin/v1/admin_pb.ts";
import { Decision } from "../../proto/gen/assembly/common/v1/common_pb.ts";
import type { Explanation } from "../../core/verdict.ts";
import { explanationToWire } from "../../proto/mapping.ts";
import { StoreError } from "../../storage/sqlite/failure.ts";
import { AuditUnavailableError } from "../audit/errors.ts";
import type { AuditLog } from "../audit/log.ts";
import type { Counters } from "../counters.ts";
import type { CallTerms } from "../engine/parts.ts";
import { type Answer, type DecisionEngine, InvalidRequest } from "../engine/engine.ts";

/** What the service needs. */
export interface PolicyServiceDependencies {
  readonly engine: DecisionEngine;
  readonly audit: Pick<AuditLog, "append">;
  readonly counters: Counters;
  /** Suspends an agent whose budget or behaviour asks for it; errors are its own business. */
  readonly suspend: (asked: NonNullable<Answer["suspend"]>) => void;
  /** Monotonic clock of the explanation allowance, microseconds. */
  readonly monotonic_us: () => number;
}

/** Questions in one batch. More: INVALID_ARGUMENT, nothing is decided. */
export const BATCH_REQUESTS_MAX = 1_000;
/**
 * Time spent on explanations in any second, over all callers, in milliseconds: each costs many
 * decisions. At it: the verdict comes without one, and the trailer `aasm-explain` says `throttled`.
 */
export const EXPLANATION_MS_PER_SECOND_MAX = 200;

const DECISION_COUNTERS = [
  "",
  "decisions.allow",
  "decisions.deny",
  "decisions.pending",
  "decisions.redact",
];

/** Handlers of the unary calls. `OpControlStream` is not served in this release. */
export function policyHandlers(
  on: PolicyServiceDependencies,
): Partial<ServiceHandlers<typeof PolicyService>> {
  const allowance = new Allowance(EXPLANATION_MS_PER_SECOND_MAX, on.monotonic_us);
  return {
    checkAction: (request, context) => checkAction(on, allowance, request, context),
    batchCheck: async (batch, context) => {
      if (batch.requests.length > BATCH_REQUESTS_MAX) {
        throw new GrpcError(
          `requests: ${batch.requests.length} in one batch, at most ${BATCH_REQUESTS_MAX}`,
          Code.INVALID_ARGUMENT,
        );
      }
      // One malformed entry fails the whole call before any takes a token, money or a grant.
      for (const request of batch.requests) checked(() => on.engine.check(request));
      const terms = termsOf(context);
      const responses = await Promise.all(
        batch.requests.map(async (request) => settle(on, await on.engine.answer(request, terms))),
      );
      return create(BatchCheckResponseSchema, { responses: responses.map((one) => one.response) });
    },
  };
}

async function checkAction(
  on: PolicyServiceDependencies,
  allowance: Allowance,
  request: CheckActionRequest,
  context: CallContext,
): Promise<CheckActionResponse> {
  const pending = checked(() => on.engine.answer(request, termsOf(context)));
  const result = pending instanceof Promise ? await pending : pending;
  const { response, index } = await settle(on, result);
  context.trailers.set("aasm-audit-index", String(index));
  if (result.rule !== undefined) {
    context.trailers.set("aasm-rule", ascii(result.rule.path));
    const { file, line, column } = result.rule;
    context.trailers.set("aasm-rule-at", ascii(`${file}:${line}:${column}`));
  }
  if (result.resume_token !== undefined) context.trailers.set("aasm-resume", result.resume_token);
  if (result.reservation_id !== undefined) {
    context.trailers.set("aasm-reservation", result.reservation_id);
  }
  const explain = context.metadata.get("aasm-explain");
  if (explain === "1" || (explain === "refused" && isRefusal(response))) {
    const explanation = allowance.spend(result.explain);
    if (explanation === undefined) context.trailers.set("aasm-explain", "throttled");
    else context.trailers.setBinary("aasm-explanation-bin", explanationBytes(explanation));
  }
  return response;
}

/** `aasm-explain: refused` costs an allowed call nothing. */
function isRefusal({ decision }: CheckActionResponse): boolean {
  return decision === Decision.DENY;
}

/**
 * What a call says in metadata: `aasm-approval: defer`, `aasm-resume: <token>`, `aasm-settle: 1`,
 * `aasm-max-output-tokens`, `aasm-max-wall-ms`.
 * The signal is made only when somebody waits on it.
 */
function termsOf(context: CallContext): CallTerms {
  const { metadata } = context;
  const resume_token = metadata.get("aasm-resume");
  return {
    get signal() {
      return context.signal;
    },
    approval: metadata.get("aasm-approval") === "defer" ? "defer" : "wait",
    settles: metadata.get("aasm-settle") === "1",
    ...(resume_token !== undefined && { resume_token }),
    declared: {
      ...declared(metadata, "aasm-max-output-tokens", "output_tokens"),
      ...declared(metadata, "aasm-max-wall-ms", "wall_ms"),
    },
  };
}

/** A number that the caller declares; one that is none fails the call. */
function declared<K extends string>(
  metadata: CallContext["metadata"],
  key: string,
  name: K,
): { readonly [P in K]?: number } {
  const text = metadata.get(key);
  if (text === undefined) return {};
  if (!/^\d{1,12}$/.test(text)) {
    throw new GrpcError(
      `${key}: must be a whole number of at most 12 digits`,
      Code.INVALID_ARGUMENT,
    );
  }
  return { [name]: Number(text) } as { readonly [P in K]?: number };
}

function checked<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof InvalidRequest) throw new GrpcError(error.message, Code.INVALID_ARGUMENT);
    throw error;
  }
}

/** Makes the evidence durable, then lets the answer go (design law 2). */
async function settle(
  on: PolicyServiceDependencies,
  result: Answer,
): Promise<{ response: CheckActionResponse; index: bigint }> {
  let index: bigint;
  try {
    const recorded = on.audit.append(result.entry);
    if (result.durable.length === 0) index = (await recorded).seq;
    else {
      const [entry] = await Promise.all([recorded, ...result.durable]);
      index = entry.seq;
    }
  } catch (error) {
    result.abandon();
    on.counters.add("decisions.withheld");
    if (error instanceof AuditUnavailableError || error instanceof StoreError) {
      throw new GrpcError(
        `decision withheld: it could not be recorded: ${error.message}`,
        Code.UNAVAILABLE,
        { cause: error },
      );
    }
    throw error;
  }
  on.counters.add(DECISION_COUNTERS[result.response.decision] ?? "decisions.other");
  if (result.suspend !== undefined) on.suspend(result.suspend);
  return { response: result.response, index };
}

/**
 * Encoded explanation in a trailer, in bytes: with base64 and the other trailers it stays below the
 * 8 KiB of metadata that common clients accept. Longer: steps are left out first, then changes.
 */
export const EXPLANATION_BYTES_MAX = 4_608;

/** The explanation, shortened until it fits; the verdict must never be lost to a long reason. */
export function explanationBytes(explanation: Explanation): Uint8Array {
  const { considered, changes } = explanation;
  const note = (left_out: string) => ({
    stage: "configuration" as const,
    result: "not_applicable" as const,
    detail: `${left_out} left out here: ask with \`aasm check --dry-run\``,
  });
  const forms: Explanation[] = [
    explanation,
    {
      ...explanation,
      considered: [...considered.filter((step) => step.result !== "not_applicable"), note("steps")],
    },
    { ...explanation, considered: [note("steps")] },
    { ...explanation, considered: [note("steps and changes")], changes: changes.slice(0, 1) },
    {
      ...explanation,
      summary: explanation.summary.slice(0, 512),
      considered: [note("steps and changes")],
      changes: [],
    },
  ];
  for (const form of forms) {
    const bytes = toBinary(ExplanationSchema, explanationToWire(form));
    if (bytes.length <= EXPLANATION_BYTES_MAX) return bytes;
  }
  const { outcome, reason } = explanation;
  const bare = { outcome, reason: reason.slice(0, 512), summary: "", considered: [], changes: [] };
  return toBinary(ExplanationSchema, explanationToWire(bare));
}

/** Metadata values are printable ASCII; anything else is percent-encoded, bounded. */
function ascii(text: string): string {
  const encoded = text.slice(0, 256).replace(/[^\x20-\x24\x26-\x7e]/gu, (character) => {
    const bytes = new TextEncoder().encode(character);
    return [...bytes].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(
      "",
    );
  });
  return encoded.slice(0, 512);
}

/** Working time that may be spent in each second. */
class Allowance {
  #second = -1;
  #left_us = 0;

  constructor(private readonly ms_per_second: number, private readonly now_us: () => number) {}

  /** Runs `work` while there is time left in this second; its whole duration is charged. */
  spend<T>(work: () => T): T | undefined {
    const started_us = this.now_us();
    const second = Math.floor(started_us / 1_000_000);
    if (second !== this.#second) {
      this.#second = second;
      // What the last piece of work took too much is still owed.
      this.#left_us = Math.min(0, this.#left_us) + this.ms_per_second * 1_000;
    }
    if (this.#left_us <= 0) return undefined;
    try {
      return work();
    } finally {
      this.#left_us -= this.now_us() - started_us;
    }
  }
}
