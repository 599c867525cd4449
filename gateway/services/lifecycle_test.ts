import assert from "node:assert/strict";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ed25519 } from "@noble/curves/ed25519";
import { base58 } from "@scure/base";
import { type CallContext, Code, codeName, GrpcError, Metadata } from "../../grpc/mod.ts";
import {
  ChallengeRequestSchema,
  type ControlCommand,
  ControlStreamRequestSchema,
  DeregisterRequestSchema,
  HeartbeatRequestSchema,
  RegisterRequestSchema,
  type RegisterResponse,
} from "../../proto/gen/assembly/agent/v1/agent_pb.ts";
import type { RiskTier } from "../../proto/gen/assembly/common/v1/common_pb.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import { SYSTEM_CLOCK } from "../clock.ts";
import { Enrolments } from "../registry/enrolments.ts";
import { MemoryChallenges } from "../identity/challenges.ts";
import { didKeyOf } from "../../core/identity/did_key.ts";
import { registryKeyOf } from "../identity/keys.ts";
import { ControlStreams } from "../registry/control_streams.ts";
import { Fixture } from "../registry/registry_fixture.ts";
import type { RegistryOptions } from "../registry/registry.ts";
import { type LifecycleDependencies, lifecycleHandlers } from "./lifecycle.ts";

/** Fields of a registration, not yet a message. */
type RegisterFields = Extract<
  MessageInitShape<typeof RegisterRequestSchema>,
  { readonly $typeName?: never }
>;

/** An agent with its own key. */
class Agent {
  readonly secret: Uint8Array;
  readonly public_key: string;
  readonly did: string;

  constructor(seed: number) {
    this.secret = new Uint8Array(32).fill(seed);
    const key = ed25519.getPublicKey(this.secret);
    this.public_key = key.toHex();
    this.did = didKeyOf(key);
  }

  get id() {
    return { orgId: "acme", teamId: "ops", agentId: this.did };
  }

  get key(): string {
    return registryKeyOf({ org_id: "acme", team_id: "ops", agent_id: this.did });
  }
}

const ALICE = new Agent(1);
const BOB = new Agent(2);

/** The service over a registry in memory. Handlers are called as the server calls them. */
class Service {
  readonly fixture: Fixture;
  readonly streams: ControlStreams;
  readonly #handlers: ReturnType<typeof lifecycleHandlers>;

  private constructor(
    fixture: Fixture,
    readonly enrolments: Enrolments,
    options: Partial<LifecycleDependencies>,
  ) {
    this.fixture = fixture;
    this.streams = new ControlStreams(fixture.registry);
    this.#handlers = lifecycleHandlers({
      registry: fixture.registry,
      challenges: new MemoryChallenges(),
      control_streams: this.streams,
      clock: { now_ms: () => fixture.now_ms },
      tenancy: "open",
      enrolments,
      require_enrolment: false,
      ...options,
    });
  }

  static async create(
    options: Partial<LifecycleDependencies> = {},
    registry: Partial<RegistryOptions> = {},
  ): Promise<Service> {
    const fixture = await Fixture.create(registry);
    const enrolments = await Enrolments.open({
      store: new MemoryStore(),
      clock: { ...SYSTEM_CLOCK, now_ms: () => fixture.now_ms },
      record: () => Promise.resolve(0n),
    });
    return new Service(fixture, enrolments, options);
  }

  async challenge(request: MessageInitShape<typeof ChallengeRequestSchema>) {
    return await this.#handlers.requestChallenge(
      create(ChallengeRequestSchema, request),
      context(),
    );
  }

  async register(request: RegisterFields, on: CallContext = context()) {
    return await this.#handlers.register(create(RegisterRequestSchema, request), on);
  }

  async heartbeat(request: MessageInitShape<typeof HeartbeatRequestSchema>) {
    return await this.#handlers.heartbeat(create(HeartbeatRequestSchema, request), context());
  }

  async deregister(request: MessageInitShape<typeof DeregisterRequestSchema>) {
    return await this.#handlers.deregister(create(DeregisterRequestSchema, request), context());
  }

  listen(request: MessageInitShape<typeof ControlStreamRequestSchema>, signal?: AbortSignal) {
    const message = create(ControlStreamRequestSchema, request);
    return this.#handlers.controlStream(message, context(signal))[Symbol.asyncIterator]();
  }

  /** The request of an honest registration. */
  async proven(
    agent: Agent,
    change: RegisterFields = {},
  ): Promise<RegisterFields> {
    const agentId = change.agentId ?? agent.id;
    const { nonce } = await this.challenge({ agentId, publicKey: agent.public_key });
    return {
      agentId: agent.id,
      publicKey: agent.public_key,
      registrationNonce: nonce,
      possessionProof: ed25519.sign(nonce, agent.secret),
      name: "agent",
      ...change,
    };
  }

  async registered(
    agent: Agent,
    change: RegisterFields = {},
  ): Promise<RegisterResponse> {
    return await this.register(await this.proven(agent, change));
  }
}

