import assert from "node:assert/strict";
import { create, fromBinary } from "@bufbuild/protobuf";
import { type CallContext, Code, GrpcError, Metadata } from "../../grpc/mod.ts";
import {
  BatchCheckRequestSchema,
  CheckActionRequestSchema,
  CheckActionResponseSchema,
} from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import fc from "fast-check";
import { ExplanationSchema } from "../../proto/gen/assembly/admin/v1/admin_pb.ts";
import { StoreError } from "../../storage/sqlite/failure.ts";
import { AuditUnavailableError } from "../audit/errors.ts";
import { Counters } from "../counters.ts";
import { type Answer, type DecisionEngine, InvalidRequest } from "../engine/engine.ts";
import {
  BATCH_REQUESTS_MAX,
  EXPLANATION_BYTES_MAX,
  EXPLANATION_MS_PER_SECOND_MAX,
  explanationBytes,
  policyHandlers,
} from "./policy.ts";

function answerOf(decision: number, over: Partial<Answer> = {}): Answer {
  return {
    response: create(CheckActionResponseSchema, { decision }),
    entry: {
      event_type: "ToolCallIntercepted",
      timestamp_ns: 1n,
      agent_id: new Uint8Array(16),
      session_id: new Uint8Array(16),
      payload: "{}",
    },
    rule: undefined,
    explain: () => ({ outcome: "deny", reason: "", summary: "", considered: [], changes: [] }),
    suspend: undefined,
    durable: [],
    abandon: () => {},
    ...over,
  };
}

interface Fixture {
  readonly handlers: ReturnType<typeof policyHandlers>;
  readonly recorded: string[];
  readonly counters: Counters;
  readonly suspended: string[];
  clock_us: number;
  fault: Error | undefined;
}

function fixture(answer: (trace: string) => Answer): Fixture {
  const counters = new Counters();
  const state: Fixture = {
    handlers: {},
    recorded: [],
    counters,
    suspended: [],
    clock_us: 0,
    fault: undefined,
  };
  const engine = {
    check: (request: { traceId: string }) => void answer(request.traceId),
    answer: (request: { traceId: string }) => answer(request.traceId),
  };
  const handlers = policyHandlers({
    engine: engine as unknown as DecisionEngine,
    audit: {
      append: (draft) => {
        if (state.fault !== undefined) return Promise.reject(state.fault);
        state.recorded.push(draft.payload);
        return Promise.resolve({
          seq: BigInt(state.recorded.length - 1),
          entry_hash: new Uint8Array(),
        });
      },
    },
    counters,
    suspend: ({ key }) => state.suspended.push(key),
    monotonic_us: () => state.clock_us,
  });
  return Object.assign(state, { handlers });
}

function context(metadata = new Metadata()): CallContext {
  return { metadata, headers: new Metadata(), trailers: new Metadata() } as unknown as CallContext;
}

async function refusalOf(call: unknown): Promise<GrpcError> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof GrpcError);
    return error;
  }
  throw new assert.AssertionError({ message: "the call was answered" });
}

const REQUEST = create(CheckActionRequestSchema, {});

Deno.test("an answer that cannot be recorded is withheld, and gives back what it took", async () => {
  let abandoned = 0;
  const on = fixture(() =>
    answerOf(1, { suspend: { key: "key", cause: "budget" }, abandon: () => abandoned++ })
  );
  on.fault = new AuditUnavailableError("disk full");
  const error = await refusalOf(on.handlers.checkAction?.(REQUEST, context()));
  assert.equal(error.code, Code.UNAVAILABLE);
  assert.match(error.message, /withheld.*disk full/);
  assert.equal(on.counters.snapshot()["decisions.withheld"], 1n);
  assert.equal(on.counters.snapshot()["decisions.allow"], undefined);
  assert.deepEqual(on.suspended, [], "a withheld answer has no side effect");
  assert.equal(abandoned, 1);
});

Deno.test("an answer waits for every write beside the log, and is withheld when one fails", async () => {
  let abandoned = 0;
  const on = fixture(() =>
    answerOf(1, {
      durable: [Promise.reject(new StoreError("disk_full", "the state database is full"))],
      abandon: () => abandoned++,
    })
  );
  const error = await refusalOf(on.handlers.checkAction?.(REQUEST, context()));
  assert.equal(error.code, Code.UNAVAILABLE);
  assert.match(error.message, /withheld.*the state database is full/);
  assert.equal(abandoned, 1);
});

