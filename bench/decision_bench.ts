/**
 * In-process decisions side by side with Cedar (wasm) and OPA (wasm) on the same questions.
 *
 * All three must give the same verdict on every question, or the run fails. `deno task bench`
 * builds the OPA module and runs this; results with conditions are in README.md beside this file.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import * as cedar from "@cedar-policy/cedar-wasm/nodejs";
import { loadPolicy as loadRego } from "@open-policy-agent/opa-wasm";
import { compilePolicySet } from "../core/policy/compile.ts";
import { decide, type Facts } from "../core/policy/decide.ts";
import { loadPolicy } from "../core/policy/load.ts";
import type { ToolCall } from "../core/action.ts";

/** One question and the answer every engine must give. */
interface Question {
  readonly tool: string;
  readonly amount: number;
  readonly allowed: boolean;
}

/** An engine under test: one closure that answers one question. */
interface Engine {
  readonly name: string;
  readonly ask: (question: Question, index: number) => boolean;
}

const QUESTIONS = 2_000;
const AMOUNT_MAX = 100;
const SIZES = [1, 10, 100, 1_000, 10_000];

/** Rule i: every third tool is refused; of the others every second asks approval above an amount. */
function ruleOf(i: number): { allow: boolean; capped: boolean } {
  return { allow: i % 3 !== 2, capped: i % 2 === 1 };
}

function questionsFor(rules: number): Question[] {
  let seed = 42;
  const random = () => (seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff) / 0x7fffffff;
  return Array.from({ length: QUESTIONS }, (_, n) => {
    const i = Math.floor(random() * rules * (n % 4 === 3 ? 1.3 : 1));
    const amount = Math.floor(random() * 200);
    const known = i < rules;
    const { allow, capped } = ruleOf(i);
    const allowed = known && allow && !(capped && amount > AMOUNT_MAX);
    return { tool: `tool_${i}`, amount, allowed };
  });
}

function ours(rules: number, questions: readonly Question[]): Engine {
  const lines = ["tools:", `  "*": { allow: false }`];
  for (let i = 0; i < rules; i++) {
    const { allow, capped } = ruleOf(i);
    const condition = capped ? `, requires_approval_if: "args.amount > ${AMOUNT_MAX}"` : "";
    lines.push(`  tool_${i}: { allow: ${allow}${condition} }`);
  }
  const loaded = loadPolicy("bench.yaml", lines.join("\n"));
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems.slice(0, 3)));
  const set = compilePolicySet([loaded.document], { mode: "single_file" });
  const actions: ToolCall[] = questions.map((question) => ({
    kind: "tool_call",
    tool: question.tool,
    args: JSON.stringify({ amount: question.amount, path: "/workspace/a.txt" }),
  }));
  const facts: Facts = {
    now_ms: 1_750_000_000_000,
    principal: {
      assurance: "bound",
      agent_id: "agent-1",
      engine_key: "6ff3b3bd11c44cac620c43d5b65377bd",
      org_id: "acme",
      team_id: "ops",
      status: "active",
    },
    rateTokens: () => 1,
    spend: { state: "unavailable" },
  };
  return {
    name: "agent-assembly",
    ask: (_, index) => decide(set, actions[index] as ToolCall, facts).outcome === "allow",
  };
}

function cedarWasm(rules: number, questions: readonly Question[]): Engine {
  const policies: string[] = [];
  for (let i = 0; i < rules; i++) {
    const { allow, capped } = ruleOf(i);
    if (!allow) continue;
    const when = capped ? ` when { context.amount <= ${AMOUNT_MAX} }` : "";
    policies.push(
      `permit(principal, action == Action::"call", resource == Tool::"tool_${i}")${when};`,
    );
  }
  const parsed = cedar.preparsePolicySet("bench", { staticPolicies: policies.join("\n") });
  if (parsed.type !== "success") throw new Error(JSON.stringify(parsed));
  const calls = questions.map((question) => ({
    principal: { type: "Agent", id: "agent-1" },
    action: { type: "Action", id: "call" },
    resource: { type: "Tool", id: question.tool },
    context: { amount: question.amount, path: "/workspace/a.txt" },
    preparsedPolicySetId: "bench",
    entities: [],
  }));
  return {
    name: "cedar-wasm (pre-parsed)",
    ask: (_, index) => {
      const answer = cedar.statefulIsAuthorized(calls[index] as (typeof calls)[number]);
      return answer.type === "success" && answer.response.decision === "allow";
    },
  };
}

async function opaWasm(
  rules: number,
  questions: readonly Question[],
  wasm: Uint8Array,
): Promise<Engine> {
  const rego = await loadRego(wasm.slice().buffer);
  const tools: Record<string, unknown> = {};
  for (let i = 0; i < rules; i++) {
    const { allow, capped } = ruleOf(i);
    tools[`tool_${i}`] = capped ? { allow, amount_max: AMOUNT_MAX } : { allow };
  }
  rego.setData({ tools });
  const inputs = questions.map((question) => ({
    tool: question.tool,
    args: { amount: question.amount, path: "/workspace/a.txt" },
  }));
  return {
    name: "opa-wasm (data-indexed)",
    ask: (_, index) => rego.evaluate(inputs[index])[0]?.result === true,
  };
}

interface Row {
  readonly rules: number;
  readonly engine: string;
  readonly decisions_per_s: number;
  readonly p50_us: number;
  readonly p99_us: number;
}

function measure(engine: Engine, rules: number, questions: readonly Question[], ms: number): Row {
  questions.forEach((question, index) => {
    if (engine.ask(question, index) !== question.allowed) {
      throw new Error(`${engine.name} at ${rules} rules disagrees on ${JSON.stringify(question)}`);
    }
  });
  const until = performance.now() + ms;
  let asked = 0;
  const started = performance.now();
  while (performance.now() < until) {
    for (let k = 0; k < 50; k++) {
      const index = asked++ % questions.length;
      engine.ask(questions[index] as Question, index);
    }
  }
  const decisions_per_s = asked / ((performance.now() - started) / 1000);
  const times: number[] = [];
  const singles_until = performance.now() + ms;
  while (performance.now() < singles_until) {
    const index = times.length % questions.length;
    const before = performance.now();
    engine.ask(questions[index] as Question, index);
    times.push((performance.now() - before) * 1000);
  }
  times.sort((a, b) => a - b);
  const at = (q: number) => times[Math.min(times.length - 1, Math.floor(times.length * q))] ?? NaN;
  return { rules, engine: engine.name, decisions_per_s, p50_us: at(0.5), p99_us: at(0.99) };
}

const wasm_file = Deno.args[0];
const rows: Row[] = [];
for (const rules of SIZES) {
  const questions = questionsFor(rules);
  const engines = [ours(rules, questions), cedarWasm(rules, questions)];
  if (wasm_file !== undefined) {
    engines.push(await opaWasm(rules, questions, await Deno.readFile(wasm_file)));
  }
  for (const engine of engines) {
    measure(engine, rules, questions, 200); // warm
    const row = measure(engine, rules, questions, 1_500);
    rows.push(row);
    console.log(
      `${String(rules).padStart(6)} rules  ${engine.name.padEnd(24)} ` +
        `${Math.round(row.decisions_per_s).toLocaleString("en").padStart(10)} decisions/s  ` +
        `p50 ${row.p50_us.toFixed(2)} us  p99 ${row.p99_us.toFixed(2)} us`,
    );
  }
}
console.log(JSON.stringify(rows));
