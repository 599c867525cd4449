/**
 * The gateway as this runtime calls it: one channel, every call with a deadline or a signal.
 *
 * @module
 */
import { type Channel, createClient, Metadata } from "../../grpc/mod.ts";
import { audit, gateway, policy, runtime } from "../../proto/mod.ts";

/** An answer of the gateway, with what its trailers say. */
export interface GatewayAnswer {
  readonly response: policy.CheckActionResponse;
  /** Presented with the same call once a person has agreed. */
  readonly resume_token?: string;
  /** The rule that decided, e.g. `tools.bash.allow`, and its `file:line:column`. */
  readonly rule?: string;
  readonly rule_at?: string;
}

/** What the room needs of a gateway. Everything rejects with `GrpcError` when it fails. */
export interface GatewayPart {
  readonly check: (
    query: policy.CheckActionRequest,
    terms: {
      readonly resume_token?: string;
      readonly timeout_ms: number;
      readonly signal: AbortSignal;
    },
  ) => Promise<GatewayAnswer>;
  readonly follow: (
    requests: AsyncIterable<runtime.FollowRequest>,
    token: string,
    signal: AbortSignal,
  ) => AsyncIterable<runtime.FollowEvent>;
  readonly lease: (
    request: runtime.LeaseRequest,
    token: string,
    timeout_ms: number,
  ) => Promise<runtime.LeaseResponse>;
  readonly report: (
    request: runtime.ReportRequest,
    token: string,
    signal: AbortSignal,
  ) => Promise<runtime.ReportResponse>;
  readonly reportEvents: (
    events: readonly audit.AuditEvent[],
    token: string,
    signal: AbortSignal,
  ) => Promise<void>;
  readonly orders: (
    agent: { readonly orgId: string; readonly teamId: string; readonly agentId: string },
    token: string,
    signal: AbortSignal,
  ) => AsyncIterable<policy.OpControlMessage>;
  readonly invalidations: (
    requests: AsyncIterable<gateway.SubscribeRequest>,
    token: string,
    signal: AbortSignal,
  ) => AsyncIterable<gateway.InvalidationEvent>;
}

/** How long one report may take, in milliseconds. */
export const REPORT_TIMEOUT_MS = 30_000;

/** A gateway behind a channel; the channel is the caller's to close. */
export function gatewayOver(channel: Channel): GatewayPart {
  const decisions = createClient(policy.PolicyService, channel);
  const runtimes = createClient(runtime.RuntimeService, channel);
  const invalidation = createClient(gateway.InvalidationService, channel);
  const events = createClient(audit.AuditService, channel);
  return {
    check: async (query, { resume_token, timeout_ms, signal }) => {
      const metadata = new Metadata().set("aasm-approval", "defer");
      if (resume_token !== undefined) metadata.set("aasm-resume", resume_token);
      const seen: { trailers?: Metadata } = {};
      const response = await decisions.checkAction(query, {
        metadata,
        timeout_ms,
        signal,
        onTrailers: (trailers) => seen.trailers = trailers,
      });
      const resume = seen.trailers?.get("aasm-resume");
      const rule = seen.trailers?.get("aasm-rule");
      const rule_at = seen.trailers?.get("aasm-rule-at");
      return {
        response,
        ...(resume === undefined ? {} : { resume_token: resume }),
        ...(rule === undefined ? {} : { rule }),
        ...(rule_at === undefined ? {} : { rule_at }),
      };
    },
    follow: (requests, token, signal) =>
      runtimes.follow(requests, { metadata: credential(token), signal }),
    lease: (request, token, timeout_ms) =>
      runtimes.lease(request, { metadata: credential(token), timeout_ms }),
    report: (request, token, signal) =>
      runtimes.report(request, {
        metadata: credential(token),
        timeout_ms: REPORT_TIMEOUT_MS,
        signal,
      }),
    reportEvents: async (reported, token, signal) => {
      const metadata = credential(token);
      const timeout_ms = REPORT_TIMEOUT_MS;
      await events.reportEvents({ events: [...reported] }, { metadata, timeout_ms, signal });
    },
    orders: (agentId, token, signal) =>
      decisions.opControlStream({ agentId }, { metadata: credential(token), signal }),
    invalidations: (requests, token, signal) =>
      invalidation.subscribe(requests, { metadata: credential(token), signal }),
  };
}

/** A runtime without a credential calls without: some gateways let callers of their machine in. */
function credential(token: string): Metadata {
  const metadata = new Metadata();
  return token === "" ? metadata : metadata.set("x-aa-credential-token", token);
}
