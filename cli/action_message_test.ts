import assert from "node:assert/strict";
import { actionFromWire } from "../proto/mapping.ts";
import { actionMessage } from "./action_message.ts";
import { CommandError, ExitCode } from "./exit_code.ts";

function urlOf(target: string): string {
  const { context } = actionMessage({ kind: "net", target }, new Uint8Array());
  const mapped = actionFromWire(context);
  assert(mapped.ok && mapped.action.kind === "network_request");
  return mapped.action.url;
}

Deno.test("a host alone is https on 443; a URL brings its scheme's port or its own", () => {
  assert.equal(urlOf("example.com"), "https://example.com:443");
  assert.equal(urlOf("example.com:8443"), "https://example.com:8443");
  assert.equal(urlOf("https://example.com/a/b?c"), "https://example.com:443");
  assert.equal(urlOf("http://example.com"), "http://example.com:80");
  assert.equal(urlOf("http://example.com:81/x"), "http://example.com:81");
  assert.equal(urlOf("::1"), "https://[::1]:443");
  assert.equal(urlOf("[::1]:9"), "https://[::1]:9");
  assert.equal(urlOf("postgres://db:5432/x"), "postgres://db:5432");
});

Deno.test("a hostile host is passed on as typed, for the decision to judge", () => {
  assert.equal(
    urlOf("https://good.example@evil.example/"),
    "https://good.example%40evil.example:443",
  );
  assert.equal(urlOf("https://evil.example?x=good.example"), "https://evil.example:443");
});

Deno.test("a scheme without a well-known port asks for one", () => {
  assert.throws(
    () => urlOf("redis://cache"),
    (error: unknown) =>
      error instanceof CommandError && error.exit_code === ExitCode.USAGE &&
      /cannot tell the port of `redis:\/\/cache`/.test(error.message),
  );
});

Deno.test("every kind of action carries the label the reference gives it", () => {
  const types = [
    actionMessage({ kind: "llm", model: "m", prompt_tokens: 3 }, new Uint8Array()),
    actionMessage({ kind: "tool", name: "t", args: "{}" }, new Uint8Array()),
    actionMessage({ kind: "file", operation: "create", path: "/x" }, new Uint8Array()),
    actionMessage({ kind: "net", target: "h" }, new Uint8Array()),
    actionMessage({ kind: "exec", argv: ["ls", "-l"] }, new Uint8Array()),
    actionMessage(
      { kind: "result", tool: "t", content: { from: "text", text: "x" } },
      new TextEncoder().encode("x"),
    ),
  ];
  assert.deepEqual(types.map((message) => Number(message.type)), [1, 2, 3, 4, 5, 7]);
  const actions = types.map((message) => {
    const mapped = actionFromWire(message.context);
    return mapped.ok ? mapped.action : undefined;
  });
  assert.deepEqual(actions, [
    {
      kind: "tool_call",
      tool: "llm_call",
      args: '{"model":"m","prompt_tokens":3,"contains_pii":false}',
      llm: { model: "m", prompt_tokens: 3 },
    },
    { kind: "tool_call", tool: "t", args: "{}" },
    { kind: "file_access", path: "/x", mode: "write" },
    { kind: "network_request", url: "https://h:443", method: "CONNECT" },
    { kind: "process_exec", command: "ls -l" },
    { kind: "tool_result", tool: "t", result: "x" },
  ]);
});
