/**
 * Walks the script: ask, act only on a yes, remember what came back, compare with what was expected.
 *
 * @module
 */
import { type Act, describe } from "./act.ts";
import { perform } from "./actor.ts";
import { traceOf } from "./evidence.ts";
import type { Answer, Gate } from "./gate.ts";
import type { Operator } from "./operator.ts";
import { redactedAct } from "./redaction.ts";
import type { Chapter, Expectation, Memory, Step } from "./steps.ts";
import type { World } from "./world.ts";

/** What became of one step. */
export interface Outcome {
  readonly number: number;
  readonly chapter: string;
  /** What was tried, in a few words. */
  readonly title: string;
  /** Absent for what the operator did. */
  readonly act?: Act;
  readonly answer?: Answer;
  /** Whether the act was performed, in its redacted form or as it was. */
  readonly acted: boolean;
  /** What was to happen, in words. */
  readonly expected: string;
  /** What is wrong; empty when everything was as expected. */
  readonly problems: readonly string[];
  /** Time from question to answer, in microseconds. */
  readonly answer_us?: number;
}

/** What a run needs. */
export interface Run {
  readonly world: World;
  readonly gate: Gate;
  readonly operator: Operator;
  /** Called after each step. */
  readonly onOutcome: (outcome: Outcome) => void;
}

/** A token that was never issued. */
const FORGED_TOKEN = "00000000-0000-4000-8000-000000000000";

/** Walks every step in order; a wrong answer is noted and the walk goes on. */
export async function walk(run: Run, chapters: readonly Chapter[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const memory: Memory = { received: "", answer: "" };
  for (const { title, steps } of chapters) {
    for (const step of steps) {
      const number = outcomes.length + 1;
      const outcome = step.kind === "operator"
        ? await command(run, number, title, step)
        : await attempt(run, number, title, step, memory);
      outcomes.push(outcome);
      run.onOutcome(outcome);
    }
  }
  return outcomes;
}

async function attempt(
  run: Run,
  number: number,
  chapter: string,
  step: Step & { kind: "act" },
  memory: Memory,
): Promise<Outcome> {
  const { world, gate } = run;
  const act = typeof step.act === "function" ? step.act(memory) : step.act;
  const token = { none: "", forged: FORGED_TOKEN, own: gate.agent.token }[step.credential ?? "own"];
  const started_ms = performance.now();
  const answer = await gate.ask(number, act, token);
  const answer_us = Math.round((performance.now() - started_ms) * 1000);
  const permitted = permittedAct(act, answer);
  const problems = differences(step.expect, answer);
  if (permitted !== undefined) {
    try {
      remember(memory, permitted, await perform(world, number, permitted));
    } catch (error) {
      problems.push(`the act failed: ${error instanceof Error ? error.message : error}`);
    }
    if (await traceOf(world, number, permitted) === false) problems.push("the act left no trace");
  }
  return {
    number,
    chapter,
    title: titleOf(act, step, world.paths.root),
    act,
    answer,
    acted: permitted !== undefined,
    expected: inWords(step.expect),
    problems,
    answer_us,
  };
}

/** The act that may happen; `undefined` when none may. */
function permittedAct(act: Act, answer: Answer): Act | undefined {
  switch (answer.verdict) {
    case "allow":
      return act;
    case "redact":
      return redactedAct(act, answer.redact_kinds);
    case "deny":
    case "pending":
    case "refused":
      return undefined;
  }
}

function remember(memory: Memory, act: Act, result: string): void {
  if (act.kind === "model") memory.answer = result;
  else memory.received = result;
}

function differences(expect: Expectation, answer: Answer): string[] {
  const problems: string[] = [];
  if (answer.verdict !== expect.verdict) {
    problems.push(`expected ${expect.verdict}, got ${answer.verdict} (${answer.reason})`);
  }
  if (expect.rule !== undefined && answer.rule?.path !== expect.rule) {
    problems.push(`expected rule \`${expect.rule}\`, got \`${answer.rule?.path ?? "none"}\``);
  }
  if (expect.reason !== undefined && !answer.reason.includes(expect.reason)) {
    problems.push(`expected reason \`${expect.reason}\`, got \`${answer.reason}\``);
  }
  if (answer.verdict === "deny" && answer.changes.length === 0) {
    problems.push("a denial came without the smallest change");
  }
  return problems;
}

async function command(
  run: Run,
  number: number,
  chapter: string,
  step: Step & { kind: "operator" },
): Promise<Outcome> {
  const wanted = step.command === "suspend" ? "suspended" : "active";
  const { agentId } = run.gate.agent.triple;
  const status = await run.operator[step.command](agentId, step.reason);
  return {
    number,
    chapter,
    title: `operator: ${step.command} the agent (${step.reason})`,
    acted: true,
    expected: wanted,
    problems: status === wanted ? [] : [`expected the agent to be ${wanted}, it is ${status}`],
  };
}

function titleOf(act: Act, step: Step & { kind: "act" }, root: string): string {
  const title = describe(act, root);
  if (step.credential === "none") return `${title}, without a token`;
  return step.credential === "forged" ? `${title}, with a forged token` : title;
}

function inWords({ verdict, rule, reason }: Expectation): string {
  const because = rule ?? reason;
  return because === undefined ? verdict : `${verdict} by ${because}`;
}
