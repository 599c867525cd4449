/**
 * Asks the gateway itself, over gRPC or HTTP.
 *
 * @module
 */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { AgentLifecycleService } from "@agent-assembly/proto/agent";
import { type AuditEvent, AuditEventSchema, AuditService } from "@agent-assembly/proto/audit";
import { Decision } from "@agent-assembly/proto/common";
import { type CheckActionRequest, PolicyService } from "@agent-assembly/proto/policy";
import type { AgentTriple } from "../../act.ts";
import type { CheckAnswer, CheckCall, CheckClient, HeartbeatAnswer } from "../../check_client.ts";
import { deferred } from "../../deferred.ts";
import {
  ClosedError,
  EventsUndeliveredError,
  GatewayUnavailableError,
  InvalidActError,
  RegistrationError,
} from "../../errors.ts";
import type { Notice } from "../../notice.ts";
import { SYSTEM_TIMERS, type Timers } from "../../timers.ts";
import { backoff_ms } from "../backoff.ts";
import { EventSpool } from "../event_spool.ts";
import { TRANSPORT_LIMITS } from "../limits.ts";
import { auditIndexOf, reasonsOf } from "./reasons.ts";
import type { Registration } from "./registration.ts";
import { type GatewayRpc, type RpcCode, RpcError } from "./rpc.ts";

/** What the client needs. */
export interface GatewayClientOptions {
  /** What carries the calls. */
  readonly rpc: GatewayRpc;
  /** Who asks; events are reported under this id. */
  readonly agent: AgentTriple;
  /** The agent's credential; absent: it never registered, and reports nothing. */
  readonly token?: string;
  /** Sends a sign of life this often; absent: only when asked to. */
  readonly heartbeat_interval_ms?: number;
  /** Ends the registration with the client. @default false */
  readonly deregister_on_close?: boolean;
  /** Told what a person may want to see. */
  readonly onNotice?: (notice: Notice) => void;
  /** Clock and timers. @default the process's own */
  readonly timers?: Timers;
  /** Wall clock of reported events. @default Date.now */
  readonly now_ms?: () => number;
  /** From 0 to below 1. @default Math.random */
  readonly random?: () => number;
}

/** Codes that say the question itself is refused: another try cannot help. */
const REFUSED_QUESTION: ReadonlySet<RpcCode> = new Set(["invalid_argument", "out_of_range"]);
/**
 * Codes that say this agent is refused. That is an answer: where an operator lets acts happen that
 * nobody answered, an agent whose credential was revoked must not be among them.
 */
const REFUSED_AGENT: ReadonlySet<RpcCode> = new Set(["unauthenticated", "permission_denied"]);

/** Codes that say these events will never be taken. */
const REFUSED_EVENTS: ReadonlySet<RpcCode> = new Set([
  "invalid_argument",
  "out_of_range",
  "permission_denied",
  "unimplemented",
]);

/** A {@linkcode CheckClient} of the gateway. */
export class GatewayClient implements CheckClient {
  readonly transport: string;
  readonly check_capable = true;
  readonly #options: GatewayClientOptions;
  readonly #rpc: GatewayRpc;
  readonly #timers: Timers;
  readonly #spool: EventSpool;
  readonly #end = new AbortController();
  #delivering = false;
  #cancel_heartbeat: (() => void) | undefined;
  #closing = false;

  /** Takes what it is made of. */
  constructor(options: GatewayClientOptions) {
    this.#options = options;
    this.#rpc = options.rpc;
    this.transport = options.rpc.transport;
    this.#timers = options.timers ?? SYSTEM_TIMERS;
    this.#spool = new EventSpool(this.#timers);
    this.#beat();
  }

  /** The client of an agent that has just registered. */
  static registered(
    registration: Registration,
    options: Omit<GatewayClientOptions, "agent" | "token" | "heartbeat_interval_ms">,
  ): GatewayClient {
    return new GatewayClient({ ...options, ...registration });
  }

  /** Asks; a call that needs a person's word comes back at once as PENDING. */
  async check(question: CheckActionRequest, call: CheckCall): Promise<CheckAnswer> {
    return await this.#ask(question, { "aasm-approval": "defer" }, call);
  }

