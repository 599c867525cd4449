import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { Decision } from "@agent-assembly/proto/common";
import {
  type CheckActionRequest,
  CheckActionResponseSchema,
  RedactInstructionsSchema,
} from "@agent-assembly/proto/policy";
import fc from "fast-check";
import type { CheckAnswer, CheckClient } from "./check_client.ts";
import {
  ApprovalTimeoutError,
  AssemblyError,
  BudgetExceededError,
  ClosedError,
  ConfigurationError,
  CredentialLeakBlockedError,
  GatewayUnavailableError,
  InvalidActError,
  OpTerminatedError,
  PolicyViolationError,
} from "./errors.ts";
import { governWith } from "./govern_with.ts";
import type { Notice } from "./notice.ts";
import { withAssembly, wrapFunction } from "./wrappers/tool.ts";

type Answering = (question: CheckActionRequest, signal: AbortSignal) => Promise<CheckAnswer>;

function answer(
  decision: number,
  more: { reason?: string; policyRule?: string; approvalId?: string; kinds?: string[] } = {},
): CheckAnswer {
  const { kinds, ...rest } = more;
  return {
    response: create(CheckActionResponseSchema, {
      decision,
      ...rest,
      ...(kinds === undefined ? {} : {
        redact: create(RedactInstructionsSchema, {
          rules: kinds.map((kind) => ({ fieldPath: `$.${kind}`, replacement: "[REDACTED]" })),
        }),
      }),
    }),
  };
}

/** What a question shows of arguments or an answer. */
function textOf({ context }: CheckActionRequest): string {
  const action = context?.action;
  const bytes = action?.case === "toolCall"
    ? action.value.argsJson
    : action?.case === "toolResult"
    ? action.value.resultJson
    : new Uint8Array();
  return new TextDecoder().decode(bytes);
}

/** Like a gateway that redacts by kind: finds what is in clear, allows what is not. */
const redacting: Answering = (question) =>
  Promise.resolve(
    textOf(question).includes(GITHUB_PAT)
      ? answer(Decision.REDACT, { kinds: ["GitHubPat"], reason: "found" })
      : answer(Decision.ALLOW),
  );

function client(check: Answering, settle: Answering = check): CheckClient & { asked: number } {
  return {
    asked: 0,
    transport: "test",
    check_capable: true,
    check(question, { signal }) {
      this.asked++;
      return check(question, signal);
    },
    settle: (question, _pending, { signal }) => settle(question, signal),
    report: () => Promise.resolve(),
    flush: () => Promise.resolve(true),
    heartbeat: () => Promise.resolve(undefined),
    close: () => Promise.resolve(),
  };
}

const GITHUB_PAT = `ghp_${"a1B2c3D4e5".repeat(4).slice(0, 36)}`;

function governed(check: Answering, settle?: Answering, more = {}) {
  return governWith({ agent: { agent_id: "demo" }, client: client(check, settle), ...more });
}

Deno.test("an allowed act happens with the data that was judged, not with what it became", async () => {
  let judged = "";
  const args = { path: "/safe" };
  const agent = governed((question) => {
    const { context } = question;
    assert.ok(context?.action.case === "toolCall");
    judged = new TextDecoder().decode(context.action.value.argsJson);
    args.path = "/etc/shadow";
    return Promise.resolve(answer(Decision.ALLOW));
  });
  const used = await agent.callTool("read", args, (allowed) => JSON.stringify(allowed), {
    result: "unchecked",
  });
  assert.equal(judged, '{"path":"/safe"}');
  assert.equal(used, judged);
});

