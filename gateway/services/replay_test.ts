/**
 * Recording and replaying through a whole gateway, over its own gRPC port.
 */
import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { Code, createClient, Metadata } from "../../grpc/mod.ts";
import {
  CheckActionRequestSchema,
  PolicyService,
} from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import { IamService } from "../../proto/gen/assembly/admin/v1/iam_pb.ts";
import {
  type ReplayDifference,
  ReplayService,
  type ReplaySummary,
} from "../../proto/gen/assembly/admin/v1/replay_pb.ts";
import { registerAgent } from "../../tests/harness/agent.ts";
import {
  type EmbeddedGateway,
  embeddedGateway,
  refusalOf,
} from "../../tests/harness/embedded_gateway.ts";

const SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8";
const POLICY = "tools:\n  bash: { allow: false }\n  search: { allow: true }\n";
const STRICT =
  "tools:\n  '*': { allow: false }\n  search:\n    allow: true\n    limit_per_hour: 2\n";

function question(tool: string, args = "{}", agent = "agent-1", token = "") {
  return create(CheckActionRequestSchema, {
    agentId: {
      agentId: agent,
      orgId: token === "" ? "" : "org-1",
      teamId: token === "" ? "" : "t",
    },
    credentialToken: token,
    traceId: "t",
    actionType: 2,
    context: {
      action: {
        case: "toolCall",
        value: { toolName: tool, argsJson: new TextEncoder().encode(args) },
      },
    },
  });
}

async function ask(on: EmbeddedGateway, tool: string, args?: string): Promise<number> {
  const answer = await createClient(PolicyService, on.channel).checkAction(question(tool, args));
  return answer.decision;
}

function texts(yaml: string) {
  const content = new TextEncoder().encode(yaml);
  return { singleFile: true, documents: [{ file: "proposed.yaml", content }] };
}

interface Told {
  readonly flips: ReplayDifference[];
  readonly undecidable: ReplayDifference[];
  readonly notes: string[];
  readonly summary: ReplaySummary;
}

async function replay(
  on: EmbeddedGateway,
  yaml: string,
  window: { sinceUnixMs?: bigint; untilUnixMs?: bigint } = {},
): Promise<Told> {
  const told: Omit<Told, "summary"> = { flips: [], undecidable: [], notes: [] };
  let summary: ReplaySummary | undefined;
  const request = { proposed: texts(yaml), ...window };
  const client = createClient(ReplayService, on.channel);
  for await (const { event } of client.replay(request, { metadata: on.operator })) {
    assert.equal(summary, undefined, "something follows the summary");
    if (event.case === "flip") told.flips.push(event.value);
    else if (event.case === "undecidable") told.undecidable.push(event.value);
    else if (event.case === "note") told.notes.push(event.value);
    else if (event.case === "summary") summary = event.value;
  }
  assert.ok(summary !== undefined);
  return { ...told, summary };
}