  /** Asks again with what the pending answer brought; that call waits for the person. */
  async settle(
    question: CheckActionRequest,
    pending: CheckAnswer,
    call: CheckCall,
  ): Promise<CheckAnswer> {
    const { resume_token } = pending;
    if (resume_token === undefined) return pending;
    const until_ms = this.#timers.now_ms() + call.timeout_ms;
    for (let failures = 1;; failures++) {
      const left_ms = Math.floor(until_ms - this.#timers.now_ms());
      if (left_ms <= 0) return pending;
      try {
        const terms = { ...call, timeout_ms: left_ms };
        const answer = await this.#ask(question, { "aasm-resume": resume_token }, terms);
        if (answer.response.decision !== Decision.PENDING) return answer;
      } catch (error) {
        call.signal.throwIfAborted();
        // The request for approval outlives a gateway that is restarted, or a cut connection.
        if (!(error instanceof GatewayUnavailableError)) throw error;
      }
      const pause_ms = backoff_ms(failures, (this.#options.random ?? Math.random)());
      await this.#pause(Math.min(pause_ms, Math.max(0, until_ms - this.#timers.now_ms())));
      call.signal.throwIfAborted();
    }
  }

  /** Keeps the event until the gateway has recorded it; waits when too many are kept. */
  async report(event: AuditEvent): Promise<void> {
    if (this.#closing) throw new ClosedError();
    if (this.#options.token === undefined) {
      throw new GatewayUnavailableError(
        "events are taken from registered agents only: register this one, or report to its runtime",
      );
    }
    const { org_id: orgId, team_id: teamId, agent_id: agentId } = this.#options.agent;
    const now_ms = (this.#options.now_ms ?? Date.now)();
    const own = {
      ...event,
      agentId: { $typeName: "assembly.common.v1.AgentId" as const, orgId, teamId, agentId },
      occurredAt: event.occurredAt ?? {
        $typeName: "assembly.common.v1.Timestamp" as const,
        unixMs: BigInt(Math.trunc(now_ms)),
      },
    };
    await this.#spool.add(toBinary(AuditEventSchema, own));
    if (!this.#delivering) this.#deliver();
  }

  /** Resolves true once every event reported so far was recorded, false after `timeout_ms`. */
  flush(timeout_ms: number): Promise<boolean> {
    return this.#spool.empty(timeout_ms);
  }

  /** A sign of life; an agent that never registered has none to give. */
  async heartbeat(): Promise<HeartbeatAnswer | undefined> {
    const { agent, token } = this.#options;
    if (token === undefined) return undefined;
    try {
      const { message } = await this.#rpc.unary(AgentLifecycleService.method.heartbeat, {
        agentId: { orgId: agent.org_id, teamId: agent.team_id, agentId: agent.agent_id },
        credentialToken: token,
      }, {
        metadata: {},
        timeout_ms: TRANSPORT_LIMITS.connect_timeout_ms,
        signal: this.#end.signal,
      });
      return { should_suspend: message.shouldSuspend };
    } catch (error) {
      throw unavailable(error);
    }
  }

  /**
   * Delivers what is kept, ends the registration where that was asked for, and closes.
   *
   * @throws {EventsUndeliveredError} with the number of events that were not recorded in time.
   */
  async close(timeout_ms: number = TRANSPORT_LIMITS.connect_timeout_ms): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#cancel_heartbeat?.();
    const delivered = await this.flush(timeout_ms);
    if (this.#options.deregister_on_close === true) await this.#deregister(timeout_ms);
    this.#end.abort(new ClosedError());
    this.#spool.close();
    await this.#rpc.close();
    if (!delivered) throw new EventsUndeliveredError(this.#spool.size);
  }

  async #ask(
    question: CheckActionRequest,
    metadata: Readonly<Record<string, string>>,
    { timeout_ms, signal }: CheckCall,
  ): Promise<CheckAnswer> {
    const { token } = this.#options;
    try {
      const { message, trailer } = await this.#rpc.unary(
        PolicyService.method.checkAction,
        question.credentialToken === "" && token !== undefined
          ? { ...question, credentialToken: token }
          : question,
        {
          metadata: { ...metadata, "aasm-explain": "refused" },
          timeout_ms,
          signal: AbortSignal.any([signal, this.#end.signal]),
        },
      );
      const reasons = reasonsOf(trailer);
      const resume_token = trailer("aasm-resume");
      return {
        response: message,
        ...(reasons === undefined ? {} : { reasons }),
        ...auditIndexOf(trailer("aasm-audit-index")),
        ...(resume_token === undefined ? {} : { resume_token }),
      };
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof RpcError && REFUSED_QUESTION.has(error.code)) {
        throw new InvalidActError(`the gateway cannot judge this act: ${error.message}`, error);
      }
      if (error instanceof RpcError && REFUSED_AGENT.has(error.code)) {
        throw new RegistrationError(
          `the gateway does not take this agent's credential (${error.code}): ${error.message}; it was ` +
            "revoked, or another process started as the same agent: start again",
          { retryable: false, cause: error },
        );
      }
      throw unavailable(error);
    }
  }

  /** Sends kept events, batch by batch, until none is left. */
  async #deliver(): Promise<void> {
    this.#delivering = true;
    for (let failures = 0; this.#spool.size > 0 && !this.#end.signal.aborted;) {
      const batch = this.#batch();
      try {
        await this.#send(batch);
        this.#spool.acknowledge(batch.length);
        failures = 0;
      } catch (error) {
        if (error instanceof RpcError && REFUSED_EVENTS.has(error.code)) {
          this.#spool.acknowledge(batch.length);
          this.#tell({ type: "events_refused", events: batch.length, why: error.message });
          continue;
        }
        this.#spool.rewind();
        await this.#pause(backoff_ms(++failures, (this.#options.random ?? Math.random)()));
      }
    }
    this.#delivering = false;
  }

  #batch(): AuditEvent[] {
    const batch: AuditEvent[] = [];
    while (batch.length < TRANSPORT_LIMITS.events_unacknowledged) {
      const bytes = this.#spool.take();
      if (bytes === undefined) break;
      batch.push(fromBinary(AuditEventSchema, bytes));
    }
    return batch;
  }

  async #send(events: AuditEvent[]): Promise<void> {
    await this.#rpc.unary(AuditService.method.reportEvents, { events }, {
      metadata: { "x-aa-credential-token": this.#options.token ?? "" },
      timeout_ms: TRANSPORT_LIMITS.connect_timeout_ms,
      signal: this.#end.signal,
    });
  }

