/**
 * From answers to decision facts: the decision path only notes an answer; a moment later it is
 * redacted, packed with others, encrypted and written. What is noted is written within
 * `FACTS_LIMITS.flush_ms`; a crash loses at most that. Facts are not evidence: the audit log is.
 *
 * @module
 */
import { scannableText } from "../../core/action.ts";
import type { PolicySet } from "../../core/policy/compile.ts";
import type { Principal } from "../../core/principal.ts";
import {
  type ActionFindings,
  type ApprovalFact,
  cleanAction,
  type DecisionFact,
} from "../../core/replay/facts.ts";
import { REPLAY_LIMITS } from "../../core/replay/limits.ts";
import { outcomeOfWire } from "../../core/replay/replay.ts";
import { DEFAULT_SCANNER } from "../../core/scanner/mod.ts";
import type { Decision } from "../../core/verdict.ts";
import { clean } from "../engine/evidence.ts";
import type { Answered, AnswerObserver } from "../engine/parts.ts";
import { FACTS_LIMITS } from "./limits.ts";
import type { FactSegments } from "./segments.ts";

/** Longer names are made again each time: remembered ones are bounded in size, too. */
const NAME_CHARS_MAX = 256;

/** What a recorder works with. */
export interface RecorderOptions {
  readonly segments: Pick<FactSegments, "append">;
  /** The policy in force. */
  readonly policy: () => PolicySet;
  /** What a call would cost, for calls that took no reservation. */
  readonly price: (action: Answered["action"]) => number;
  readonly now_ms: () => number;
  /** Lets other work have its turn. */
  readonly breathe: () => Promise<void>;
}

/** What `status` shows of the facts. */
export interface RecorderCounts {
  readonly recorded: number;
  /** Not taken: more answers than could be written. */
  readonly dropped: number;
  /** Taken, and lost because they could not be written. */
  readonly lost: number;
  /** Why the last batch could not be written; empty when it could. */
  readonly last_error: string;
}

interface Noted {
  readonly answered: Answered;
  readonly policy: PolicySet;
}

/** Records facts. */
export class FactRecorder {
  readonly #on: RecorderOptions;
  readonly #names = new Map<string, string>();
  readonly #digests = new WeakMap<PolicySet, readonly string[]>();
  #pending: Noted[] = [];
  #writing: Promise<void> | undefined;
  #recorded = 0;
  #dropped = 0;
  #lost = 0;
  #last_error = "";

  constructor(options: RecorderOptions) {
    this.#on = options;
  }

  /** Notes an answer. Never makes it wait, and never fails it. */
  readonly observe: AnswerObserver = (answered) => {
    if (this.#pending.length >= FACTS_LIMITS.pending_facts) this.#dropped += 1;
    else this.#pending.push({ answered, policy: this.#on.policy() });
    return undefined;
  };

  /** What became of facts so far. */
  get counts(): RecorderCounts {
    return {
      recorded: this.#recorded,
      dropped: this.#dropped,
      lost: this.#lost,
      last_error: this.#last_error,
    };
  }

  /** Writes what is noted; resolves when that is on disk, or lost and counted. Never rejects. */
  async flush(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    if (this.#pending.length === 0) return;
    const noted = this.#pending;
    this.#pending = [];
    this.#writing = this.#write(noted);
    await this.#writing;
    this.#writing = undefined;
  }

  async #write(noted: readonly Noted[]): Promise<void> {
    for (let at = 0; at < noted.length; at += REPLAY_LIMITS.frame_facts) {
      const part = noted.slice(at, at + REPLAY_LIMITS.frame_facts);
      try {
        const facts: DecisionFact[] = [];
        for (const one of part) {
          facts.push(this.#factOf(one));
          if (facts.length % FACTS_LIMITS.slice_facts === 0) await this.#on.breathe();
        }
        await this.#on.segments.append(facts, this.#on.now_ms());
        this.#recorded += facts.length;
        this.#last_error = "";
      } catch (error) {
        this.#lost += part.length;
        // A disk's error names a path, never what was to be written.
        this.#last_error = error instanceof Error ? error.message : "unknown failure";
      }
    }
  }

  #factOf({ answered, policy }: Noted): DecisionFact {
    const { decision, wire_decision, shadowed } = answered;
    const name = (text: string) => this.#cleanName(text);
    const findings = findingsOf(answered, policy);
    const cleaned = cleanAction(answered.action, findings, name);
    const { principal, cut } = cleanPrincipal(answered.principal, name);
    const hidden = cut && cleaned.hidden === undefined ? NAME_CUT : cleaned.hidden;
    const approval = approvalOf(answered);
    return {
      at_ms: answered.now_ms,
      principal,
      action: cleaned.action,
      ...(hidden && { hidden: cut ? { ...hidden, tool: true } : hidden }),
      recorded: {
        outcome: shadowed ? outcomeOf(decision) : outcomeOfWire(wire_decision),
        reason: decision.outcome === "deny" ? decision.reason : wordsOf(answered.reason),
        ...(decision.stage && { stage: decision.stage }),
        ...(decision.rule && { rule: decision.rule }),
        shadowed,
      },
      micro_usd: answered.micro_usd === 0 ? this.#on.price(answered.action) : answered.micro_usd,
      ...(approval && { approval }),
      policy_digests: this.#digestsOf(policy),
    };
  }

  #cleanName(text: string): string {
    const known = this.#names.get(text);
    if (known !== undefined) return known;
    const cleaned = clean(text);
    if (this.#names.size >= FACTS_LIMITS.remembered_names) this.#names.clear();
    if (text.length <= NAME_CHARS_MAX) this.#names.set(text, cleaned);
    return cleaned;
  }

  #digestsOf(policy: PolicySet): readonly string[] {
    const known = this.#digests.get(policy);
    if (known !== undefined) return known;
    const digests = policy.documents.map((by) => by.document.digest);
    this.#digests.set(policy, digests);
    return digests;
  }
}

