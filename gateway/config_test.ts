import assert from "node:assert/strict";
import { type GatewayConfig, isLoopback, parseArguments } from "./config.ts";

function configOf(...argv: string[]): GatewayConfig {
  const parsed = parseArguments(argv);
  assert.equal(parsed.action, "run", JSON.stringify(parsed));
  return (parsed as { config: GatewayConfig }).config;
}

function refusalOf(...argv: string[]): string {
  const parsed = parseArguments(argv);
  assert.equal(parsed.action, "refuse", JSON.stringify(parsed));
  return (parsed as { message: string }).message;
}

Deno.test("without flags the gateway serves loopback TCP on the balanced policy and says it was defaulted", () => {
  const config = configOf();
  assert.deepEqual(config.listeners, [{ transport: "tcp", hostname: "127.0.0.1", port: 50051 }]);
  assert.deepEqual(config.policy, {
    kind: "path",
    path: "policies/balanced.yaml",
    defaulted: true,
  });
  assert.equal(config.audit_dir, ".aasm/audit");
});

Deno.test("a socket alone opens no TCP port; both flags open both", () => {
  assert.deepEqual(configOf("--socket", "/run/a.sock").listeners, [
    { transport: "unix", path: "/run/a.sock" },
  ]);
  assert.equal(configOf("--socket=/run/a.sock", "--listen=127.0.0.1:0").listeners.length, 2);
});

Deno.test("plaintext on an address others can reach is refused unless TLS or an explicit word is given", () => {
  assert.match(refusalOf("--listen", "0.0.0.0:50051"), /refusing to serve plaintext/);
  assert.match(refusalOf("--listen", "[::]:50051"), /refusing to serve plaintext/);
  const tls = configOf("--listen", "0.0.0.0:50051", "--tls-cert", "c.pem", "--tls-key", "k.pem");
  assert.equal(tls.listeners[0]?.transport, "tls");
  assert.equal(configOf("--listen", "0.0.0.0:1", "--allow-remote-plaintext").listeners.length, 1);
});

Deno.test("the web listener is off by default, and lets exactly the named origins call", () => {
  assert.equal(configOf().web, undefined);
  const flags = ["--web-listen", "127.0.0.1:7391"];
  assert.deepEqual(configOf(...flags).web, {
    ...{ hostname: "127.0.0.1", port: 7391, tls: false, origins: [] },
  });
  const origins = ["https://app.example", "http://127.0.0.1:8080"];
  assert.deepEqual(configOf(...flags, "--web-origin", origins.join(",")).web?.origins, origins);
  for (const wrong of ["*", "https://app.example/", "app.example", "null", "https://a,*", ""]) {
    assert.match(refusalOf(...flags, `--web-origin=${wrong}`), /--web-origin/, wrong);
  }
  const many = Array.from({ length: 65 }, (_, i) => `https://a${i}.example`).join(",");
  assert.match(refusalOf(...flags, "--web-origin", many), /at most 64/);
  assert.match(refusalOf("--web-origin", "https://app.example"), /belongs to `--web-listen`/);
  assert.match(refusalOf("--web-listen", "0.0.0.0:1"), /refusing to serve plaintext/);
  const tls = ["--tls-cert", "c", "--tls-key", "k"];
  assert.equal(configOf("--web-listen", "0.0.0.0:1", ...tls).web?.tls, true);
  assert.match(refusalOf(...flags, ...tls, "--tls-client-ca", "a"), /client certificates/);
});

Deno.test("loopback is recognised by address, not by a name that merely starts like one", () => {
  for (const host of ["127.0.0.1", "127.9.9.9", "::1", "localhost"]) assert.ok(isLoopback(host));
  for (const host of ["127.0.0.1.evil.example", "0.0.0.0", "::", "10.0.0.1"]) {
    assert.ok(!isLoopback(host), host);
  }
});

Deno.test("half a certificate is a usage error, never plaintext", () => {
  for (const flag of ["--tls-cert", "--tls-key", "--tls-client-ca"]) {
    assert.match(refusalOf(flag, "x.pem"), /needs both/);
  }
  assert.match(refusalOf("--socket", "/s", "--tls-cert", "c", "--tls-key", "k"), /--listen/);
});

Deno.test("wrong usage is named with what was received", () => {
  assert.match(refusalOf("--polcy", "x"), /unknown flag `--polcy`/);
  assert.match(refusalOf("extra"), /unexpected argument `extra`/);
  assert.match(refusalOf("--policy"), /needs a value/);
  assert.match(refusalOf("--policy", "a", "--policy", "b"), /given twice/);
  assert.match(refusalOf("--strict-identity=yes"), /takes no value/);
  assert.match(refusalOf("--listen", "nowhere"), /`nowhere`: expected HOST:PORT/);
  assert.match(refusalOf("--listen", "127.0.0.1:70000"), /HOST:PORT/);
  assert.match(refusalOf("--tenancy", "shared"), /`shared`: expected open or tenanted/);
  assert.match(refusalOf("--grace-ms", "-1"), /`-1`: expected 0 to/);
});

