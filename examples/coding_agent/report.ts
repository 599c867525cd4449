/**
 * Shows a run: as text, one line a step, or as one JSON document.
 *
 * @module
 */
import type { Claim } from "./evidence.ts";
import type { Outcome } from "./run.ts";

/** Everything there is to say about a run. */
export interface RunReport {
  readonly gateway: { readonly address: string; readonly permissions: readonly string[] };
  readonly agent: string;
  readonly outcomes: readonly Outcome[];
  readonly claims: readonly Claim[];
  readonly ok: boolean;
}

/** Where a run is shown while it goes on and when it is over. */
export interface Reporter {
  /** @param root The demo's directory: left out of paths in text. */
  start(gateway: RunReport["gateway"], agent: string, root: string): void;
  step(outcome: Outcome): void;
  claim(claim: Claim): void;
  end(report: RunReport): void;
}

type Write = (text: string) => void;

const COLOURS = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1 } as const;

/** Text for people. Colours are for terminals only. */
export class TextReporter implements Reporter {
  #chapter = "";
  #claimed = false;
  #root = "";

  constructor(private readonly write: Write, private readonly colours: boolean) {}

  start({ address, permissions }: RunReport["gateway"], agent: string, root: string): void {
    this.#root = root;
    this.write(`gateway   ${address}, started with`);
    for (const permission of permissions) {
      this.write(`            ${this.#paint("dim", permission)}`);
    }
    this.write(`agent     ${agent}`);
  }

  step(outcome: Outcome): void {
    if (outcome.chapter !== this.#chapter) {
      this.#chapter = outcome.chapter;
      this.write(`\n${this.#paint("bold", outcome.chapter)}`);
    }
    const number = String(outcome.number).padStart(3);
    const title = fit(printable(outcome.title), 58);
    this.write(`${number}  ${title}  ${this.#verdict(outcome)}  ${because(outcome)}`.trimEnd());
    for (const line of advice(outcome)) {
      this.write(this.#paint("dim", `     ↳ ${line.replaceAll(`${this.#root}/`, "")}`));
    }
    for (const problem of outcome.problems) this.write(this.#paint("red", `     ✗ ${problem}`));
  }

  claim({ claim, held, found }: Claim): void {
    if (!this.#claimed) this.write(`\n${this.#paint("bold", "what the world and the log say")}`);
    this.#claimed = true;
    const mark = held ? this.#paint("green", "holds") : this.#paint("red", "FAILS");
    this.write(`  ${mark}  ${printable(claim)}${held ? "" : `: ${printable(found)}`}`);
  }

  end({ outcomes, claims, ok }: RunReport): void {
    const answered = outcomes.filter((outcome) => outcome.answer !== undefined);
    const times_us = answered.map((outcome) => outcome.answer_us ?? 0).sort((a, b) => a - b);
    const median_us = times_us[Math.floor(times_us.length / 2)] ?? 0;
    const wrong = outcomes.filter((outcome) => outcome.problems.length > 0).length +
      claims.filter((claim) => !claim.held).length;
    const counts = Object.entries(Object.groupBy(answered, (one) => one.answer?.verdict ?? "none"))
      .map(([verdict, list]) => `${list?.length} ${verdict}`).join(", ");
    this.write(
      `\n${outcomes.length} steps: ${counts}; median answer ${median_us} µs, explanation and ` +
        "durable log entry included",
    );
    this.write(
      ok
        ? this.#paint("green", "every step and every claim was as expected")
        : this.#paint("red", `${wrong} of the steps and claims were not as expected`),
    );
  }

  #verdict({ answer }: Outcome): string {
    const word = (answer?.verdict ?? "done").toUpperCase().padEnd(7);
    switch (answer?.verdict) {
      case undefined:
        return word;
      case "allow":
        return this.#paint("green", word);
      case "redact":
      case "pending":
        return this.#paint("yellow", word);
      default:
        return this.#paint("red", word);
    }
  }

  #paint(colour: keyof typeof COLOURS, text: string): string {
    return this.colours ? `\x1b[${COLOURS[colour]}m${text}\x1b[0m` : text;
  }
}

/** One JSON document when the run is over. */
export class JsonReporter implements Reporter {
  constructor(private readonly write: Write) {}

  start(): void {}
  step(): void {}
  claim(): void {}

  end(report: RunReport): void {
    const steps = report.outcomes.map(({ answer, act: _act, ...outcome }) => ({
      ...outcome,
      ...(answer === undefined ? {} : { answer }),
    }));
    const { outcomes: _outcomes, ...rest } = report;
    const plain = (_key: string, value: unknown) =>
      typeof value === "bigint" ? Number(value) : value;
    this.write(JSON.stringify({ ...rest, steps }, plain, 2));
  }
}

function because({ answer }: Outcome): string {
  if (answer === undefined) return "";
  const rule = answer.rule === undefined ? "" : `${answer.rule.at} ${answer.rule.path}`;
  if (answer.verdict === "allow") return rule || "no rule speaks of it";
  return `${printable(answer.reason)}  ${rule}`.trimEnd();
}

function advice({ answer, acted }: Outcome): string[] {
  if (answer?.verdict === "redact") {
    const kinds = answer.redact_kinds.join(", ");
    return [
      acted
        ? `done with ${kinds} cut out`
        : `not done: ${kinds} is known to the policy alone and cannot be cut out on this side`,
    ];
  }
  const [first] = answer?.changes ?? [];
  return answer?.verdict === "deny" && first !== undefined
    ? [`would need: ${printable(first.text)} (${first.who})`]
    : [];
}

function fit(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width);
}

/** Controls, line separators and text-direction marks. */
const STEERING = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu;

/** Nothing that an agent, a model or a server wrote may steer the terminal. */
function printable(text: string): string {
  return text.replaceAll(STEERING, "·");
}