const NAME_CUT: NonNullable<DecisionFact["hidden"]> = {
  tool: true,
  pointers: [],
  host: false,
  plain_path: true,
  builtin: false,
  custom: false,
};

/** Stages after which the scan has not run. */
const UNSCANNED: ReadonlySet<string> = new Set([
  "configuration",
  "status",
  "schedule",
  "network",
  "capability",
  "filesystem",
  "tool",
  "rate_limit",
]);

/** What the decision's scan found; a call refused before it is scanned now, by the same rules. */
function findingsOf({ action, decision, principal }: Answered, policy: PolicySet): ActionFindings {
  const text = scannableText(action);
  if (text === undefined) return [];
  const failed = decision.stage === "scan" && decision.outcome === "deny" &&
    decision.findings.length === 0;
  if (failed) return "unknown";
  if (decision.outcome !== "deny" || !UNSCANNED.has(decision.stage ?? "configuration")) {
    return decision.findings;
  }
  try {
    const cascade = policy.index.cascade(principal, action);
    return (cascade?.scanner() ?? DEFAULT_SCANNER).scan(text);
  } catch {
    // A scanner that gave up knows of no clean part.
    return "unknown";
  }
}

function cleanPrincipal(
  principal: Principal,
  name: (text: string) => string,
): { readonly principal: Principal; readonly cut: boolean } {
  const { agent_id, org_id, team_id, context } = principal;
  const parent = context?.parent_agent_id;
  const clean_org = org_id === undefined ? undefined : name(org_id);
  const clean_team = team_id === undefined ? undefined : name(team_id);
  const clean_parent = typeof parent === "string" ? name(parent) : undefined;
  const cut = clean_org !== org_id || clean_team !== team_id ||
    (typeof parent === "string" && clean_parent !== parent);
  const clean_agent = name(agent_id);
  if (!cut && clean_agent === agent_id) return { principal, cut: false };
  return {
    principal: {
      ...principal,
      agent_id: clean_agent,
      ...(clean_org === undefined ? {} : { org_id: clean_org }),
      ...(clean_team === undefined ? {} : { team_id: clean_team }),
      ...(clean_parent === undefined
        ? {}
        : { context: { ...context, parent_agent_id: clean_parent } }),
    },
    cut,
  };
}

function outcomeOf(decision: Decision): DecisionFact["recorded"]["outcome"] {
  if (decision.outcome === "require_approval") return "pending";
  return decision.outcome === "allow" && decision.redacted !== undefined
    ? "redact"
    : decision.outcome;
}

/** A person's or detector's reason may quote anything: only the contract's own words are kept. */
function wordsOf(reason: string): string {
  return /^[a-z][a-z -]{0,63}$/.test(reason) ? reason : reason === "" ? "" : "refused otherwise";
}

function approvalOf(answered: Answered): ApprovalFact | undefined {
  if (answered.approval_request_id === undefined) return undefined;
  switch (answered.wire_decision) {
    case 1:
    case 4:
      return "granted";
    case 3:
      return "pending";
    case 2:
      return "refused";
  }
}
