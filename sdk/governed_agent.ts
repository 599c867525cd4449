/**
 * An agent whose acts are asked about before they happen.
 *
 * @module
 */
import type { AuditEvent } from "@agent-assembly/proto/audit";
import { abortable } from "./abortable.ts";
import {
  type Act,
  type AgentTriple,
  describeAct,
  fixAct,
  type FixedAct,
  type Operation,
  questionOf,
} from "./act.ts";
import type { CheckAnswer, CheckClient, HeartbeatAnswer } from "./check_client.ts";
import {
  ApprovalTimeoutError,
  AssemblyError,
  ClosedError,
  CredentialLeakBlockedError,
  OverloadedError,
  shownText,
} from "./errors.ts";
import {
  edgeEvent,
  type EdgeReport,
  hookEvent,
  llmCallEvent,
  type LlmCallReport,
} from "./events/event.ts";
import { EventIds } from "./events/event_id.ts";
import { SDK_LIMITS } from "./limits.ts";
import type { Notice } from "./notice.ts";
import { type PreflightFinding, preflightScan, redactAct, type Redaction } from "./redaction.ts";
import { denialOf, refusalOf, unansweredOf } from "./refusal.ts";
import { readDecision } from "./response_map.ts";
import { readThrown, shownThrown } from "./thrown.ts";

/** Leave to act: what may happen now, once. */
export interface Clearance<A extends Act = Act> {
  /** The act that may happen. Run this one: its data was read once, and redacted where asked. */
  readonly act: A;
  /** `unanswered`: nobody decided and the operator chose fail-open; it was told as a notice. */
  readonly by: "policy" | "approval" | "unanswered";
  /** What was cut out; empty for a plain allow. */
  readonly redactions: readonly Redaction[];
  /** The approval that carries it. */
  readonly approval_id?: string;
  /** Index of the audit entry, when the answer carried it. */
  readonly audit_index?: bigint;
}

/** An answer without exceptions. */
export type Verdict<A extends Act = Act> =
  | { readonly allowed: true; readonly clearance: Clearance<A> }
  | { readonly allowed: false; readonly error: AssemblyError };

/** Options of one check. */
export interface CheckOptions {
  /** Stops waiting; the act does not happen and the signal's reason is thrown. */
  readonly signal?: AbortSignal;
  /** Names the operation, so that an operator can pause or end it. @default the agent's own */
  readonly operation?: Partial<Operation>;
}

/** Options of one governed tool call. */
export interface ToolCallOptions extends CheckOptions {
  /** Where the tool comes from, e.g. `function`, `mcp`. */
  readonly source?: string;
  /** Where the call goes, for tools that are services. */
  readonly target_url?: string;
  /**
   * What becomes of the answer: `checked` asks about it and redacts it before anybody sees it;
   * `unchecked` hands it out as it is, for answers that are no data (streams, handles).
   *
   * @default "checked"
   */
  readonly result?: "checked" | "unchecked";
}

/** What an agent is made of; `govern()` puts it together. */
export interface GovernedAgentParts {
  /** Who asks. */
  readonly agent: AgentTriple;
  /** The way to the answers. */
  readonly client: CheckClient;
  /** Whether no answer is a denial. @default true */
  readonly fail_closed?: boolean;
  /** Time for one answer, milliseconds. @default 5000 */
  readonly answer_timeout_ms?: number;
  /** Wait for a person's word, milliseconds. @default 300000 */
  readonly approval_timeout_ms?: number;
  /** Names the run in the record. @default a random UUID */
  readonly trace_id?: string;
  /** Put into the label `aa.sdk_version` of each event (trap R8). */
  readonly sdk_version: string;
  /** Told what a person may want to see. What it throws is ignored. */
  readonly onNotice?: (notice: Notice) => void;
}

/** What one answer allows, and whether it was to be redacted for that. */
interface Reply<A extends Act> extends Clearance<A> {
  readonly redacted: boolean;
}

