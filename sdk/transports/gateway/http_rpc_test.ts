import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import { Decision } from "@agent-assembly/proto/common";
import { CheckActionResponseSchema } from "@agent-assembly/proto/policy";
import { AssemblyError, RegistrationError } from "../../errors.ts";
import { governWith } from "../../govern_with.ts";
import { TRANSPORT_LIMITS } from "../limits.ts";
import { GatewayClient } from "./gateway_client.ts";
import { HttpRpc } from "./http_rpc.ts";

const ALLOW = toBinary(
  CheckActionResponseSchema,
  create(CheckActionResponseSchema, { decision: Decision.ALLOW }),
).slice();
const PROTO = { "content-type": "application/proto" };

/** What an act meets when the web server behaves like this. */
async function met(
  handler: (request: Request) => Response | Promise<Response>,
  answer_timeout_ms = 5_000,
  fail_closed = true,
): Promise<{ readonly happened: boolean; readonly error: unknown }> {
  const abort = new AbortController();
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    signal: abort.signal,
    onListen: () => {},
    onError: () => new Response(null, { status: 500 }),
  }, handler);
  const rpc = new HttpRpc({ url: `http://127.0.0.1:${server.addr.port}` });
  const who = { org_id: "", team_id: "", agent_id: "test" };
  const client = new GatewayClient({ rpc, agent: who, token: "the-token" });
  const agent = governWith({ agent: who, client, answer_timeout_ms, fail_closed });
  let happened = false;
  try {
    await agent.callTool("a", {}, () => happened = true, { result: "unchecked" });
    return { happened, error: undefined };
  } catch (error) {
    return { happened, error };
  } finally {
    await agent.shutdown();
    abort.abort();
    await server.finished;
  }
}

Deno.test("a web server that answers in the protocol is believed", async () => {
  const { happened, error } = await met(async (request) => {
    await request.body?.cancel();
    return new Response(ALLOW, { headers: PROTO });
  });
  assert.equal(error, undefined);
  assert.equal(happened, true);
});

const HOSTILE: readonly [string, (request: Request) => Response | Promise<Response>][] = [
  ["an allow in another content type", () => new Response(ALLOW)],
  ["an allow in JSON", () => Response.json({ decision: "ALLOW" })],
  ["an allow with an error's status", () => new Response(ALLOW, { status: 503, headers: PROTO })],
  ["an allow with status 206", () => new Response(ALLOW, { status: 206, headers: PROTO })],
  ["a redirect to an allow", (request) => {
    const { pathname } = new URL(request.url);
    return pathname === "/allow"
      ? new Response(ALLOW, { headers: PROTO })
      : new Response(null, { status: 307, headers: { location: "/allow" } });
  }],
  ["an empty body", () => new Response(null, { headers: PROTO })],
  ["bytes that are no message", () => new Response(Uint8Array.of(255, 255), { headers: PROTO })],
  ["a decision that nobody knows", () => new Response(Uint8Array.of(8, 99), { headers: PROTO })],
  [
    "an error of the protocol",
    () => Response.json({ code: "permission_denied", message: "no" }, { status: 403 }),
  ],
  ["an error with status 200", () => Response.json({ code: "unavailable" }, { status: 200 })],
  [
    "a page of HTML",
    () => new Response("<h1>hi</h1>", { headers: { "content-type": "text/html" } }),
  ],
  ["more than an answer can be", () => {
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        sent += 1_000_000;
        if (sent > TRANSPORT_LIMITS.http_answer_bytes * 4) controller.close();
        else controller.enqueue(new Uint8Array(1_000_000));
      },
    });
    return new Response(body, { headers: PROTO });
  }],
];

for (const [name, handler] of HOSTILE) {
  Deno.test(`a web server that lies allows nothing: ${name}`, async () => {
    const { happened, error } = await met(handler);
    assert.equal(happened, false);
    assert.ok(error instanceof AssemblyError, String(error));
    assert.ok(!error.message.includes("the-token"));
  });
}

Deno.test("a web server that never answers is given up by name", async () => {
  const { promise, resolve } = Promise.withResolvers<Response>();
  const { happened, error } = await met(() => promise, 100);
  resolve(new Response(null));
  assert.equal(happened, false);
  assert.ok(error instanceof AssemblyError && error.code === "gateway_unavailable");
  assert.match(error.message, /deadline_exceeded/);
});

Deno.test("an agent whose credential is refused does not act, not even where no answer lets it", async () => {
  for (const [status, code] of [[401, "unauthenticated"], [403, "permission_denied"]] as const) {
    const refuse = () => Response.json({ code, message: "revoked" }, { status });
    const { happened, error } = await met(refuse, 5_000, false);
    assert.equal(happened, false, code);
    assert.ok(error instanceof RegistrationError && !error.retryable);
    assert.ok(!error.message.includes("the-token"));
  }
  const away = await met(() => new Response(null, { status: 503 }), 5_000, false);
  assert.equal(away.happened, true);
});