Deno.test("response mapping never turns anything but ALLOW, REDACT or fail-open into the act happening", async () => {
  await fc.assert(fc.asyncProperty(
    fc.oneof(fc.integer({ min: -2, max: 12 }), fc.constant(undefined)),
    fc.oneof(fc.integer({ min: -2, max: 12 }), fc.constant(undefined)),
    fc.boolean(),
    async (first, second, fail_closed) => {
      const reply = (decision: number | undefined): Answering => (question) =>
        decision === undefined
          ? Promise.reject(new GatewayUnavailableError("gone"))
          : Promise.resolve(
            decision === Decision.REDACT && textOf(question).includes("[REDACTED")
              ? answer(Decision.ALLOW)
              : answer(decision, { kinds: ["GitHubPat"], approvalId: "a" }),
          );
      const agent = governed(reply(first), reply(second), { fail_closed });
      let happened: unknown;
      const act = agent.callTool("t", { token: GITHUB_PAT }, (args) => {
        happened = args;
      });
      const error: unknown = await act.then(() => undefined, (reason) => reason);
      const known = (one: number | undefined) => one !== undefined && one >= 1 && one <= 4;
      const last = first === Decision.PENDING ? second : first;
      const may = last === Decision.ALLOW || last === Decision.REDACT ||
        (first !== Decision.PENDING && !known(first) && !fail_closed);
      assert.equal(happened !== undefined, may, `${first}, ${second}, ${fail_closed}`);
      if (!may) assert.ok(error instanceof AssemblyError);
      if (may && last === Decision.REDACT) assert.ok(!JSON.stringify(happened).includes("ghp_"));
    },
  ));
});

Deno.test("trap C4: a client that cannot decide is refused, and a denial throws before the act", async () => {
  for (const wrong of [undefined, null, {}, { ...client(() => fail()), check_capable: false }]) {
    assert.throws(
      // A caller without types can pass anything.
      () => governWith({ agent: { agent_id: "demo" }, client: wrong as unknown as CheckClient }),
      ConfigurationError,
    );
  }
  const agent = governed(() =>
    Promise.resolve(answer(Decision.DENY, { reason: "tool denied by policy" }))
  );
  let happened = false;
  await assert.rejects(
    agent.callTool("deploy", {}, () => happened = true),
    (error: unknown) =>
      error instanceof PolicyViolationError && error.code === "policy_violation" &&
      error.message.includes("tool `deploy` was refused: tool denied by policy"),
  );
  assert.equal(happened, false);
});

function fail(): never {
  throw new Error("not asked");
}

Deno.test("a denial names the rule, its place and the smallest change", async () => {
  const agent = governed(() =>
    Promise.resolve({
      ...answer(Decision.DENY, { reason: "tool denied by policy" }),
      reasons: {
        rule: { path: "tools.deploy.allow", at: "policy.yaml:31:5" },
        changes: [{ text: "set `tools.deploy.allow` to `true`", who: "org_admin" }],
      },
    })
  );
  await assert.rejects(agent.check({ kind: "tool_call", tool: "deploy", args: {} }), {
    message: "tool `deploy` was refused: tool denied by policy (rule `tools.deploy.allow` at " +
      "policy.yaml:31:5); to allow it, set `tools.deploy.allow` to `true` (org_admin)",
  });
});

Deno.test("refusals have a type an agent can act on", async () => {
  const cases: readonly [Parameters<typeof answer>[1], new (...a: never[]) => AssemblyError][] = [
    [{ reason: "daily budget exceeded" }, BudgetExceededError],
    [{ reason: "credential detected" }, CredentialLeakBlockedError],
    [{ reason: "OpTerminatedError: by operator" }, OpTerminatedError],
    [
      { reason: "approval timed out", policyRule: "requires_approval", approvalId: "x" },
      ApprovalTimeoutError,
    ],
  ];
  for (const [said, type] of cases) {
    const agent = governed(() => Promise.resolve(answer(Decision.DENY, said)));
    const verdict = await agent.decide({ kind: "llm_call", model: "m", prompt_tokens: 1 });
    assert.ok(!verdict.allowed && verdict.error instanceof type, said?.reason);
    assert.ok(verdict.error instanceof PolicyViolationError);
  }
});

Deno.test("a redaction replaces arguments before the act and results on the way back", async () => {
  const agent = governed(redacting);
  let seen: unknown;
  const result = await agent.callTool("push", { to: "x", auth: { token: GITHUB_PAT } }, (args) => {
    seen = args;
    return { log: `pushed with ${GITHUB_PAT}`, n: 1 };
  });
  assert.deepEqual(seen, { to: "x", auth: { token: "[REDACTED:GitHubPat]" } });
  assert.deepEqual(result, { log: "pushed with [REDACTED:GitHubPat]", n: 1 } as unknown);
});

