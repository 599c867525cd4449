/**
 * Asks the runtime over its Unix socket. A connection that breaks is replaced when it is needed
 * next; events that were not taken yet are sent again (trap C1).
 *
 * @module
 */
import { create, toBinary } from "@bufbuild/protobuf";
import {
  type AuditEvent,
  AuditEventSchema,
  type PolicyViolation,
} from "@agent-assembly/proto/audit";
import { Decision } from "@agent-assembly/proto/common";
import type { ApprovalDecision } from "@agent-assembly/proto/event";
import {
  CLIENT_TAG,
  encodeFrame,
  type HandshakeKey,
  HEARTBEAT_FRAME,
  readExplainedReason,
  withClientWords,
} from "@agent-assembly/proto/ipc";
import {
  type CheckActionRequest,
  CheckActionRequestSchema,
  type CheckActionResponse,
  CheckActionResponseSchema,
} from "@agent-assembly/proto/policy";
import type { CheckAnswer, CheckCall, CheckClient, HeartbeatAnswer } from "../../check_client.ts";
import { deferred } from "../../deferred.ts";
import {
  ClosedError,
  EventsUndeliveredError,
  GatewayUnavailableError,
  InvalidActError,
  shownText,
} from "../../errors.ts";
import type { Notice } from "../../notice.ts";
import { SYSTEM_TIMERS, type Timers } from "../../timers.ts";
import { backoff_ms } from "../backoff.ts";
import { TRANSPORT_LIMITS } from "../limits.ts";
import { SocketConnection } from "./connection.ts";
import { EventSpool } from "../event_spool.ts";

/** How to reach a runtime. */
export interface SocketClientOptions {
  /** Path of its socket. */
  readonly path: string;
  /** Proves the handshake: `publicIdKey(agent_id)`, or `seededKey(seed)` of an installed key. */
  readonly key: HandshakeKey;
  /** Signed in the handshake; events carry the same in `aa.sdk_version` (trap R8). */
  readonly sdk_version: string;
  /**
   * Speak the reference's protocol and no more: for a runtime of the reference. Its runtimes
   * acknowledge no event, so that one counts as taken once the system has it, and turn redactions
   * into denials. Otherwise an event is kept until the runtime has it on disk.
   *
   * @default false
   */
  readonly reference_protocol?: boolean;
  /** The agent's credential, where it has one; put into questions that hold none. */
  readonly token?: () => string | undefined;
  /** Told what a person may want to see. */
  readonly onNotice?: (notice: Notice) => void;
  /** Looks at the socket before each connection; what it throws is why there is none. */
  readonly verify?: () => Promise<void>;
  /** Clock and timers. @default the process's own */
  readonly timers?: Timers;
  /** From 0 to below 1. @default Math.random */
  readonly random?: () => number;
}

/** A {@linkcode CheckClient} over the runtime's socket. */
export class SocketClient implements CheckClient {
  readonly transport = "socket";
  readonly check_capable = true;
  readonly #options: SocketClientOptions;
  readonly #timers: Timers;
  readonly #spool: EventSpool;
  readonly #acknowledged: boolean;
  #connection: SocketConnection | undefined;
  #connecting: Promise<SocketConnection> | undefined;
  #failures = 0;
  #cancel_retry: (() => void) | undefined;
  #closed = false;
  /** Held acts by approval id, each to be woken by its decision or by a new connection. */
  readonly #held = new Map<string, Set<(decision?: ApprovalDecision) => void>>();
  /** Decisions that came before anybody waited. */
  readonly #decided = new Map<string, ApprovalDecision>();

  /** Takes what it is made of. */
  constructor(options: SocketClientOptions) {
    this.#options = options;
    this.#timers = options.timers ?? SYSTEM_TIMERS;
    this.#spool = new EventSpool(this.#timers);
    this.#acknowledged = options.reference_protocol !== true;
  }

  /**
   * Connects, so that an agent that cannot be governed does not start.
   *
   * @throws {GatewayUnavailableError} when the runtime cannot be reached.
   */
  async connect(): Promise<void> {
    await this.#connected();
  }

  /** Asks; connects first where there is no connection. */
  async check(question: CheckActionRequest, call: CheckCall): Promise<CheckAnswer> {
    const frame = this.#frameOf(question);
    const connection = await this.#connected();
    connection.hold(true);
    try {
      return answerOf(await connection.ask(frame, call.timeout_ms, call.signal));
    } finally {
      this.#letGo(connection);
    }
  }

