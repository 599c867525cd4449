/** Conformance group N: network (contract `policy-and-gateway` §14). */
import assert from "node:assert/strict";
import { ask, directory, request } from "./policy_fixture.ts";
import { ssrfVerdict } from "./ssrf.ts";

const DENIED = "deny: host not in network allowlist";
const OPENAI = directory("network: { allowlist: [api.openai.com] }");
const BELOW_OPENAI = directory('network: { allowlist: ["*.openai.com"] }');

Deno.test("N1: a host off the list is denied", () => {
  assert.equal(ask(OPENAI, request("https://evil.example.com/")), DENIED);
});

Deno.test("N2: a listed host is allowed", () => {
  assert.equal(ask(OPENAI, request("https://api.openai.com/v1")), "allow");
});

Deno.test("N3: the port does not count", () => {
  assert.equal(ask(OPENAI, request("https://api.openai.com:443")), "allow");
});

Deno.test("N4: a port does not hide a foreign host", () => {
  assert.equal(ask(OPENAI, request("https://evil.com:443")), DENIED);
});

Deno.test("N5: an empty list denies every host", () => {
  const policies = ["network: {}", "network: { allowlist: [] }"].map((text) => directory(text));
  for (const policy of policies) {
    assert.equal(ask(policy, request("https://api.openai.com/")), DENIED);
    assert.equal(ask(policy, request("no host at all")), DENIED);
  }
});

Deno.test("N6: without a network section any host is allowed", () => {
  assert.equal(ask(directory("{}"), request("https://anything.example/")), "allow");
});

Deno.test("N7: a wildcard matches at any depth", () => {
  assert.equal(ask(BELOW_OPENAI, request("https://a.b.openai.com/")), "allow");
});

Deno.test("N8: a wildcard excludes the domain itself", () => {
  assert.equal(ask(BELOW_OPENAI, request("https://openai.com/")), DENIED);
});

Deno.test("N9: a wildcard respects label boundaries", () => {
  assert.equal(ask(BELOW_OPENAI, request("https://notopenai.com/")), DENIED);
});

Deno.test("N10: case does not count, in the list or in the URL", () => {
  const policy = directory("network: { allowlist: [API.OpenAI.com] }");
  assert.equal(ask(policy, request("https://api.openai.com/")), "allow");
  assert.equal(ask(OPENAI, request("HTTPS://API.OPENAI.COM/")), "allow");
});

Deno.test("N11: `*` matches any host", () => {
  const policy = directory('network: { allowlist: ["*"] }');
  for (const url of ["https://a.example/", "tcp://10.0.0.1:5432", "https://[::1]/", "no-scheme"]) {
    assert.equal(ask(policy, request(url)), "allow");
  }
});

Deno.test("N12: a query cannot make a foreign host look listed", () => {
  assert.equal(ask(BELOW_OPENAI, request("https://evil.com?x=.openai.com")), DENIED);
});

Deno.test("N13: addresses inside are blocked by the request-forgery guard", () => {
  const inside = ["169.254.169.254", "::ffff:127.0.0.1", "100.64.0.1", "0.1.2.3", "fe80::1"];
  for (const address of inside) assert.equal(ssrfVerdict(address), "blocked", address);
});

Deno.test("N14: a public address passes the guard, a name is unknown until resolved", () => {
  assert.equal(ssrfVerdict("8.8.8.8"), "public");
  assert.equal(ssrfVerdict("example.com"), "unknown");
});