Deno.test("trap R9: a redacted act is asked about again, and happens only when that is allowed", async () => {
  const texts: string[] = [];
  let second: number = Decision.ALLOW;
  const agent = governed((question) => {
    texts.push(textOf(question));
    return Promise.resolve(
      texts.length % 2 === 1
        ? answer(Decision.REDACT, { kinds: ["GitHubPat"], reason: "found" })
        : answer(second, { kinds: ["GitHubPat"], reason: "still" }),
    );
  });
  const act = { kind: "tool_call", tool: "push", args: { token: GITHUB_PAT, also: "nightjar" } };
  const clearance = await agent.check({ ...act, kind: "tool_call" });
  assert.deepEqual(texts[1], '{"token":"[REDACTED:GitHubPat]","also":"nightjar"}');
  assert.deepEqual(clearance.redactions, [{ kind: "GitHubPat", count: 1 }]);
  for (second of [Decision.REDACT, Decision.DENY, Decision.PENDING, 0, 77]) {
    await assert.rejects(agent.check({ ...act, kind: "tool_call" }), AssemblyError, `${second}`);
  }
});

Deno.test("what cannot be decoded here counts as sensitive, whatever else was named", async () => {
  let packed = GITHUB_PAT;
  for (let n = 0; n < 12; n++) packed = btoa(packed);
  const agent = governed((question) =>
    Promise.resolve(
      textOf(question).includes(packed.slice(0, 40))
        ? answer(Decision.REDACT, { kinds: ["Custom"], reason: "found" })
        : answer(Decision.ALLOW),
    )
  );
  const { act, redactions } = await agent.check({
    kind: "tool_call",
    tool: "push",
    args: { note: "kept", packed },
  });
  assert.deepEqual(redactions.map(({ kind }) => kind), ["Custom"]);
  const shown = JSON.stringify(act.args);
  assert.ok(shown.includes("kept") && !shown.includes(packed.slice(0, 40)), shown);
  assert.ok(agent.preflight(packed).some(({ kind }) => kind === "Custom"));
});

Deno.test("trap D1: what a tool throws is judged before anybody sees it", async () => {
  const agent = governed(redacting);
  const harmless = new RangeError("no such file");
  await assert.rejects(
    agent.callTool("read", {}, () => Promise.reject(harmless)),
    (error) => error === harmless,
  );
  const inMessage = new TypeError(`401 for ${GITHUB_PAT}`);
  const inCause = new Error("failed", { cause: new Error(`Bearer ${GITHUB_PAT}`) });
  const inProperty = Object.assign(new Error("failed"), { config: { token: GITHUB_PAT } });
  const inMany = new AggregateError([new Error(GITHUB_PAT)], "failed");
  const config: Record<string, unknown> = { authorization: GITHUB_PAT };
  config["request"] = { config };
  const inCircle = Object.assign(new Error("failed"), { config });
  const inMuch = Object.assign(new Error("failed"), { body: "x".repeat(200_000) + GITHUB_PAT });
  const unreadable = Object.defineProperty(new Error("failed"), "secret", {
    enumerable: true,
    get: () => {
      throw new Error(GITHUB_PAT);
    },
  });
  const deep = new Error(GITHUB_PAT);
  const inDeep = Array.from({ length: 40 }).reduce<Error>(
    (cause) => new Error("failed", { cause }),
    deep,
  );
  const thrown = [
    ...[inMessage, inCause, inProperty, inMany, inCircle, inMuch, unreadable, inDeep],
    ...[GITHUB_PAT, { token: GITHUB_PAT }, new Map([["token", GITHUB_PAT]])],
  ];
  for (const one of thrown) {
    const fail = () => {
      throw one;
    };
    const wrapped = wrapFunction(agent, fail, { describe: () => ({}) });
    for (const call of [agent.callTool("read", {}, fail), wrapped()]) {
      const error: unknown = await call.then(() => undefined, (reason) => reason);
      assert.ok(error instanceof Error && error !== one);
      assert.ok(!Deno.inspect(error, { depth: 9 }).includes(GITHUB_PAT), error.name);
    }
  }
  const refusing = governed((question) =>
    Promise.resolve(
      answer(question.context?.action.case === "toolResult" ? Decision.DENY : Decision.ALLOW),
    )
  );
  await assert.rejects(
    refusing.callTool("read", {}, () => Promise.reject(inMessage)),
    (error) => error instanceof PolicyViolationError && error.cause === undefined,
  );
});