Deno.test("one malformed entry of a batch fails the whole call before anything is recorded", async () => {
  const on = fixture((trace) => {
    if (trace === "bad") throw new InvalidRequest("context: is missing");
    return answerOf(1);
  });
  const requests = ["a", "bad", "c"].map((traceId) => ({ ...REQUEST, traceId }));
  const batch = create(BatchCheckRequestSchema, { requests });
  const error = await refusalOf(on.handlers.batchCheck?.(batch, context()));
  assert.equal(error.code, Code.INVALID_ARGUMENT);
  assert.deepEqual(on.recorded, []);
});

Deno.test("a batch keeps its order, and one past the bound is refused undecided", async () => {
  const on = fixture((trace) => answerOf(trace === "deny" ? 2 : 1));
  const requests = ["allow", "deny", "allow"].map((traceId) => ({ ...REQUEST, traceId }));
  const response = await on.handlers.batchCheck?.(
    create(BatchCheckRequestSchema, { requests }),
    context(),
  );
  assert.deepEqual(response?.responses.map((one) => one.decision), [1, 2, 1]);
  const many = create(BatchCheckRequestSchema, {
    requests: Array.from({ length: BATCH_REQUESTS_MAX + 1 }, () => REQUEST),
  });
  assert.equal(
    (await refusalOf(on.handlers.batchCheck?.(many, context()))).code,
    Code.INVALID_ARGUMENT,
  );
  assert.equal(on.recorded.length, 3);
});

Deno.test("explanations share a time budget; past it the verdict comes without one and says so", async () => {
  const on = fixture(() =>
    answerOf(2, {
      explain: () => {
        on.clock_us += (EXPLANATION_MS_PER_SECOND_MAX * 1_000) / 2;
        return { outcome: "deny", reason: "r", summary: "s", considered: [], changes: [] };
      },
    })
  );
  const ask = async () => {
    const call = context(new Metadata().set("aasm-explain", "1"));
    await on.handlers.checkAction?.(REQUEST, call);
    return call.trailers;
  };
  assert.ok((await ask()).getBinary("aasm-explanation-bin"));
  assert.ok((await ask()).getBinary("aasm-explanation-bin"));
  const throttled = await ask();
  assert.equal(throttled.getBinary("aasm-explanation-bin"), undefined);
  assert.equal(throttled.get("aasm-explain"), "throttled");
  on.clock_us += 1_000_000;
  assert.ok((await ask()).getBinary("aasm-explanation-bin"));
});

Deno.test("a rule with a name beyond ASCII is percent-encoded in the trailers", async () => {
  const rule = {
    file: "pölicy.yaml",
    line: 3,
    column: 5,
    path: "tools.bäsh.allow",
    policy_doc_id: "x",
  };
  const on = fixture(() => answerOf(2, { rule }));
  const call = context();
  await on.handlers.checkAction?.(REQUEST, call);
  assert.equal(call.trailers.get("aasm-rule"), "tools.b%C3%A4sh.allow");
  assert.equal(call.trailers.get("aasm-rule-at"), "p%C3%B6licy.yaml:3:5");
  assert.equal(call.trailers.get("aasm-audit-index"), "0");
});

Deno.test("an explanation always fits a trailer and keeps outcome and reason", () => {
  const text = fc.string({ maxLength: 3_000 });
  const step = fc.record({
    stage: fc.constantFrom("tool" as const, "scan" as const),
    result: fc.constantFrom("pass" as const, "deny" as const, "not_applicable" as const),
    detail: text,
  });
  fc.assert(fc.property(
    fc.array(step, { maxLength: 32 }),
    fc.array(fc.record({ text, who: text }), { maxLength: 8 }),
    text,
    (considered, changes, summary) => {
      const reason = "tool denied by policy";
      const bytes = explanationBytes({ outcome: "deny", reason, summary, considered, changes });
      assert.ok(bytes.length <= EXPLANATION_BYTES_MAX);
      const read = fromBinary(ExplanationSchema, bytes);
      assert.deepEqual([read.outcome, read.reason], ["deny", reason]);
    },
  ));
  const small = {
    outcome: "deny" as const,
    reason: "r",
    summary: "s",
    considered: [],
    changes: [],
  };
  assert.equal(fromBinary(ExplanationSchema, explanationBytes(small)).summary, "s");
});