function context(signal: AbortSignal = new AbortController().signal): CallContext {
  return {
    method: "/assembly.agent.v1.AgentLifecycleService/Test",
    metadata: new Metadata(),
    signal,
    deadline_ms: undefined,
    peer: { transport: "tcp", address: "127.0.0.1:1" },
    headers: new Metadata(),
    trailers: new Metadata(),
    sendHeaders: () => {},
    compression: "identity",
  };
}

async function assertStatus(
  call: Promise<unknown>,
  code: Code,
  text: RegExp,
  note?: string,
): Promise<void> {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof GrpcError, String(error));
    assert.equal(codeName(error.code), codeName(code), `${note ?? ""} ${error.message}`);
    assert.match(error.message, text, note);
    return true;
  });
}

const otherDid = (...prefix: number[]) =>
  `did:key:z${base58.encode(Uint8Array.of(...prefix, ...new Uint8Array(32).fill(9)))}`;

Deno.test("an agent proves its key, registers, lives, and leaves", async () => {
  const service = await Service.create();
  const challenge = await service.challenge({ agentId: ALICE.id, publicKey: ALICE.public_key });
  assert.equal(challenge.nonce.length, 32);
  assert.equal(challenge.expiresAtUnixMs, BigInt(service.fixture.now_ms + 30_000));
  const registered = await service.register({
    agentId: ALICE.id,
    publicKey: ALICE.public_key,
    registrationNonce: challenge.nonce,
    possessionProof: ed25519.sign(challenge.nonce, ALICE.secret),
    name: "alice",
    riskTier: 3,
    toolNames: ["search"],
    metadata: { env: "staging" },
    maxChildDepth: 1,
  });
  assert.match(registered.credentialToken, /^[0-9a-f-]{36}$/);
  assert.equal(registered.assignedPolicy, "");
  assert.equal(registered.heartbeatIntervalSec, 30n);
  assert.equal(registered.parentAgentId, undefined);
  assert.equal(registered.teamId, "ops");
  assert.equal(registered.rootAgentId?.toHex(), ALICE.key);
  const { name, risk_tier } = service.fixture.registry.byKey(ALICE.key) ?? {};
  assert.deepEqual({ name, risk_tier }, { name: "alice", risk_tier: "high" });

  const credentials = { agentId: ALICE.id, credentialToken: registered.credentialToken };
  const alive = await service.heartbeat(credentials);
  assert.deepEqual([alive.policyUpdated, alive.shouldSuspend], [false, false]);
  const gone = await service.deregister({ ...credentials, reason: "clean shutdown" });
  assert.deepEqual([gone.success, gone.agentId], [true, ALICE.did]);
  await assertStatus(service.heartbeat(credentials), Code.UNAUTHENTICATED, /unknown agent/);
  const recorded = service.fixture.audited.map((change) => [change.action, change.reason]);
  assert.deepEqual(recorded, [["agent_registered", ""], ["agent_deregistered", "clean shutdown"]]);
});

Deno.test("a child's registration echoes its parent and the root's key", async () => {
  const service = await Service.create();
  await service.registered(ALICE);
  const child = await service.registered(BOB, { parentAgentId: ALICE.did });
  assert.equal(child.parentAgentId, ALICE.did);
  assert.equal(child.rootAgentId?.toHex(), ALICE.key);
});