Deno.test("no policy at all must be asked for by name", () => {
  assert.deepEqual(configOf("--policy", "none").policy, { kind: "none" });
});

Deno.test("transport workers are none unless asked for, and at most sixteen", () => {
  assert.equal(configOf().transport_workers, 0);
  assert.equal(configOf("--transport-workers", "1").transport_workers, 1);
  assert.match(refusalOf("--transport-workers", "17"), /expected 0 to 16/);
  assert.match(refusalOf("--transport-workers", "-1"), /expected 0 to 16/);
  assert.match(refusalOf("--transport-workers", "1", "--socket", "/s"), /need `--listen`/);
});

Deno.test("a port that any process of the same user may share is refused without TLS or an explicit word", () => {
  const two = ["--transport-workers", "2", "--listen", "127.0.0.1:50051"];
  assert.match(refusalOf(...two), /refusing to share a port without TLS/);
  assert.equal(configOf(...two, "--allow-shared-port").transport_workers, 2);
  const tls = ["--tls-cert", "c.pem", "--tls-key", "k.pem"];
  assert.equal(configOf(...two, ...tls).transport_workers, 2);
  const any_port = ["--transport-workers", "2", "--listen", "127.0.0.1:0", ...tls];
  assert.match(refusalOf(...any_port), /must name one/);
});

Deno.test("only a policy that was named, and is files, can be made writable", () => {
  for (
    const argv of [
      ["--policy-writable"],
      ["--policy", "none", "--policy-writable"],
      ["--policy", "history", "--policy-writable"],
    ]
  ) {
    const parsed = parseArguments(argv);
    assert.ok(parsed.action === "refuse" && /--policy-writable/.test(parsed.message), `${argv}`);
  }
  const parsed = parseArguments(["--policy", "d", "--policy-writable", "--four-eyes-policy"]);
  assert.ok(parsed.action === "run");
  assert.deepEqual(parsed.config.policy, {
    kind: "path",
    path: "d",
    defaulted: false,
    writable: true,
  });
  assert.equal(parsed.config.four_eyes_policy, true);
});

Deno.test("webhooks are https, signed, and hold no user; what they are called stays out of refusals", () => {
  const signed = ["--webhook-secret-file", "s"];
  const config = configOf("--webhook", "https://hooks.example/a", ...signed);
  assert.deepEqual(config.notify, {
    webhook: { url: "https://hooks.example/a", secret_file: "s" },
    allow_private: false,
  });
  assert.match(refusalOf("--webhook", "https://h.example/"), /belong together/);
  assert.match(refusalOf("--webhook", "http://h.example/", ...signed), /must begin with https/);
  assert.match(refusalOf("--slack-webhook", "https://u:p@h.example/"), /no user, password/);
  for (const text of ["SECRET", "ftp://h/SECRET", "https://u@h/SECRET"]) {
    assert.doesNotMatch(refusalOf("--slack-webhook", text), /SECRET/);
  }
  const plain = configOf("--slack-webhook", "http://127.0.0.1:9/", "--allow-private-webhook");
  assert.equal(plain.notify?.slack?.url, "http://127.0.0.1:9/");
});

Deno.test("tokens do not expire unless asked to, and then within bounds", () => {
  assert.equal(configOf().agent_token_ttl_ms, undefined);
  assert.equal(configOf("--agent-token-ttl", "off").agent_token_ttl_ms, undefined);
  assert.equal(configOf("--agent-token-ttl", "12h").agent_token_ttl_ms, 43_200_000);
  assert.equal(configOf("--agent-token-ttl", "365d").agent_token_ttl_ms, 365 * 86_400_000);
  for (const wrong of ["0s", "59s", "366d", "12", "h", "-1h", "1.5h", "12H", "999999999d"]) {
    assert.match(refusalOf("--agent-token-ttl", wrong), /expected off, or 60s to 365d/);
  }
});

Deno.test("who may join, what becomes of orphans and of the silent is said in words", () => {
  const plain = configOf();
  assert.deepEqual(
    [plain.require_enrolment, plain.orphan_mode, plain.stale_agents],
    [false, "suspend", "deny"],
  );
  const said = configOf(
    ...["--require-enrolment", "--orphan-mode", "cascade", "--stale-agents", "allow"],
  );
  assert.deepEqual(
    [said.require_enrolment, said.orphan_mode, said.stale_agents],
    [true, "cascade_deregister", "allow"],
  );
  assert.match(refusalOf("--orphan-mode", "forget"), /expected suspend or promote or cascade/);
  assert.match(refusalOf("--stale-agents", "maybe"), /expected deny or allow/);
});