/** Asks before it acts. Make one with `govern()` or `initAssembly()`. */
export class GovernedAgent implements AsyncDisposable {
  /** Who asks, as the wire names it. */
  readonly agent: AgentTriple;
  /** Names this run in the record. */
  readonly trace_id: string;
  /** Way to the answers, e.g. `socket`, `grpc`, `http`. */
  readonly transport: string;
  /** Whether no answer is a denial. `false` only where an operator chose so, by name. */
  readonly fail_closed: boolean;
  readonly #client: CheckClient;
  readonly #answer_timeout_ms: number;
  readonly #approval_timeout_ms: number;
  readonly #onNotice: (notice: Notice) => void;
  readonly #ids: EventIds;
  readonly #sdk_version: string;
  readonly #end = new AbortController();
  #spans = 0;
  #in_flight = 0;

  /** Takes what it is made of. */
  constructor(parts: GovernedAgentParts) {
    const { agent, client } = parts;
    this.agent = agent;
    this.transport = client.transport;
    this.fail_closed = parts.fail_closed ?? true;
    this.trace_id = parts.trace_id ?? crypto.randomUUID();
    this.#client = client;
    this.#answer_timeout_ms = parts.answer_timeout_ms ?? SDK_LIMITS.answer_timeout_ms;
    this.#approval_timeout_ms = parts.approval_timeout_ms ?? SDK_LIMITS.approval_timeout_ms;
    this.#sdk_version = parts.sdk_version;
    this.#onNotice = parts.onNotice ?? (() => {});
    this.#ids = new EventIds();
  }

