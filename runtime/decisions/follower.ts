/**
 * Follows the gateway: takes its snapshots, keeps the authority alive by pings, and loses it the
 * moment the stream does.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { Code, GrpcError } from "../../grpc/mod.ts";
import { runtime } from "../../proto/mod.ts";
import type { Timers } from "../timers.ts";
import { Authority } from "./authority.ts";
import type { GatewayPart } from "./gateway_client.ts";
import { DECISION_LIMITS } from "./limits.ts";
import { type AttemptEnd, isUnimplemented, keepOpen, RequestQueue } from "./retrying.ts";
import { type AgentName, readSnapshot, sameName, type Snapshot, tokenDigest } from "./snapshot.ts";

/** What following needs. */
export interface FollowerOptions {
  readonly gateway: Pick<GatewayPart, "follow">;
  /** As configured: organisation and team may be missing there. */
  readonly name: AgentName;
  readonly runtime_id: string;
  readonly version: string;
  readonly timers: Timers;
  /** Is told whenever what may be decided here changes; the snapshot when there is a new one. */
  readonly onChange: (snapshot?: Snapshot) => void;
}

/** How following stands. */
export type FollowState =
  | { readonly state: "no_credential" }
  | { readonly state: "connecting" }
  | { readonly state: "following" }
  /** The gateway has no such service: everything is forwarded. */
  | { readonly state: "not_offered" }
  | { readonly state: "refused"; readonly why: string }
  /** The gateway contradicted itself: everything is denied until it says something whole. */
  | { readonly state: "distrusted"; readonly why: string };

/** Follows one gateway. */
export class Follower {
  readonly #on: FollowerOptions;
  readonly #authority = new Authority();
  #state: FollowState = { state: "no_credential" };
  #snapshot: Snapshot | undefined;
  #newest: { readonly gateway_id: string; readonly epoch: number } | undefined;
  #token = "";
  #name: AgentName;
  #new_token = Promise.withResolvers<void>();
  /** Ends the stream that is open. */
  #current: AbortController | undefined;

  constructor(options: FollowerOptions) {
    this.#on = options;
    this.#name = options.name;
  }

  /** The agent, by the names that the gateway knows it by as far as that was seen. */
  get name(): AgentName {
    return this.#name;
  }

  /** How it stands. */
  get state(): FollowState {
    return this.#state;
  }

  /** The credential in use; empty while none is known. */
  get token(): string {
    return this.#token;
  }

  /** Resolves when there is another credential than now. */
  get newToken(): Promise<void> {
    return this.#new_token.promise;
  }

  /** The snapshot in force, while this runtime may decide by it. */
  get inForce(): Snapshot | undefined {
    const { monotonic_us, now_ms } = this.#on.timers;
    return this.#authority.holds(monotonic_us(), now_ms()) ? this.#snapshot : undefined;
  }

  /** The gateway's clock, else this machine's. */
  get gateway_now_ms(): number {
    const { monotonic_us, now_ms } = this.#on.timers;
    return this.#authority.gatewayNow(monotonic_us()) ?? now_ms();
  }