Deno.test("an act that no question can be made of is refused, in every posture", async () => {
  const agent = governed(() => Promise.reject(new GatewayUnavailableError("gone")), undefined, {
    fail_closed: false,
  });
  const acts: unknown[] = [
    { kind: "llm_call", model: "m", prompt_tokens: 1.5 },
    { kind: "llm_call", model: "m", prompt_tokens: 2 ** 40 },
    { kind: "network", host: "a", port: 70_000, protocol: "https" },
    { kind: "network", host: 7, port: 443, protocol: "https" },
    { kind: "file", operation: "read", path: undefined },
    { kind: "process", program: "ls", args: [{}] },
    { kind: "tool_call", tool: "", args: {} },
    { kind: "constructor" },
  ];
  for (const act of acts) {
    await assert.rejects(agent.check(act as never), InvalidActError, JSON.stringify(act));
  }
});

Deno.test("tools that would not be found are refused instead of passing ungoverned", () => {
  const context = governed(redacting);
  const tool = { execute: () => 1 };
  class Tools {
    readonly search = tool;
  }
  const fresh = Object.defineProperty({}, "search", { get: () => ({ ...tool }), enumerable: true });
  for (const tools of [new Map([["search", tool]]), new Tools(), fresh]) {
    assert.throws(() => withAssembly(tools as never, { context }), ConfigurationError);
  }
});

Deno.test("a kind that cannot be found here is not acted on", async () => {
  const agent = governed(() =>
    Promise.resolve(answer(Decision.REDACT, { kinds: ["Custom"], reason: "found" }))
  );
  await assert.rejects(
    agent.check({ kind: "tool_call", tool: "t", args: { a: "project nightjar" } }),
    (error: unknown) =>
      error instanceof CredentialLeakBlockedError && error.kinds.includes("Custom") &&
      !error.message.includes("nightjar"),
  );
  await assert.rejects(
    agent.check({ kind: "file", operation: "read", path: `/x/${GITHUB_PAT}` }),
    CredentialLeakBlockedError,
  );
});

Deno.test("PENDING shows the approval, waits, and continues with the answer that holds then", async () => {
  const notices: Notice[] = [];
  const { promise, resolve } = Promise.withResolvers<CheckAnswer>();
  const agent = governed(
    () => Promise.resolve(answer(Decision.PENDING, { approvalId: "ap-1", reason: "wait" })),
    () => promise,
    { onNotice: (notice: Notice) => notices.push(notice) },
  );
  const act = agent.check({ kind: "tool_call", tool: "pay", args: { amount: 3 } });
  while (notices.length === 0) await new Promise((next) => setTimeout(next));
  assert.ok(notices[0]?.type === "approval_pending" && notices[0].approval_id === "ap-1");
  resolve(answer(Decision.ALLOW, { approvalId: "ap-1", policyRule: "requires_approval" }));
  const clearance = await act;
  assert.equal(clearance.by, "approval");
  assert.ok(notices[1]?.type === "approval_decided" && notices[1].approved);
});

Deno.test("a wait for approval can be cancelled and ends with the agent", async () => {
  const never: Answering = (_question, signal) =>
    new Promise((_resolve, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason), { once: true })
    );
  const pending: Answering = () => Promise.resolve(answer(Decision.PENDING, { approvalId: "a" }));
  for (const fail_closed of [true, false]) {
    const agent = governed(pending, never, { fail_closed });
    const control = new AbortController();
    const reason = new Error("changed my mind");
    const cancelled = agent.check(
      { kind: "tool_call", tool: "pay", args: {} },
      { signal: control.signal },
    );
    const ended = agent.check({ kind: "tool_call", tool: "pay", args: {} });
    ended.catch(() => {});
    control.abort(reason);
    await assert.rejects(cancelled, reason);
    await agent.shutdown();
    await assert.rejects(ended, ClosedError);
    await assert.rejects(agent.check({ kind: "tool_call", tool: "x", args: {} }), ClosedError);
  }
});

Deno.test("a refusal repeats no secret, not even where the change that would help names a path", async () => {
  const agent = governed(() =>
    Promise.resolve({
      ...answer(Decision.DENY, { reason: `path /x/${GITHUB_PAT} is not listed` }),
      reasons: { changes: [{ text: `add \`/x/${GITHUB_PAT}\` to \`allow\``, who: "org_admin" }] },
    })
  );
  await assert.rejects(
    agent.check({ kind: "file", operation: "read", path: `/x/${GITHUB_PAT}` }),
    (error) =>
      error instanceof PolicyViolationError && !Deno.inspect(error).includes(GITHUB_PAT) &&
      error.message.includes("to allow it, add `/x/[REDACTED:GitHubPat]"),
  );
});