  /**
   * Asks about an act and returns only when it may happen. The act to run is the one returned.
   *
   * @throws {PolicyViolationError} or one of its kinds, when it may not.
   * @throws {GatewayUnavailableError} when there was no answer.
   * @throws {InvalidActError} when the act cannot be put as a question.
   * @throws the signal's reason, when the caller stopped waiting.
   */
  async check<A extends Act>(act: A, options: CheckOptions = {}): Promise<Clearance<A>> {
    options.signal?.throwIfAborted();
    if (this.#end.signal.aborted) throw new ClosedError();
    if (this.#in_flight >= SDK_LIMITS.acts_in_flight) {
      throw new OverloadedError(
        `${SDK_LIMITS.acts_in_flight} acts wait for an answer already: let some of them finish`,
      );
    }
    this.#in_flight++;
    try {
      return await this.#ask(fixAct(act), options);
    } finally {
      this.#in_flight--;
    }
  }

  /** Like {@linkcode check}, with refusals as values. A cancelled wait still throws. */
  async decide<A extends Act>(act: A, options: CheckOptions = {}): Promise<Verdict<A>> {
    try {
      return { allowed: true, clearance: await this.check(act, options) };
    } catch (error) {
      if (error instanceof AssemblyError) return { allowed: false, error };
      throw error;
    }
  }

  /**
   * One whole tool call: asks, runs with the arguments that may be used, asks about the answer, and
   * returns what may be seen.
   *
   * @param args Plain data.
   * @param run Gets the arguments that were allowed, never the ones that were passed.
   * @throws like {@linkcode check}, and what `run` throws, as {@linkcode checkFailure} lets it be seen.
   */
  async callTool<T>(
    tool: string,
    args: unknown,
    run: (args: unknown) => T | Promise<T>,
    options: ToolCallOptions = {},
  ): Promise<T> {
    const { source, target_url } = options;
    const { act } = await this.check({
      kind: "tool_call",
      tool,
      args,
      ...(source === undefined ? {} : { source }),
      ...(target_url === undefined ? {} : { target_url }),
    }, options);
    let result: T;
    try {
      result = await run(act.args);
    } catch (error) {
      throw await this.checkFailure(tool, error, options);
    }
    if (options.result === "unchecked") return result;
    return await this.checkResult(tool, result, options) as T;
  }

  /**
   * Asks about a tool's answer before anybody sees it.
   *
   * @returns The answer as it may be seen. `undefined` holds nothing to judge and is returned as is.
   * @throws like {@linkcode check}; then the answer must not be used.
   */
  async checkResult(
    tool: string,
    result: unknown,
    options: ToolCallOptions = {},
  ): Promise<unknown> {
    if (result === undefined) return undefined;
    const { source } = options;
    const { act } = await this.check({
      kind: "tool_result",
      tool,
      result,
      ...(source === undefined ? {} : { source }),
    }, options);
    return act.result;
  }

  /**
   * Asks about what a tool threw before anybody sees it: models and logs read errors as well.
   *
   * @returns The very error where nothing had to be cut out, otherwise a new one of the same name
   * whose message holds labels, with no cause and no stack of the first.
   * @throws like {@linkcode check}; then nothing of the error must be shown.
   */
  async checkFailure(
    tool: string,
    error: unknown,
    options: CheckOptions & Pick<ToolCallOptions, "source"> = {},
  ): Promise<unknown> {
    const thrown = readThrown(error);
    const { source } = options;
    const { act } = await this.check({
      kind: "tool_result",
      tool,
      result: thrown.data,
      ...(source === undefined ? {} : { source }),
    }, options);
    // Not by `redactions`: an answer that covers all of it lists none.
    return shownThrown(error, thrown, act.result);
  }

  /**
   * What the scanner finds in a text, here and now: advisory, for a warning before the act. Nothing
   * is sent and nothing is marked: whoever decides scans again.
   */
  preflight(text: string): PreflightFinding[] {
    return preflightScan(text);
  }

  /** Reports what happened, by the tags of contract `wire` §3.6, e.g. `tool_call`. */
  async reportEvent(type: string, details = ""): Promise<void> {
    await this.#report(hookEvent(this.#ids.next(), type, details));
  }

  /** Reports a finished model call. */
  async reportLlmCall(call: LlmCallReport): Promise<void> {
    await this.#report(llmCallEvent(this.#ids.next(), call));
  }

  /** Reports a relation between two agents. */
  async reportEdge(edge: EdgeReport): Promise<void> {
    await this.#report(edgeEvent(this.#ids.next(), edge));
  }

  /** Resolves true once every event reported so far was taken, false after `timeout_ms`. */
  async flush(timeout_ms: number = SDK_LIMITS.answer_timeout_ms): Promise<boolean> {
    return await this.#client.flush(timeout_ms);
  }

  /** A sign of life; tells whether the agent should stop for now, where the transport can say so. */
  async heartbeat(): Promise<HeartbeatAnswer | undefined> {
    if (this.#end.signal.aborted) throw new ClosedError();
    return await this.#client.heartbeat();
  }

  /**
   * Ends: acts that wait are refused with `closed`, kept events are sent within `timeout_ms`.
   *
   * @param timeout_ms @default 5000
   * @throws {EventsUndeliveredError} when reported events were not taken in time.
   */
  async shutdown(timeout_ms: number = SDK_LIMITS.answer_timeout_ms): Promise<void> {
    if (this.#end.signal.aborted) return;
    this.#end.abort(new ClosedError());
    await this.#client.close(timeout_ms);
  }

  /** The same as {@linkcode shutdown}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  /**
   * Asks, and asks once more about the redacted act where the answer is to cut something out: what
   * was left over here, whoever decides finds there.
   */
  async #ask<A extends Act>(fixed: FixedAct<A>, options: CheckOptions): Promise<Clearance<A>> {
    const operation = {
      trace_id: options.operation?.trace_id ?? this.trace_id,
      span_id: options.operation?.span_id ?? (++this.#spans).toString(16).padStart(16, "0"),
    };
    const signal = options.signal === undefined
      ? this.#end.signal
      : AbortSignal.any([options.signal, this.#end.signal]);
    const { redacted, ...first } = await this.#askOnce(fixed, operation, signal);
    // A person's yes is for one act and was spent on it: nobody would say it again by themselves.
    if (!redacted || first.by === "approval") return first;
    const { redacted: still, ...again } = await this.#askOnce(
      fixAct(first.act),
      operation,
      signal,
    );
    if (still) {
      throw new CredentialLeakBlockedError({
        act: describeAct(first.act),
        reason: "what could be cut out here is not all that is found on the other side",
        policy_rule: "",
        changes: [],
      }, again.redactions.map(({ kind }) => kind));
    }
    return { ...again, redactions: first.redactions };
  }

  async #askOnce<A extends Act>(
    fixed: FixedAct<A>,
    operation: Operation,
    signal: AbortSignal,
  ): Promise<Reply<A>> {
    const { act } = fixed;
    const question = questionOf(fixed, this.agent, operation);
    let answer: CheckAnswer;
    try {
      const timeout_ms = this.#answer_timeout_ms;
      answer = await abortable(signal, () => this.#client.check(question, { signal, timeout_ms }));
    } catch (error) {
      return this.#unanswered(fixed, error, signal);
    }
    if (readDecision(answer.response.decision, true) !== "pending") {
      return this.#read(fixed, answer, "policy");
    }
    this.#tellPending(act, answer);
    let settled: CheckAnswer;
    try {
      const timeout_ms = this.#approval_timeout_ms;
      settled = await abortable(
        signal,
        () => this.#client.settle(question, answer, { signal, timeout_ms }),
      );
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof AssemblyError && error.code !== "gateway_unavailable") throw error;
      // Policy asked for a person's word; that nobody could bring it is no reason to do without.
      throw unansweredOf(act, messageOf(error), error);
    }
    const { response } = settled;
    const reading = readDecision(response.decision, true);
    if (reading === "pending") {
      throw new ApprovalTimeoutError(
        refusalOf(act, answer, `nobody decided within ${this.#approval_timeout_ms} ms`),
      );
    }
    // From here on an unknown word is a denial whatever the posture: policy wanted a person's yes.
    if (reading === "unanswered") {
      throw unansweredOf(act, `the answer \`${response.decision}\` is not known`);
    }
    this.#tell({
      type: "approval_decided",
      act: describeAct(act),
      approval_id: shownText(answer.response.approvalId),
      approved: reading !== "deny",
    });
    return this.#read(fixed, settled, "approval");
  }

  /** Makes an answer a clearance, or throws. */
  #read<A extends Act>(
    fixed: FixedAct<A>,
    answer: CheckAnswer,
    by: "policy" | "approval",
  ): Reply<A> {
    const { act } = fixed;
    const { response, audit_index } = answer;
    const told = {
      ...(response.approvalId === "" ? {} : { approval_id: shownText(response.approvalId) }),
      ...(audit_index === undefined ? {} : { audit_index }),
    };
    switch (readDecision(response.decision, true)) {
      case "allow":
        return { act, by, redactions: [], redacted: false, ...told };
      case "redact": {
        const cut = redactAct(fixed, response.redact);
        if (!cut.ok) {
          throw new CredentialLeakBlockedError(
            refusalOf(act, answer, `${response.reason}: ${cut.why}`),
            cut.kinds.map(shownText),
          );
        }
        this.#tell({ type: "redacted", act: describeAct(act), redactions: cut.redactions });
        return { act: cut.act, by, redactions: cut.redactions, redacted: true, ...told };
      }
      case "deny":
      case "pending":
        throw denialOf(act, answer);
      case "unanswered":
        return this.#unanswered(
          fixed,
          new Error(`the answer \`${response.decision}\` is not known`),
          this.#end.signal,
        );
    }
  }

  /** No answer: a denial, unless an operator chose otherwise; then it is told each time. */
  #unanswered<A extends Act>(
    { act }: FixedAct<A>,
    error: unknown,
    signal: AbortSignal,
  ): Reply<A> {
    // Whoever stopped waiting did not get a yes, whatever the posture.
    signal.throwIfAborted();
    // Only a missing answer may be stood in for: a refusal of this package is one already.
    if (error instanceof AssemblyError && error.code !== "gateway_unavailable") throw error;
    const unanswered = unansweredOf(act, messageOf(error), error);
    if (readDecision(undefined, this.fail_closed) !== "allow") throw unanswered;
    this.#tell({ type: "unanswered_allowed", act: describeAct(act), error: unanswered });
    return { act, by: "unanswered", redactions: [], redacted: false };
  }

  #tellPending(act: Act, { response, reasons }: CheckAnswer): void {
    this.#tell({
      type: "approval_pending",
      act: describeAct(act),
      approval_id: shownText(response.approvalId),
      reason: shownText(response.reason),
      ...(reasons?.rule === undefined ? {} : { rule: reasons.rule }),
      timeout_ms: this.#approval_timeout_ms,
    });
  }

  #tell(notice: Notice): void {
    try {
      this.#onNotice(notice);
    } catch {
      // Whoever watches cannot change what was decided.
    }
  }

  async #report(event: AuditEvent): Promise<void> {
    if (this.#end.signal.aborted) throw new ClosedError();
    event.labels["aa.sdk_version"] = this.#sdk_version;
    await this.#client.report(event);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