Deno.test("without a team the registration's answer has none", async () => {
  const service = await Service.create();
  const id = { agentId: ALICE.did };
  const { nonce } = await service.challenge({ agentId: id, publicKey: ALICE.public_key });
  const registered = await service.register({
    agentId: id,
    publicKey: ALICE.public_key,
    registrationNonce: nonce,
    possessionProof: ed25519.sign(nonce, ALICE.secret),
  });
  assert.equal(registered.teamId, undefined);
});

Deno.test("RequestChallenge refuses malformed ids before it looks at the key", async () => {
  const service = await Service.create();
  const agentId = (text: string) => ({ agentId: text });
  const cases: [MessageInitShape<typeof ChallengeRequestSchema>, RegExp][] = [
    [{ publicKey: "zz" }, /^agent_id: is missing/],
    [{ agentId: agentId(""), publicKey: "zz" }, /agent_id.agent_id: is empty/],
    [{ agentId: agentId("agent-1"), publicKey: "zz" }, /did:key:/],
    [{ agentId: agentId("did:key:u1"), publicKey: "zz" }, /multibase/],
    [{ agentId: agentId("did:key:z0"), publicKey: "zz" }, /base58btc/],
    [{ agentId: agentId("did:key:z"), publicKey: "zz" }, /no key/],
    [{ agentId: ALICE.id, publicKey: "" }, /^public_key: is empty/],
    [{ agentId: ALICE.id, publicKey: "zz" }, /^public_key: is not hex/],
    [{ agentId: ALICE.id, publicKey: "abc" }, /^public_key: is not hex/],
    [{ agentId: ALICE.id, publicKey: "abcd" }, /^public_key: is 2 bytes/],
    [{ agentId: ALICE.id, publicKey: "02".padEnd(64, "0") }, /no point of the curve/],
    // The key is judged before the kind of the did:key.
    [{ agentId: agentId(otherDid(0xe7, 0x01)), publicKey: "" }, /^public_key/],
    [{ agentId: agentId(otherDid(0xe7, 0x01)), publicKey: ALICE.public_key }, /no Ed25519 key/],
    [{ agentId: agentId(otherDid(0xed, 0x01, 7)), publicKey: ALICE.public_key }, /32 bytes/],
  ];
  for (const [request, text] of cases) {
    await assertStatus(service.challenge(request), Code.INVALID_ARGUMENT, text, String(text));
  }
  const mixed = { agentId: ALICE.id, publicKey: BOB.public_key };
  await assertStatus(service.challenge(mixed), Code.UNAUTHENTICATED, /is not the key/);
});

Deno.test("Register's checks come in the order of the wire contract", async () => {
  const service = await Service.create({ tenancy: "tenanted" });
  await service.registered(ALICE);
  // Everything is wrong at first; each step mends what the step before complained of.
  let request: RegisterFields = {
    agentId: { orgId: "a\n", teamId: "", agentId: "agent-1" },
    publicKey: "",
    parentAgentId: "",
  };
  const step = async (
    code: Code,
    text: RegExp,
    mend: RegisterFields,
  ) => {
    await assertStatus(service.register(request), code, text);
    request = { ...request, ...mend };
  };
  const freshNonce = async (agent: Agent) => {
    const bound = { agentId: { agentId: agent.did }, publicKey: agent.public_key };
    return (await service.challenge(bound)).nonce;
  };
  await step(Code.INVALID_ARGUMENT, /did:key/, {
    agentId: { orgId: "a\n", teamId: "", agentId: BOB.did },
  });
  await step(Code.FAILED_PRECONDITION, /team_id/, {
    agentId: { orgId: "a\n", teamId: "t", agentId: BOB.did },
  });
  await step(Code.INVALID_ARGUMENT, /^public_key: is empty/, { publicKey: ALICE.public_key });
  await step(Code.UNAUTHENTICATED, /is not the key/, { publicKey: BOB.public_key });
  await step(Code.UNAUTHENTICATED, /^registration_nonce/, {
    registrationNonce: await freshNonce(BOB),
  });
  const spent = await freshNonce(BOB);
  await step(Code.UNAUTHENTICATED, /^possession_proof/, {
    registrationNonce: spent,
    possessionProof: ed25519.sign(spent, BOB.secret),
  });
  const renew = async () => {
    const registrationNonce = await freshNonce(BOB);
    return { registrationNonce, possessionProof: ed25519.sign(registrationNonce, BOB.secret) };
  };
  await step(Code.INVALID_ARGUMENT, /^parent_agent_id/, {
    ...await renew(),
    parentAgentId: ALICE.did,
    agentId: { orgId: "a\n", teamId: "ops", agentId: BOB.did },
  });
  await step(Code.INVALID_ARGUMENT, /^parent_agent_id/, await renew());
  const { parentAgentId: _, ...orphan } = request;
  request = orphan;
  await step(Code.INTERNAL, /^org_id: holds a control character/, {
    ...await renew(),
    parentAgentId: ALICE.did,
    agentId: BOB.id,
  });
  const answer = await service.register(request);
  assert.equal(answer.rootAgentId?.toHex(), ALICE.key);
  request = { ...request, ...await renew(), parentAgentId: BOB.did };
  await step(Code.INVALID_ARGUMENT, /own ancestor/, { ...await renew(), parentAgentId: ALICE.did });
  await step(Code.ALREADY_EXISTS, /registered already/, {});
});