  /** Uses this credential from now on; with it goes the organisation and team it is for. */
  useToken(token: string, name: AgentName = this.#name): void {
    if (token === "" || (token === this.#token && sameName(name, this.#name))) return;
    this.#token = token;
    this.#name = name;
    const known = this.#new_token;
    this.#new_token = Promise.withResolvers<void>();
    known.resolve();
    this.#current?.abort();
  }

  /** The gateway contradicts itself, elsewhere than on the stream. */
  distrust(why: string): void {
    this.#lose();
    this.#state = { state: "distrusted", why };
    this.#current?.abort();
    this.#on.onChange();
  }

  /** Follows until the signal fires. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { timers } = this.#on;
    await keepOpen({
      timers,
      signal,
      wanted: () => this.newToken,
      attempt: (until) => this.#attempt(until),
    });
    this.#lose();
  }

  async #attempt(signal: AbortSignal): Promise<AttemptEnd> {
    if (this.#token === "") {
      const stopped = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => stopped.resolve(), { once: true });
      await Promise.race([this.newToken, stopped.promise]);
      return { worked: true };
    }
    const current = this.#current = new AbortController();
    const until = AbortSignal.any([signal, current.signal]);
    const token = this.#token;
    const name = this.#name;
    // What is known of the gateway holds until it says otherwise.
    if (!KEPT.has(this.#state.state)) this.#state = { state: "connecting" };
    const seen = { worked: false };
    let error: unknown;
    try {
      await this.#follow(token, until, current, seen);
    } catch (thrown) {
      error = thrown;
    }
    const had = this.#snapshot !== undefined;
    this.#lose();
    this.#ended(error, current.signal.aborted);
    if (had) this.#on.onChange();
    if (this.#state.state === "distrusted") error ??= new Error(this.#state.why);
    // A stream that was given up for another credential is no failure.
    return current.signal.aborted && (token !== this.#token || name !== this.#name)
      ? { worked: true }
      : {
        worked: seen.worked && this.#state.state !== "distrusted",
        ...(error === undefined ? {} : { error }),
      };
  }

  #ended(error: unknown, given_up: boolean): void {
    if (this.#state.state === "distrusted" || given_up) return;
    if (isUnimplemented(error)) this.#state = { state: "not_offered" };
    else if (error instanceof GrpcError && REFUSALS.has(error.code)) {
      this.#state = { state: "refused", why: error.message };
    } else if (this.#state.state !== "not_offered") this.#state = { state: "connecting" };
  }

  async #follow(
    token: string,
    signal: AbortSignal,
    current: AbortController,
    seen: { worked: boolean },
  ): Promise<void> {
    const { gateway, runtime_id: runtimeId, version } = this.#on;
    const name = this.#name;
    const requests = new RequestQueue<runtime.FollowRequest>();
    const agentId = { orgId: name.org_id, teamId: name.team_id, agentId: name.agent_id };
    const hello = { case: "hello" as const, value: { agentId, runtimeId, version } };
    requests.push(create(runtime.FollowRequestSchema, { kind: hello }));
    const pinging = new AbortController();
    const pings = this.#ping(requests, AbortSignal.any([signal, pinging.signal]), current);
    try {
      for await (const event of gateway.follow(requests, token, signal)) {
        if (signal.aborted) return;
        if (!this.#take(event, tokenDigest(token), requests)) {
          current.abort();
          throw new GrpcError("the gateway contradicts itself", Code.DATA_LOSS);
        }
        seen.worked = true;
      }
    } finally {
      pinging.abort();
      requests.end();
      await pings;
    }
  }

  async #ping(
    requests: RequestQueue<runtime.FollowRequest>,
    signal: AbortSignal,
    current: AbortController,
  ): Promise<void> {
    const { timers } = this.#on;
    const { ping_interval_ms, pings_unanswered } = DECISION_LIMITS;
    while (!signal.aborted) {
      await timers.sleep(ping_interval_ms, signal);
      if (signal.aborted) return;
      // A peer that neither answers nor goes away.
      if (this.#authority.unanswered >= pings_unanswered) return current.abort();
      this.#sendPing(requests);
    }
  }

  #sendPing(requests: RequestQueue<runtime.FollowRequest>): void {
    const { monotonic_us, now_ms } = this.#on.timers;
    const number = this.#authority.ping(monotonic_us(), now_ms());
    const epoch = BigInt(this.#snapshot?.epoch ?? 0);
    requests.push(
      create(runtime.FollowRequestSchema, { kind: { case: "ping", value: { number, epoch } } }),
    );
  }

  /** @returns Whether it made sense. */
  #take(
    event: runtime.FollowEvent,
    token_sha256: string,
    requests: RequestQueue<runtime.FollowRequest>,
  ): boolean {
    const { kind } = event;
    if (kind.case === "pong") {
      const { number, authorityMs, nowUnixMs } = kind.value;
      const held = this.inForce !== undefined;
      const now_us = this.#on.timers.monotonic_us();
      if (!this.#authority.answered(number, authorityMs, Number(nowUnixMs), now_us)) {
        return this.#distrust("it answered a ping that was never sent");
      }
      if (!held) this.#on.onChange();
      return true;
    }
    if (kind.case !== "snapshot") return this.#distrust("it sent an event that is none");
    const read = readSnapshot(kind.value, {
      name: this.#name,
      token_sha256,
      before: this.#snapshot,
      newest: this.#newest,
    });
    if (!read.ok) return this.#distrust(`its snapshot is refused: ${read.why}`);
    const { snapshot } = read;
    this.#snapshot = snapshot;
    this.#newest = { gateway_id: snapshot.gateway_id, epoch: snapshot.epoch };
    this.#state = { state: "following" };
    this.#on.onChange(snapshot);
    // Says at once that it is in force here, and asks for the authority to decide by it.
    this.#sendPing(requests);
    return true;
  }

  #distrust(why: string): false {
    this.#lose();
    this.#state = { state: "distrusted", why };
    this.#on.onChange();
    return false;
  }

  #lose(): void {
    this.#authority.end();
    this.#snapshot = undefined;
  }
}

const KEPT: ReadonlySet<FollowState["state"]> = new Set(["distrusted", "not_offered"]);

const REFUSALS: ReadonlySet<Code> = new Set([
  Code.UNAUTHENTICATED,
  Code.PERMISSION_DENIED,
  Code.INVALID_ARGUMENT,
  Code.RESOURCE_EXHAUSTED,
]);