  /** Waits for the frame that says a person has decided, then asks the same again. */
  async settle(
    question: CheckActionRequest,
    pending: CheckAnswer,
    call: CheckCall,
  ): Promise<CheckAnswer> {
    const { approvalId } = pending.response;
    if (approvalId === "") return pending;
    const until_ms = this.#timers.now_ms() + call.timeout_ms;
    for (;;) {
      const left_ms = until_ms - this.#timers.now_ms();
      if (left_ms <= 0) return pending;
      const decision = await this.#decision(approvalId, left_ms, call.signal);
      if (decision !== undefined && !decision.approved) return rejected(decision);
      const again_ms = Math.min(left_ms, TRANSPORT_LIMITS.connect_timeout_ms);
      let answer: CheckAnswer;
      try {
        answer = await this.check(question, { signal: call.signal, timeout_ms: again_ms });
      } catch (error) {
        call.signal.throwIfAborted();
        // The runtime may be on its way back, and the approval with it.
        if (!(error instanceof GatewayUnavailableError)) throw error;
        continue;
      }
      const { decision: word, approvalId: same } = answer.response;
      if (word !== Decision.PENDING || same !== approvalId) return answer;
    }
  }

  /** Keeps the event until the runtime has taken it; waits when too many are kept. */
  async report(event: AuditEvent): Promise<void> {
    if (this.#closed) throw new ClosedError();
    let frame: Uint8Array;
    try {
      frame = encodeFrame(CLIENT_TAG.event_report, toBinary(AuditEventSchema, event));
    } catch (error) {
      throw new InvalidActError(
        "the event is larger than the runtime takes: it is not reported",
        error,
      );
    }
    await this.#spool.add(frame);
    this.#pump();
    if (this.#connection === undefined) this.#connectForEvents();
  }

  /** Resolves once every event reported so far was taken; false after `timeout_ms`. */
  flush(timeout_ms: number): Promise<boolean> {
    return this.#spool.empty(timeout_ms);
  }

  /** The heartbeat's one byte; the runtime does not answer it. */
  async heartbeat(): Promise<HeartbeatAnswer | undefined> {
    (await this.#connected()).send(HEARTBEAT_FRAME);
    return undefined;
  }

  /**
   * Delivers what is kept, then ends.
   *
   * @throws {EventsUndeliveredError} with the number of events that were not taken in time.
   */
  async close(timeout_ms: number = TRANSPORT_LIMITS.connect_timeout_ms): Promise<void> {
    if (this.#closed) return;
    const delivered = await this.flush(timeout_ms);
    this.#closed = true;
    this.#cancel_retry?.();
    this.#spool.close();
    this.#connection?.end();
    this.#connection?.close("the agent was shut down");
    if (!delivered) throw new EventsUndeliveredError(this.#spool.size);
  }

  #frameOf(question: CheckActionRequest): Uint8Array {
    const token = question.credentialToken === "" ? this.#options.token?.() : undefined;
    const asked = token === undefined ? question : { ...question, credentialToken: token };
    try {
      return encodeFrame(CLIENT_TAG.policy_query, toBinary(CheckActionRequestSchema, asked));
    } catch (error) {
      throw new InvalidActError("the act is larger than the runtime takes", error);
    }
  }

  /** The connection, or one attempt at it; attempts that fail are not repeated here. */
  #connected(): Promise<SocketConnection> {
    if (this.#closed) return Promise.reject(new ClosedError());
    if (this.#connection !== undefined) return Promise.resolve(this.#connection);
    this.#connecting ??= this.#open().finally(() => this.#connecting = undefined);
    return this.#connecting;
  }

  async #open(): Promise<SocketConnection> {
    const { path, key, sdk_version } = this.#options;
    this.#cancel_retry?.();
    const on: { connection?: SocketConnection } = {};
    try {
      await this.#options.verify?.();
      const connection = await SocketConnection.open({
        path,
        key,
        signed_version: this.#acknowledged
          ? withClientWords(sdk_version, { redacts: true, acks: true, explains: true })
          : sdk_version,
        timers: this.#timers,
        onAck: () => this.#acknowledgeOne(),
        onViolation: (violation) => this.#violated(violation),
        onApproval: (decision) => this.#approved(decision),
        onClose: (why) => {
          if (on.connection !== undefined) this.#lost(on.connection, why);
        },
      });
      if (connection.closed !== undefined) throw new GatewayUnavailableError(connection.closed);
      on.connection = connection;
      this.#connection = connection;
    } catch (error) {
      this.#failures++;
      this.#connectForEvents();
      throw error;
    }
    this.#tell({ type: "connected" });
    this.#pump();
    this.#letGo(this.#connection);
    return this.#connection;
  }

  #lost(connection: SocketConnection, why: string): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#spool.rewind();
    this.#failures = connection.spoke ? 1 : this.#failures + 1;
    if (this.#closed) return;
    const retry_in_ms = backoff_ms(this.#failures, (this.#options.random ?? Math.random)());
    this.#tell({ type: "disconnected", why: shownText(why), retry_in_ms });
    this.#connectForEvents(retry_in_ms);
    // Whoever waits for a decision asks again: the frame that tells of it is lost with a connection.
    for (const wakes of this.#held.values()) for (const wake of wakes) wake();
  }

  /** Events want to be delivered though nobody asks anything. */
  #connectForEvents(retry_in_ms?: number): void {
    if (this.#closed || this.#spool.size === 0 || this.#cancel_retry !== undefined) return;
    const delay_ms = retry_in_ms ??
      (this.#failures === 0
        ? 0
        : backoff_ms(this.#failures, (this.#options.random ?? Math.random)()));
    const cancel = this.#timers.after(delay_ms, () => {
      this.#cancel_retry = undefined;
      this.#connected().catch(() => {
        // Counted, and tried again while events wait.
      });
    });
    this.#cancel_retry = () => {
      cancel();
      this.#cancel_retry = undefined;
    };
  }

  /** Sends what is kept, as far as the window allows. */
  #pump(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    while (this.#spool.sent < TRANSPORT_LIMITS.events_unacknowledged) {
      const frame = this.#spool.take();
      if (frame === undefined) return;
      connection.hold(true);
      if (this.#acknowledged) {
        connection.send(frame);
      } else {
        connection.send(frame, () => {
          if (this.#connection === connection) this.#acknowledgeOne();
        });
      }
    }
  }

  #acknowledgeOne(): boolean {
    if (!this.#spool.acknowledge(1)) return false;
    this.#pump();
    if (this.#connection !== undefined) this.#letGo(this.#connection);
    return true;
  }

  /** A connection with nothing under way does not keep the process from ending. */
  #letGo(connection: SocketConnection): void {
    if (connection.waiting === 0 && this.#spool.size === 0) connection.hold(false);
  }

  #decision(
    approval_id: string,
    left_ms: number,
    signal: AbortSignal,
  ): Promise<ApprovalDecision | undefined> {
    const early = this.#decided.get(approval_id);
    if (early !== undefined) {
      this.#decided.delete(approval_id);
      return Promise.resolve(early);
    }
    signal.throwIfAborted();
    const { promise, resolve, reject } = deferred<ApprovalDecision | undefined>();
    const wakes = this.#held.get(approval_id) ?? new Set();
    this.#held.set(approval_id, wakes);
    const stop = () => reject(signal.reason);
    const cancel = this.#timers.after(
      Math.min(left_ms, TRANSPORT_LIMITS.approval_poll_ms),
      () => resolve(undefined),
    );
    signal.addEventListener("abort", stop, { once: true });
    wakes.add(resolve);
    return promise.finally(() => {
      cancel();
      signal.removeEventListener("abort", stop);
      wakes.delete(resolve);
      if (wakes.size === 0) this.#held.delete(approval_id);
    });
  }

  #approved(decision: ApprovalDecision): void {
    const wakes = this.#held.get(decision.approvalId);
    if (wakes !== undefined) {
      for (const wake of wakes) wake(decision);
      return;
    }
    this.#decided.set(decision.approvalId, decision);
    if (this.#decided.size <= TRANSPORT_LIMITS.decisions_kept) return;
    for (const oldest of this.#decided.keys()) {
      this.#decided.delete(oldest);
      break;
    }
  }

  #violated({ policyRule, blockedAction, reason }: PolicyViolation): void {
    this.#tell({
      type: "violation",
      policy_rule: shownText(policyRule),
      blocked_action: shownText(blockedAction),
      reason: shownText(reason),
    });
  }

  #tell(notice: Notice): void {
    try {
      this.#options.onNotice?.(notice);
    } catch {
      // Whoever watches cannot break the connection.
    }
  }
}

/** An answer with its reasons, where the runtime put them behind the reason. */
function answerOf(response: CheckActionResponse): CheckAnswer {
  const { reason, rule, change, who } = readExplainedReason(response.reason);
  if (rule === undefined && change === undefined) return { response };
  const at = rule?.lastIndexOf(" ") ?? -1;
  return {
    response: { ...response, reason },
    reasons: {
      ...(rule === undefined ? {} : { rule: { path: rule.slice(at + 1), at: rule.slice(0, at) } }),
      changes: change === undefined ? [] : [{ text: change, who: who ?? "operator" }],
    },
  };
}

/** A person said no: in the words the gateway itself would answer with. */
function rejected({ approvalId, reason }: ApprovalDecision): CheckAnswer {
  return {
    response: create(CheckActionResponseSchema, {
      decision: Decision.DENY,
      reason: reason === "" ? "approval rejected" : reason,
      policyRule: "requires_approval",
      approvalId,
    }),
  };
}