Deno.test("G1: a tenth generation is refused as an invalid argument", async () => {
  const service = await Service.create();
  const agents = Array.from({ length: 11 }, (_, index) => new Agent(index + 10));
  for (const [index, agent] of agents.entries()) {
    const parent = agents[index - 1];
    const below = parent === undefined ? {} : { parentAgentId: parent.did };
    const registering = service.registered(agent, below);
    if (index < 10) await registering;
    else await assertStatus(registering, Code.INVALID_ARGUMENT, /depth `10`/);
  }
});

Deno.test("G2: a parent of another team is an invalid argument", async () => {
  const service = await Service.create();
  await service.registered(ALICE);
  const elsewhere = { ...BOB.id, teamId: "other" };
  const call = service.registered(BOB, { agentId: elsewhere, parentAgentId: ALICE.did });
  await assertStatus(call, Code.INVALID_ARGUMENT, /same org and team/);
});

Deno.test("G3: a challenge that was used, or is 30 seconds old, does not authenticate", async () => {
  const service = await Service.create();
  const used = await service.proven(ALICE);
  await service.register(used);
  await assertStatus(service.register(used), Code.UNAUTHENTICATED, /^registration_nonce/);
  const late = await service.proven(BOB);
  service.fixture.now_ms += 30_000;
  await assertStatus(service.register(late), Code.UNAUTHENTICATED, /^registration_nonce/);
});

Deno.test("a failed attempt burns the nonce, whatever it failed of later", async () => {
  const service = await Service.create();
  const honest = await service.proven(ALICE);
  const forged = { ...honest, possessionProof: new Uint8Array(64) };
  await assertStatus(service.register(forged), Code.UNAUTHENTICATED, /^possession_proof/);
  await assertStatus(service.register(honest), Code.UNAUTHENTICATED, /^registration_nonce/);
  const orphan = await service.proven(ALICE, { parentAgentId: "nobody" });
  await assertStatus(service.register(orphan), Code.INVALID_ARGUMENT, /^parent_agent_id/);
  const { parentAgentId: _, ...mended } = orphan;
  await assertStatus(service.register(mended), Code.UNAUTHENTICATED, /^registration_nonce/);
});

Deno.test("a nonce serves the exact id and key texts it was given for", async () => {
  const service = await Service.create();
  const { nonce } = await service.challenge({ agentId: ALICE.id, publicKey: ALICE.public_key });
  const call = service.register({
    agentId: BOB.id,
    publicKey: BOB.public_key,
    registrationNonce: nonce,
    possessionProof: ed25519.sign(nonce, BOB.secret),
  });
  await assertStatus(call, Code.UNAUTHENTICATED, /^registration_nonce/);
  const upper = await service.proven(ALICE, { publicKey: ALICE.public_key.toUpperCase() });
  await assertStatus(service.register(upper), Code.UNAUTHENTICATED, /^registration_nonce/);
  // Organisation and team are no part of the binding.
  await service.registered(ALICE, { agentId: { ...ALICE.id, teamId: "other" } });
});

