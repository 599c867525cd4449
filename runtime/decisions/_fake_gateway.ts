/**
 * A gateway that says what a test tells it to: also nothing, late, or nonsense.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { Code, GrpcError } from "../../grpc/mod.ts";
import { loadPolicy } from "../../core/policy/load.ts";
import { type audit, type gateway, policy, runtime } from "../../proto/mod.ts";
import type { Asker } from "./_fixture.ts";
import type { GatewayAnswer, GatewayPart } from "./gateway_client.ts";
import { RequestQueue } from "./retrying.ts";
import { tokenDigest } from "./snapshot.ts";

/** One stream from the gateway, as the test drives it. */
export class Feed<T> {
  readonly #queue = new RequestQueue<T>();
  #failure: unknown;
  #over = false;

  /** Sends one message. */
  send(message: T): void {
    this.#queue.push(message);
  }

  /** Closes it, cleanly unless an error is given. */
  end(failure?: unknown): void {
    this.#failure = failure;
    this.#over = true;
    this.#queue.end();
  }

  /** Whether it was ended. */
  get over(): boolean {
    return this.#over;
  }

  /** What the runtime reads. */
  async *read(signal: AbortSignal): AsyncGenerator<T> {
    signal.addEventListener("abort", () => this.end(), { once: true });
    yield* this.#queue;
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/** The scripted gateway. */
export class FakeGateway implements GatewayPart {
  /** Answers of `check`; by default an allow. */
  onCheck: (query: policy.CheckActionRequest, signal: AbortSignal) => Promise<GatewayAnswer> = () =>
    Promise.resolve({ response: answer(1) });
  onLease: (request: runtime.LeaseRequest) => runtime.LeaseResponse = () =>
    create(runtime.LeaseResponseSchema, {});
  onReport: (request: runtime.ReportRequest) => runtime.ReportResponse = (request) =>
    create(runtime.ReportResponseSchema, {
      durableThrough: request.firstSeq + BigInt(request.records.length) - 1n,
    });
  /** What `follow` throws instead of opening; absent: it opens. */
  follow_refusal: GrpcError | undefined;
  /** Whether pings are answered. */
  answering = true;
  authority_ms = 1_500;
  /** Epoch that the newest ping says is in force at the runtime. */
  acknowledged = 0n;
  readonly checks: policy.CheckActionRequest[] = [];
  readonly resumes: (string | undefined)[] = [];
  readonly reported: audit.AuditEvent[] = [];
  readonly follows: Feed<runtime.FollowEvent>[] = [];
  readonly order_feeds: Feed<policy.OpControlMessage>[] = [];
  readonly subscriptions: {
    readonly feed: Feed<gateway.InvalidationEvent>;
    readonly requests: gateway.SubscribeRequest[];
  }[] = [];
  /** What every new stream of snapshots begins with. */
  first: runtime.RuntimeSnapshot | undefined;
  #epoch = 0;

  /** The gateway of one agent under one policy. */
  constructor(
    readonly agent: Asker,
    readonly text: string,
    readonly gateway_id: string = crypto.randomUUID(),
  ) {}

  /** A whole snapshot, with the next epoch. */
  snapshot(more: Partial<runtime.RuntimeSnapshot> = {}, text = this.text): runtime.RuntimeSnapshot {
    const loaded = loadPolicy("policy.yaml", text);
    const { org, team, did, token } = this.agent;
    const init = create(runtime.RuntimeSnapshotSchema, {
      gatewayId: this.gateway_id,
      epoch: BigInt(++this.#epoch),
      policy: {
        digest: `sha256:${this.#epoch}`,
        mode: "single_file",
        documents: [{
          file: "policy.yaml",
          source: new TextEncoder().encode(text),
          digest: loaded.ok ? loaded.document.digest : "",
        }],
      },
      principal: {
        agentId: { orgId: org, teamId: team, agentId: did },
        registryKey: "0".repeat(32),
        status: "active",
        tokenSha256: Uint8Array.fromHex(tokenDigest(token)),
        enforcementMode: "enforce",
      },
    });
    return Object.assign(init, more);
  }

  /** Pushes a snapshot on the newest stream. */
  push(snapshot: runtime.RuntimeSnapshot): void {
    this.follows.at(-1)?.send(
      create(runtime.FollowEventSchema, { kind: { case: "snapshot", value: snapshot } }),
    );
  }

  /** @inheritdoc */
  check: GatewayPart["check"] = (query, { signal, resume_token }) => {
    this.checks.push(query);
    this.resumes.push(resume_token);
    return this.onCheck(query, signal);
  };

  /** @inheritdoc */
  follow: GatewayPart["follow"] = (requests, _token, signal) => {
    const feed = new Feed<runtime.FollowEvent>();
    this.follows.push(feed);
    if (this.follow_refusal !== undefined) feed.end(this.follow_refusal);
    else this.#answerPings(requests, feed);
    return feed.read(signal);
  };

  async #answerPings(
    requests: AsyncIterable<runtime.FollowRequest>,
    feed: Feed<runtime.FollowEvent>,
  ): Promise<void> {
    for await (const { kind } of requests) {
      if (kind.case === "hello") {
        const value = this.first ?? this.snapshot();
        feed.send(create(runtime.FollowEventSchema, { kind: { case: "snapshot", value } }));
        continue;
      }
      if (kind.case === "ping") this.acknowledged = kind.value.epoch;
      if (kind.case === "ping" && this.answering) {
        feed.send(create(runtime.FollowEventSchema, {
          kind: {
            case: "pong",
            value: {
              number: kind.value.number,
              authorityMs: this.authority_ms,
              nowUnixMs: 1_700_000_000_000n,
            },
          },
        }));
      }
    }
  }

  /** @inheritdoc */
  lease: GatewayPart["lease"] = (request) => Promise.resolve(this.onLease(request));

  /** @inheritdoc */
  report: GatewayPart["report"] = async (request) => await this.onReport(request);

  /** @inheritdoc */
  reportEvents: GatewayPart["reportEvents"] = (events) => {
    this.reported.push(...events);
    return Promise.resolve();
  };

  /** @inheritdoc */
  orders: GatewayPart["orders"] = (_agent, _token, signal) => {
    const feed = new Feed<policy.OpControlMessage>();
    this.order_feeds.push(feed);
    return feed.read(signal);
  };

  /** @inheritdoc */
  invalidations: GatewayPart["invalidations"] = (requests, _token, signal) => {
    const feed = new Feed<gateway.InvalidationEvent>();
    const seen: gateway.SubscribeRequest[] = [];
    this.subscriptions.push({ feed, requests: seen });
    (async () => {
      for await (const request of requests) seen.push(request);
    })();
    return feed.read(signal);
  };
}

/** An answer of the wire. */
export function answer(
  decision: number,
  more: Partial<policy.CheckActionResponse> = {},
): policy.CheckActionResponse {
  return create(policy.CheckActionResponseSchema, {
    decision,
    agentIdentityAssurance: 3,
    ...more as Record<string, never>,
  });
}

/** The gateway is away. */
export const AWAY = new GrpcError("no route", Code.UNAVAILABLE);
/** It is too slow. */
export const LATE = new GrpcError("deadline", Code.DEADLINE_EXCEEDED);
/** It has no such service. */
export const NOT_OFFERED = new GrpcError("unknown service", Code.UNIMPLEMENTED);
