/**
 * One permission request, judged: turned into policy questions, asked of the decisions room or
 * answered from what it said before, and put into words the agent can act on.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { common, policy } from "../../proto/mod.ts";
import type { DecisionsPart, Origin } from "../parts.ts";
import { AnswerCache } from "./answer_cache.ts";
import type { WorkingDirectories } from "./directories.ts";
import { BROKER_LIMITS } from "./limits.ts";
import { type Files, isKernelPath, isWithin, lexicalPath, resolvePath } from "./paths.ts";
import type { PermissionRequest, Verdict } from "./protocol.ts";
import { type Act, FILE_OPERATION, pathActs, type PathUse, planOf } from "./question.ts";
import { refusalText } from "./reason.ts";
import type { RepeatClock, RepeatCounter } from "./repeats.ts";
import { Turns } from "./turns.ts";

/** For whom the broker asks; set by whoever starts the runtime, never by the agent. */
export interface BrokerAgent {
  readonly org_id: string;
  readonly team_id: string;
  readonly agent_id: string;
  readonly credential_token: string;
  readonly trace_id: string;
}

/** What judging needs. */
export interface JudgeParts {
  readonly agent: BrokerAgent;
  readonly decisions: DecisionsPart;
  readonly repeats: RepeatCounter;
  readonly clock: RepeatClock;
  readonly files: Files;
  /** Where the agent makes temporary files; absolute. */
  readonly temp_directory: string;
  /** Absolute directories no agent touches, whatever its policy: sockets, records, keys. */
  readonly protected_paths: readonly string[];
}

/** The process that asks. */
export interface AskingProcess {
  /** By the kernel's word; absent where it cannot be asked. */
  readonly pid?: number;
  readonly directories: WorkingDirectories;
  /** Names the connection in span ids. */
  readonly connection: number;
}

const ALLOW: Verdict = { result: "allow" };

const DECISION_ALLOW = 1;
const DECISION_DENY = 2;
const DECISION_PENDING = 3;
const DECISION_REDACT = 4;

/** Judges requests. One for the broker: its cache is shared by all processes of the agent. */
export class Judge {
  readonly #parts: JudgeParts;
  readonly #cache = new AnswerCache();
  readonly #turns = new Turns(BROKER_LIMITS.questions_in_flight);
  readonly #agent_id: common.AgentId;
  readonly #protected: readonly string[];
  /** Refusals without a policy, by kind: there are as many kinds as permissions. */
  readonly #refused = new Map<string, number>();