Deno.test("a proof over anything but the raw nonce, or of another key, is refused", async () => {
  const service = await Service.create();
  const { nonce } = await service.challenge({ agentId: ALICE.id, publicKey: ALICE.public_key });
  const proofs = [
    new Uint8Array(),
    ed25519.sign(new TextEncoder().encode(nonce.toHex()), ALICE.secret),
    ed25519.sign(nonce, BOB.secret),
  ];
  for (const possessionProof of proofs) {
    const call = service.registered(ALICE, { possessionProof });
    await assertStatus(call, Code.UNAUTHENTICATED, /^possession_proof/);
  }
});

Deno.test("G4: the same agent twice is already there", async () => {
  const service = await Service.create();
  await service.registered(ALICE);
  await assertStatus(service.registered(ALICE), Code.ALREADY_EXISTS, /deregister it first/);
});

Deno.test("M6: an agent's claim to be observed or disabled is dropped without an error", async () => {
  const service = await Service.create();
  for (const [agent, enforcementMode] of [[ALICE, 2], [BOB, 3]] as const) {
    await service.registered(agent, { enforcementMode });
    const record = service.fixture.registry.byKey(agent.key);
    assert.deepEqual(record?.enforcement, { mode: "enforce" });
  }
});

Deno.test("a risk tier this version does not know counts as critical, not as none", async () => {
  const service = await Service.create();
  await service.registered(ALICE, { riskTier: 9 as RiskTier });
  assert.equal(service.fixture.registry.byKey(ALICE.key)?.risk_tier, "critical");
  await service.registered(BOB, { riskTier: 0 });
  assert.equal(service.fixture.registry.byKey(BOB.key)?.risk_tier, undefined);
});

Deno.test("tenanted mode wants a team; open mode does not", async () => {
  const teamless = { agentId: { orgId: "acme", agentId: ALICE.did } };
  const tenanted = await Service.create({ tenancy: "tenanted" });
  await assertStatus(tenanted.registered(ALICE, teamless), Code.FAILED_PRECONDITION, /team_id/);
  await (await Service.create()).registered(ALICE, teamless);
});

Deno.test("what the log cannot record is unavailable, and not acknowledged", async () => {
  const service = await Service.create();
  const { credentialToken } = await service.registered(ALICE);
  service.fixture.audit_failing = true;
  await assertStatus(service.registered(BOB), Code.UNAVAILABLE, /audit log/);
  const leaving = service.deregister({ agentId: ALICE.id, credentialToken });
  await assertStatus(leaving, Code.UNAVAILABLE, /audit log/);
  await service.heartbeat({ agentId: ALICE.id, credentialToken });
});

Deno.test("what the store cannot keep is an internal error that tells nothing of its cause", async () => {
  const service = await Service.create();
  service.fixture.store.failing = true;
  await assert.rejects(service.registered(ALICE), (error) => {
    assert.ok(error instanceof GrpcError);
    assert.equal(codeName(error.code), "INTERNAL");
    assert.ok(!error.message.includes("disk full"));
    return true;
  });
});

Deno.test("Heartbeat, Deregister and ControlStream tell unknown agent and wrong token alike", async () => {
  const service = await Service.create();
  const { credentialToken } = await service.registered(ALICE);
  const { credentialToken: bobs } = await service.registered(BOB);
  const calls = [
    (request: MessageInitShape<typeof HeartbeatRequestSchema>) => service.heartbeat(request),
    (request: MessageInitShape<typeof DeregisterRequestSchema>) => service.deregister(request),
    (request: MessageInitShape<typeof ControlStreamRequestSchema>) =>
      service.listen(request).next(),
  ];
  for (const call of calls) {
    await assertStatus(call({ credentialToken }), Code.INVALID_ARGUMENT, /^agent_id: is missing/);
    const texts = new Set<string>();
    for (
      const wrong of [
        { agentId: ALICE.id, credentialToken: "" },
        { agentId: ALICE.id, credentialToken: bobs },
        { agentId: { ...ALICE.id, teamId: "other" }, credentialToken },
        { agentId: { agentId: "nobody" }, credentialToken: "x" },
      ]
    ) {
      await assertStatus(call(wrong), Code.UNAUTHENTICATED, /unknown agent or wrong/);
      await call(wrong).catch((error: Error) => texts.add(error.message));
    }
    assert.equal(texts.size, 1);
  }
});