Deno.test("a proposed policy is replayed over what the gateway just answered, twice with one digest", async () => {
  await using on = await embeddedGateway([], POLICY);
  for (const tool of ["search", "search", "search", "fetch", "bash"]) await ask(on, tool);
  const untilUnixMs = BigInt(Date.now() + 1_000);
  const told = await replay(on, STRICT, { untilUnixMs });
  assert.deepEqual(told.notes, []);
  assert.equal(told.summary.facts, 5n);
  assert.equal(told.summary.flipped, 2n);
  assert.equal(told.summary.drifted, 0n);
  const shown = told.flips.map(({ before, after }) => [
    before?.outcome,
    after?.outcome,
    after?.reason,
    `${after?.rule?.file}:${after?.rule?.line}`,
  ]).sort();
  assert.deepEqual(shown, [
    ["allow", "deny", "rate limit exceeded", "proposed.yaml:5"],
    ["allow", "deny", "tool denied by policy", "proposed.yaml:2"],
  ]);
  assert.match(told.flips[0]?.exampleJson ?? "", /"tool":\{"name":/);
  // Asking changed nothing: no fact was added, no token taken.
  const again = await replay(on, STRICT, { untilUnixMs });
  assert.equal(again.summary.digest, told.summary.digest);
  assert.equal(await ask(on, "search"), 1);
});

Deno.test("who replays is on record before anything is read, and no secret is told", async () => {
  await using on = await embeddedGateway([], POLICY);
  await ask(on, "search", JSON.stringify({ note: SECRET }));
  const told = await replay(on, "data: { credential_action: block }");
  assert.equal(told.summary.flipped, 1n);
  assert.doesNotMatch(JSON.stringify(told, (_, v) => typeof v === "bigint" ? `${v}` : v), /ghp_a/);
  const { entries } = await on.gateway.audit.list({ limit: 1 });
  const payload = JSON.parse(JSON.parse(entries[0]?.line ?? "{}").payload);
  assert.equal(payload.action, "policy_replay");
  assert.equal(payload.actor, "operator:local");
});

Deno.test("a damaged segment is named, and the replay goes on without it", async () => {
  await using on = await embeddedGateway([], POLICY);
  await ask(on, "fetch");
  await replay(on, STRICT);
  const directory = `${on.directory}/state/facts`;
  const name = [...Deno.readDirSync(directory)][0]?.name ?? "";
  const bytes = await Deno.readFile(`${directory}/${name}`);
  bytes[80] = (bytes[80] ?? 0) ^ 1;
  await Deno.writeFile(`${directory}/${name}`, bytes);
  const told = await replay(on, STRICT);
  assert.equal(told.summary.facts, 0n);
  assert.match(told.notes[0] ?? "", new RegExp(`^${name}: .*left out`));
});

Deno.test("replay and learning need the auditor's permission; a bound operator sees its tenant only", async () => {
  await using on = await embeddedGateway([], POLICY);
  await ask(on, "fetch");
  const iam = createClient(IamService, on.channel);
  const operator = async (name: string, role: string, orgId = "") => {
    const made = await iam.createOperator({ name, role, orgId }, { metadata: on.operator });
    return new Metadata().set("authorization", `Bearer ${made.token}`);
  };
  const client = createClient(ReplayService, on.channel);
  const viewer = await operator("eve", "viewer");
  const request = { proposed: texts(STRICT) };
  const read = async (metadata: Metadata) => {
    let facts = -1n;
    for await (const { event } of client.replay(request, { metadata })) {
      if (event.case === "summary") facts = event.value.facts;
    }
    return facts;
  };
  assert.equal((await refusalOf(read(viewer))).code, Code.PERMISSION_DENIED);
  assert.equal((await refusalOf(read(new Metadata()))).code, Code.UNAUTHENTICATED);
  assert.equal(
    (await refusalOf(client.learn({}, { metadata: viewer }))).code,
    Code.PERMISSION_DENIED,
  );
  assert.equal(await read(await operator("amy", "auditor")), 1n);
  assert.equal(await read(await operator("bob", "auditor", "other-org")), 0n);
});

Deno.test("a proposed policy with a mistake is refused with its line, and so is an empty window", async () => {
  await using on = await embeddedGateway([], POLICY);
  const bad = await refusalOf(replay(on, "tools:\n  a: { alow: true }\n"));
  assert.equal(bad.code, Code.INVALID_ARGUMENT);
  assert.match(bad.message, /proposed\.yaml:2:8: tools\.a\.alow/);
  const window = await refusalOf(replay(on, STRICT, { sinceUnixMs: 9n, untilUnixMs: 5n }));
  assert.match(window.message, /since_unix_ms/);
});

Deno.test("without facts a replay says so, and status shows it", async () => {
  await using on = await embeddedGateway(["--no-facts"], POLICY);
  await ask(on, "fetch");
  const refusal = await refusalOf(replay(on, STRICT));
  assert.equal(refusal.code, Code.FAILED_PRECONDITION);
  const client = createClient(ReplayService, on.channel);
  const status = await client.getFactsStatus({}, { metadata: on.operator });
  assert.equal(status.state, "off");
});

Deno.test("a simulation explains one action under a proposed policy and leaves no trace", async () => {
  await using on = await embeddedGateway([], POLICY);
  const client = createClient(ReplayService, on.channel);
  const before = on.gateway.audit.status().entries;
  const options = { metadata: on.operator };
  const request = question("fetch");
  const now = await client.simulate({ request }, options);
  assert.deepEqual([now.outcome, now.state], ["allow", "live"]);
  const then = await client.simulate({ request, proposed: texts(STRICT) }, options);
  assert.deepEqual([then.outcome, then.state], ["deny", "fresh"]);
  assert.equal(then.explanation?.rule?.path, "tools.*.allow");
  assert.equal(on.gateway.audit.status().entries, before);
  const agent = await registerAgent(on.channel);
  const known = await client.simulate({ request: question("bash", "{}", agent.did) }, options);
  assert.equal(known.reason, "tool denied by policy");
});

Deno.test("what was learned from the gateway's own record loads and covers it", async () => {
  await using on = await embeddedGateway([], POLICY);
  for (const tool of ["search", "fetch", "search", "bash"]) await ask(on, tool);
  const client = createClient(ReplayService, on.channel);
  const learned = await client.learn({}, { metadata: on.operator });
  assert.deepEqual([learned.facts, learned.covered], [4n, 3n]);
  assert.match(learned.yaml, /"search": # 2×/);
  assert.deepEqual(learned.leftOut.map(({ what }) => what), ["tool bash"]);
  // Under it, everything that was allowed still is, and nothing else.
  const told = await replay(on, learned.yaml);
  assert.equal(told.summary.flipped, 0n);
});