  /** Beats as long as the client lives; a beat that fails is followed by the next. */
  #beat(): void {
    const { heartbeat_interval_ms, token } = this.#options;
    if (heartbeat_interval_ms === undefined || token === undefined || this.#closing) return;
    this.#cancel_heartbeat = this.#timers.background(heartbeat_interval_ms, () => {
      this.heartbeat().then((answer) => {
        if (answer?.should_suspend === true) this.#tell({ type: "should_suspend" });
      }, () => {
        // The gateway is away: acts are refused meanwhile, and the next beat tries again.
      }).finally(() => this.#beat());
    });
  }

  async #deregister(timeout_ms: number): Promise<void> {
    const { agent, token } = this.#options;
    if (token === undefined) return;
    try {
      await this.#rpc.unary(AgentLifecycleService.method.deregister, {
        agentId: { orgId: agent.org_id, teamId: agent.team_id, agentId: agent.agent_id },
        credentialToken: token,
        reason: "shutdown",
      }, { metadata: {}, timeout_ms, signal: this.#end.signal });
    } catch {
      // The gateway is away: the next start takes a new token for the same key.
    }
  }

  #pause(ms: number): Promise<void> {
    const { promise, resolve } = deferred<void>();
    const cancel = this.#timers.after(ms, () => resolve());
    const stop = () => resolve();
    this.#end.signal.addEventListener("abort", stop, { once: true });
    return promise.finally(() => {
      cancel();
      this.#end.signal.removeEventListener("abort", stop);
    });
  }

  #tell(notice: Notice): void {
    try {
      this.#options.onNotice?.(notice);
    } catch {
      // Whoever watches cannot stop the delivery.
    }
  }
}

function unavailable(error: unknown): GatewayUnavailableError {
  if (error instanceof RpcError) {
    return new GatewayUnavailableError(
      `the gateway gave no answer (${error.code}): ${error.message}`,
      error,
    );
  }
  const why = error instanceof Error ? error.message : String(error);
  return new GatewayUnavailableError(`the gateway gave no answer: ${why}`, error);
}