Deno.test("an agent that vanishes between check and use is not found", async () => {
  const service = await Service.create();
  const { credentialToken } = await service.registered(ALICE);
  const credentials = { agentId: ALICE.id, credentialToken };
  const outcomes = await Promise.allSettled([
    service.deregister(credentials),
    service.deregister(credentials),
  ]);
  const [first, second] = outcomes;
  assert.equal(first?.status, "fulfilled");
  assert.ok(second?.status === "rejected");
  assert.equal(codeName(second.reason.code), "NOT_FOUND");
});

Deno.test("a heartbeat says suspend while the agent is suspended", async () => {
  const service = await Service.create();
  const { credentialToken } = await service.registered(ALICE);
  const credentials = { agentId: ALICE.id, credentialToken };
  await service.fixture.registry.suspend(ALICE.key, "looked odd");
  assert.equal((await service.heartbeat(credentials)).shouldSuspend, true);
  await service.fixture.registry.resume(ALICE.key, "fine");
  assert.equal((await service.heartbeat(credentials)).shouldSuspend, false);
});

Deno.test("only a budget's suspension lifts itself, and only when the budget has room", async () => {
  let within = false;
  const service = await Service.create({ withinBudget: () => within });
  const { credentialToken } = await service.registered(ALICE);
  const suspended = async () =>
    (await service.heartbeat({ agentId: ALICE.id, credentialToken })).shouldSuspend;
  const { registry } = service.fixture;
  await registry.suspend(ALICE.key, "budget limit exceeded", { cause: "budget_exceeded" });
  assert.equal(await suspended(), true);
  within = true;
  service.fixture.audit_failing = true;
  assert.equal(await suspended(), true);
  service.fixture.audit_failing = false;
  assert.equal(await suspended(), false);
  assert.equal(registry.byKey(ALICE.key)?.state.status, "active");
  for (const cause of ["manual", "policy", "parent_suspended"] as const) {
    await registry.suspend(ALICE.key, "looked odd", { cause });
    assert.equal(await suspended(), true);
    await registry.resume(ALICE.key, "fine");
  }
});

Deno.test("without a ledger a budget's suspension stays", async () => {
  const service = await Service.create();
  const { credentialToken } = await service.registered(ALICE);
  await service.fixture.registry.suspend(ALICE.key, "x", { cause: "budget_exceeded" });
  const { shouldSuspend } = await service.heartbeat({ agentId: ALICE.id, credentialToken });
  assert.equal(shouldSuspend, true);
});

async function next(stream: AsyncIterator<ControlCommand>): Promise<ControlCommand["command"]> {
  const { value, done } = await stream.next();
  assert.ok(done !== true, "the stream ended");
  return value.command;
}

Deno.test("suspension and resumption are pushed to the agent's stream", async () => {
  const service = await Service.create();
  const { credentialToken } = await service.registered(ALICE);
  const stream = service.listen({ agentId: ALICE.id, credentialToken });
  const suspending = next(stream);
  await service.fixture.registry.suspend(ALICE.key, "looked odd");
  const suspended = await suspending;
  assert.ok(suspended.case === "suspend");
  assert.equal(suspended.value.reason, "looked odd");
  await service.fixture.registry.resume(ALICE.key, "fine");
  const resumed = await next(stream);
  assert.ok(resumed.case === "resume");
  assert.equal(resumed.value.note, "fine");
  service.streams.send(ALICE.key, { kind: "kill", reason: "critical" });
  assert.equal((await next(stream)).case, "kill");
  const policy_bytes = Uint8Array.of(1, 2);
  service.streams.send(ALICE.key, { kind: "policy_update", new_policy_id: "p2", policy_bytes });
  const update = await next(stream);
  assert.ok(update.case === "policyUpdate");
  assert.deepEqual([update.value.newPolicyId, update.value.policyBytes], ["p2", policy_bytes]);
  await service.deregister({ agentId: ALICE.id, credentialToken });
  assert.equal((await stream.next()).done, true);
});