  constructor(parts: JudgeParts) {
    this.#parts = parts;
    const { org_id, team_id, agent_id } = parts.agent;
    this.#agent_id = create(common.AgentIdSchema, {
      orgId: org_id,
      teamId: team_id,
      agentId: agent_id,
    });
    this.#protected = parts.protected_paths.map(lexicalPath);
  }

  /** Answers kept now. */
  get cached(): number {
    return this.#cache.size;
  }

  /**
   * Judges one request. Never rejects: what goes wrong is a denial with a name.
   *
   * @param signal Aborts when the asking process is gone.
   */
  async judge(
    request: PermissionRequest,
    process: AskingProcess,
    signal: AbortSignal,
  ): Promise<Verdict> {
    try {
      return await this.#judge(request, process, signal);
    } catch {
      return { result: "deny", reason: refusalText("the permission broker failed while judging") };
    }
  }

  async #judge(
    request: PermissionRequest,
    process: AskingProcess,
    signal: AbortSignal,
  ): Promise<Verdict> {
    const plan = planOf(request, this.#parts.temp_directory);
    if (plan.kind === "refuse") {
      return await this.#refuse(`${request.permission} refused`, plan.reason);
    }
    const acts = [...plan.acts];
    let blocked: string | undefined;
    for (const use of plan.paths) {
      const found = this.#actsOfPath(use, process);
      acts.push(...found.acts);
      blocked ??= found.blocked;
    }
    const asked: Asked = { request, process, signal };
    for (const act of acts) {
      const verdict = await this.#answer(act, asked);
      if (verdict.result === "deny") return verdict;
    }
    // Last, so that what policy denies anyway is denied by its rule.
    if (blocked !== undefined) return await this.#refuse(`${request.permission} refused`, blocked);
    if (request.permission === "read" && process.directories.guessing) {
      this.#remember(plan.paths, process);
    }
    return ALLOW;
  }

  /** The questions of every form a path has: as written and as it leads, from every directory. */
  #actsOfPath(use: PathUse, process: AskingProcess): PathActs {
    if (use.path.includes("\0")) return { acts: [], blocked: "the path holds a NUL character" };
    const from = this.#directoriesFor(use.path, process);
    if (from === undefined) {
      return {
        acts: [],
        blocked: "a relative path was named and the process's working directory is not known: " +
          "use an absolute path",
      };
    }
    const forms = new Set<string>();
    let unknown: string | undefined;
    for (const directory of from) {
      const written = `${directory}/${use.path}`;
      forms.add(lexicalPath(written));
      const resolved = resolvePath(written, this.#parts.files);
      if (resolved.ok) forms.add(resolved.path);
      else unknown = resolved.reason;
    }
    // What no rule allows is said first: it holds wherever the path leads.
    let blocked: string | undefined;
    for (const path of forms) blocked ??= this.#outOfReach(path);
    blocked ??= unknown;
    const acts = [...forms].flatMap((path) => pathActs(use.mode, path));
    return { acts, ...(blocked !== undefined && { blocked }) };
  }

  /** Why no rule allows a path, whatever it says. */
  #outOfReach(path: string): string | undefined {
    if (isKernelPath(path)) return `\`${path}\` belongs to the kernel; no rule allows it`;
    const own = this.#protected.some((one) => isWithin(path, one));
    return own ? "the path belongs to the runtime; no rule allows it" : undefined;
  }

  #directoriesFor(path: string, process: AskingProcess): readonly string[] | undefined {
    return path.startsWith("/") ? [""] : process.directories.of(process.pid);
  }

  /** An allowed read of a directory may be a change to it. */
  #remember(paths: readonly PathUse[], process: AskingProcess): void {
    for (const { path } of paths) {
      for (const directory of this.#directoriesFor(path, process) ?? []) {
        const resolved = resolvePath(`${directory}/${path}`, this.#parts.files);
        if (resolved.ok) process.directories.allowed(resolved.path);
      }
    }
  }

  async #answer(act: Act, asked: Asked): Promise<Verdict> {
    const { decisions, repeats } = this.#parts;
    const kept = this.#cache.get(decisions.epoch(), act.key);
    if (kept !== undefined && repeats.usable) {
      const { verdict, recorded } = kept;
      if (verdict.result === "allow" || recorded >= BROKER_LIMITS.denials_recorded_each) {
        repeats.count(act.key, verdict.result);
        return verdict;
      }
    }
    return await this.#turns.take(() => this.#ask(act, asked), asked.signal) ??
      { result: "deny", reason: refusalText("the asking process is gone") };
  }

  async #ask(act: Act, asked: Asked): Promise<Verdict> {
    const { decisions } = this.#parts;
    const { request, process, signal } = asked;
    const query = this.#query(act, asked);
    const origin: Origin = { source: "broker", pid: process.pid ?? request.pid };
    const epoch = decisions.epoch();
    const response = await decisions.answer(query, origin, signal);
    if (response.decision === DECISION_PENDING) {
      return this.#verdictOf(await this.#settled(query, response, origin, signal), act);
    }
    const verdict = this.#verdictOf(response, act);
    if (epoch !== undefined && decisions.epoch() === epoch && decisions.repeatable(response)) {
      this.#cache.set(epoch, act.key, verdict);
    }
    return verdict;
  }

  #query(act: Act, { request, process }: Asked): policy.CheckActionRequest {
    const { agent } = this.#parts;
    return create(policy.CheckActionRequestSchema, {
      agentId: this.#agent_id,
      credentialToken: agent.credential_token,
      traceId: agent.trace_id,
      spanId: `broker-${process.connection}-${request.id}`,
      actionType: act.action_type,
      context: act.context(),
    });
  }

  /** Deno waits for the answer, so a person's decision can be waited for; never without end. */
  async #settled(
    query: policy.CheckActionRequest,
    pending: policy.CheckActionResponse,
    origin: Origin,
    signal: AbortSignal,
  ): Promise<policy.CheckActionResponse> {
    const { decisions, clock } = this.#parts;
    if (decisions.settle === undefined) return pending;
    const too_long = new AbortController();
    const cancel = clock.after(BROKER_LIMITS.approval_wait_ms, () => too_long.abort());
    const either = AbortSignal.any([signal, too_long.signal]);
    try {
      return await decisions.settle(query, pending, origin, either);
    } finally {
      cancel();
    }
  }

  #verdictOf(response: policy.CheckActionResponse, act: Act): Verdict {
    const { decision, reason, policyRule } = response;
    if (decision === DECISION_ALLOW) return ALLOW;
    // A path goes to the file system and nowhere else; long ones look like secrets often enough.
    // The record holds it redacted. A host or a command would carry the secret away.
    if (decision === DECISION_REDACT && act.action_type === FILE_OPERATION) return ALLOW;
    const words = this.#parts.decisions.explain?.(response) ??
      (policyRule === "" ? {} : { rule: policyRule });
    return { result: "deny", reason: refusalText(reasonOf(decision, reason), words) };
  }

  /**
   * A refusal that no policy was asked for. The first of each kind are on record before they are
   * given; further ones are counted.
   */
  async #refuse(kind: string, reason: string): Promise<Verdict> {
    const { repeats } = this.#parts;
    repeats.count(kind, "deny");
    const given = this.#refused.get(kind) ?? 0;
    if (given < BROKER_LIMITS.denials_recorded_each) {
      this.#refused.set(kind, given + 1);
      await repeats.flush();
    }
    return { result: "deny", reason: refusalText(reason) };
  }
}

interface Asked {
  readonly request: PermissionRequest;
  readonly process: AskingProcess;
  readonly signal: AbortSignal;
}

interface PathActs {
  readonly acts: readonly Act[];
  /** Why the path is refused even if policy allows it. */
  readonly blocked?: string;
}

function reasonOf(decision: number, reason: string): string {
  switch (decision) {
    case DECISION_DENY:
      return reason;
    case DECISION_PENDING:
      return "a person must agree first, and this runtime cannot wait for one";
    case DECISION_REDACT:
      return "it holds a secret that would have to be redacted, which Deno cannot do";
    default:
      return "the answer is of a kind this runtime does not know";
  }
}