Deno.test("an approval that nobody decided is not told as decided", async () => {
  const notices: Notice[] = [];
  const agent = governed(
    () => Promise.resolve(answer(Decision.PENDING, { approvalId: "a" })),
    undefined,
    { onNotice: (notice: Notice) => notices.push(notice) },
  );
  await assert.rejects(agent.check({ kind: "tool_call", tool: "pay", args: {} }), {
    code: "approval_timeout",
  });
  assert.deepEqual(notices.map(({ type }) => type), ["approval_pending"]);
});

Deno.test("what JSON cannot hold is refused unasked, because it could not be judged", async () => {
  const asked = client(() => Promise.resolve(answer(Decision.ALLOW)));
  const agent = governWith({ agent: { agent_id: "demo" }, client: asked });
  const circle: Record<string, unknown> = {};
  circle["self"] = circle;
  const hidden = [
    { f: () => 1 },
    { m: new Map([["a", 1]]) },
    { n: NaN },
    { big: 1n },
    { toJSON: () => "harmless", path: "/etc/shadow" },
    // deno-lint-ignore no-sparse-arrays
    [1, , 2],
    { [Symbol("s")]: 1 },
    circle,
    {
      get a() {
        throw new Error("no");
      },
    },
  ];
  for (const args of hidden) {
    await assert.rejects(agent.check({ kind: "tool_call", tool: "t", args }), InvalidActError);
  }
  assert.equal(asked.asked, 0);
});

Deno.test("withAssembly governs a whole map in place or none of it", async () => {
  const agent = governed((question) => {
    const { action } = question.context ?? {};
    const denied = action?.case === "toolCall" && action.value.toolName === "deploy";
    return Promise.resolve(answer(denied ? Decision.DENY : Decision.ALLOW));
  });
  const tools = {
    search: { execute: (args: { q: string }) => `found ${args.q}` },
    ship: { name: "deploy", invoke: (_args: unknown) => "shipped" },
  };
  assert.equal(withAssembly(tools, { context: agent }), tools);
  withAssembly(tools, { context: agent });
  assert.equal(await tools.search.execute({ q: "x" }), "found x");
  await assert.rejects(async () => await tools.ship.invoke({}), PolicyViolationError);
  const bad = { good: { execute: () => 1 }, odd: { call: () => 1 } };
  const before = bad.good.execute;
  assert.throws(() => withAssembly(bad, { context: agent }), ConfigurationError);
  assert.equal(bad.good.execute, before);
  assert.throws(
    () => withAssembly({ f: Object.freeze({ execute: () => 1 }) }, { context: agent }),
    ConfigurationError,
  );
});

Deno.test("a wrapped function gets the arguments that were judged", async () => {
  const agent = governed(() => Promise.resolve(answer(Decision.ALLOW)));
  const add = wrapFunction(agent, (a: number, b: number) => a + b, { tool: "add" });
  assert.equal(await add(2, 3), 5);
  const at = wrapFunction(agent, (when: Date) => when.getTime(), {
    tool: "at",
    describe: (when) => ({ when: when.toISOString() }),
  });
  assert.equal(await at(new Date(5)), 5);
});

Deno.test("trap R8: every reported event carries the label aa.sdk_version", async () => {
  const labels: Record<string, string>[] = [];
  const inner = client(() => Promise.resolve(answer(Decision.ALLOW)));
  inner.report = (event) => {
    labels.push(event.labels);
    return Promise.resolve();
  };
  const agent = governWith({ agent: { agent_id: "demo" }, client: inner });
  await agent.reportEvent("tool_call", "x");
  await agent.reportLlmCall({ model: "m", prompt_tokens: 1, completion_tokens: 2, latency_ms: 3 });
  await agent.reportEdge({ source: "a", target: "b", type: "delegates_to" });
  assert.equal(labels.length, 3);
  for (const one of labels) assert.match(one["aa.sdk_version"] ?? "", /^\d+\.\d+\.\d+/);
  assert.equal(labels[2]?.["__aa_edge_type__"], "delegates_to");
});