Deno.test("an agent that connects while suspended is told so at once", async () => {
  const service = await Service.create();
  const { credentialToken } = await service.registered(ALICE);
  await service.fixture.registry.suspend(ALICE.key, "looked odd");
  const stream = service.listen({ agentId: ALICE.id, credentialToken });
  assert.equal((await next(stream)).case, "suspend");
  await stream.return?.();
  assert.equal(service.streams.size, 0);
});

Deno.test("a newer stream of an agent ends the older one; a cancelled call ends its own", async () => {
  const service = await Service.create();
  const { credentialToken } = await service.registered(ALICE);
  const request = { agentId: ALICE.id, credentialToken };
  const older = service.listen(request).next();
  const call = new AbortController();
  const newer = service.listen(request, call.signal).next();
  assert.equal((await older).done, true);
  call.abort();
  assert.equal((await newer).done, true);
  assert.equal(service.streams.size, 0);
});

Deno.test("an agent that does not read its commands is disconnected by name", async () => {
  const service = await Service.create();
  const { credentialToken } = await service.registered(ALICE);
  const stream = service.listen({ agentId: ALICE.id, credentialToken });
  const first = next(stream);
  service.streams.send(ALICE.key, { kind: "resume", note: "0" });
  await first;
  for (let index = 0; index < 33; index++) {
    service.streams.send(ALICE.key, { kind: "resume", note: String(index) });
  }
  for (let index = 0; index < 32; index++) await next(stream);
  await assertStatus(stream.next(), Code.RESOURCE_EXHAUSTED, /connect again/);
});

// Enrolments and SPIFFE ids.

/** A call with an enrolment token, or over mutual TLS. */
function callWith(enrolment: string, alternative_names?: string[]): CallContext {
  const plain = context();
  if (enrolment !== "") plain.metadata.set("x-aa-enrolment", enrolment);
  if (alternative_names === undefined) return plain;
  const certificate = {
    subject: {},
    subject_alternative_names: alternative_names,
    fingerprint_sha256: "",
  };
  return { ...plain, peer: { transport: "tls", address: "127.0.0.1:1", certificate } };
}

async function enrolmentOf(service: Service, spiffe: string[] = [], max_uses = 9): Promise<string> {
  const { token } = await service.enrolments.create({
    org_id: "acme",
    team_id: "ops",
    max_uses,
    expires_at_ms: service.fixture.now_ms + 3_600_000,
    risk_tiers: [],
    spiffe,
    operator: "ana",
  });
  return token;
}

Deno.test("trap 38: a tenant of the agent's own word is marked as that; an enrolled one as enrolled", async () => {
  const service = await Service.create();
  await service.register(await service.proven(ALICE));
  const { registry } = service.fixture;
  assert.equal(registry.byKey(ALICE.key)?.tenancy, "asserted");
  const token = await enrolmentOf(service);
  await service.register(await service.proven(BOB), callWith(token));
  const bob = registry.byKey(BOB.key);
  assert.equal(bob?.tenancy, "enrolled");
  assert.equal(service.enrolments.byId(bob?.enrolment_id ?? "")?.uses, 1);
  await service.fixture.restart();
  assert.equal(service.fixture.registry.byKey(BOB.key)?.tenancy, "enrolled");
});

Deno.test("trap 38: where enrolment is required, a self-asserted tenant is refused by name", async () => {
  const service = await Service.create({ require_enrolment: true });
  const request = await service.proven(ALICE);
  await assertStatus(
    service.register(request),
    Code.PERMISSION_DENIED,
    /^agent_id\.org_id: `acme` is self-asserted/,
  );
  const bare = { orgId: "", teamId: "", agentId: ALICE.did };
  const untenanted = await service.proven(ALICE, { agentId: bare });
  await assertStatus(service.register(untenanted), Code.PERMISSION_DENIED, /no tenant is named/);
  assert.equal(service.fixture.registry.size, 0);
  const token = await enrolmentOf(service);
  await service.register(await service.proven(ALICE), callWith(token));
});

Deno.test("an enrolment that is shown and not accepted is refused, never ignored", async () => {
  const service = await Service.create();
  const request = await service.proven(ALICE);
  await assertStatus(
    service.register(request, callWith("aasm_enrol_unknown")),
    Code.UNAUTHENTICATED,
    /^x-aa-enrolment/,
  );
  assert.equal(service.fixture.registry.size, 0);
});

Deno.test("a refused registration uses no enrolment up", async () => {
  const service = await Service.create();
  const token = await enrolmentOf(service, [], 1);
  const orphan = await service.proven(ALICE, { parentAgentId: "nobody" });
  await assertStatus(service.register(orphan, callWith(token)), Code.INVALID_ARGUMENT, /parent/);
  await service.register(await service.proven(ALICE), callWith(token));
  const next = await service.proven(BOB);
  await assertStatus(service.register(next, callWith(token)), Code.UNAUTHENTICATED, /used up/);
});

Deno.test("a new token for an ended one needs no second enrolment", async () => {
  const service = await Service.create({ require_enrolment: true });
  const token = await enrolmentOf(service, [], 1);
  await service.register(await service.proven(ALICE), callWith(token));
  const operator = { kind: "operator", name: "ana" } as const;
  await service.fixture.registry.revokeToken(ALICE.key, "leaked", operator);
  const again = await service.register(await service.proven(ALICE));
  assert.equal(service.fixture.registry.byToken(again.credentialToken)?.key, ALICE.key);
});

const SPIFFE_ID = "spiffe://prod.example/agent/a";
const WORKLOAD = { orgId: "acme", teamId: "ops", agentId: SPIFFE_ID };

Deno.test("a SPIFFE id needs an enrolment that names it, or its certificate", async () => {
  const service = await Service.create();
  const request = () => service.proven(ALICE, { agentId: WORKLOAD });
  await assertStatus(
    service.register(await request()),
    Code.PERMISSION_DENIED,
    /nothing binds this SPIFFE id/,
  );
  for (
    const names of [
      ["URI:spiffe://prod.example/agent/b"],
      [`URI:${SPIFFE_ID}`, "URI:spiffe://prod.example/agent/b"],
      [`DNS:${SPIFFE_ID}`],
      [],
    ]
  ) {
    const call = callWith("", names);
    await assertStatus(service.register(await request(), call), Code.PERMISSION_DENIED, /SPIFFE/);
  }
  const plain = await enrolmentOf(service);
  await assertStatus(
    service.register(await request(), callWith(plain)),
    Code.PERMISSION_DENIED,
    /names none/,
  );
  const naming = await enrolmentOf(service, ["spiffe://prod.example"]);
  await service.register(await request(), callWith(naming));
  const key = registryKeyOf({ org_id: "acme", team_id: "ops", agent_id: SPIFFE_ID });
  assert.equal(service.fixture.registry.byKey(key)?.public_key, ALICE.public_key);

  const certified = await Service.create();
  const proven = await certified.proven(ALICE, { agentId: WORKLOAD });
  await certified.register(proven, callWith("", [`URI:${SPIFFE_ID}`]));
  assert.equal(certified.fixture.registry.byKey(key)?.tenancy, "asserted");
});

Deno.test("a SPIFFE id still proves its key, and nobody else's key takes it over", async () => {
  const service = await Service.create();
  const token = await enrolmentOf(service, [SPIFFE_ID]);
  const request = await service.proven(ALICE, { agentId: WORKLOAD });
  const forged = { ...request, possessionProof: new Uint8Array(64) };
  await assertStatus(service.register(forged, callWith(token)), Code.UNAUTHENTICATED, /proof/);
  await service.register(await service.proven(ALICE, { agentId: WORKLOAD }), callWith(token));
  const other = await service.proven(BOB, { agentId: WORKLOAD });
  await assertStatus(service.register(other, callWith(token)), Code.ALREADY_EXISTS, /already/);
});

Deno.test("a malformed SPIFFE id is refused at the challenge", async () => {
  const service = await Service.create();
  for (const agentId of ["spiffe://Prod.example/a", "spiffe://prod.example", "SPIFFE://a/b"]) {
    await assertStatus(
      service.challenge({ agentId: { ...WORKLOAD, agentId }, publicKey: ALICE.public_key }),
      Code.INVALID_ARGUMENT,
      /^agent_id\.agent_id/,
    );
  }
});
