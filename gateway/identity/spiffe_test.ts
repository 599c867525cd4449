import assert from "node:assert/strict";
import fc from "fast-check";
import { parseSpiffeId, parseWorkloadId, spiffeIdOfCertificate } from "./spiffe.ts";

Deno.test("well-formed SPIFFE ids come apart into trust domain and path", () => {
  for (
    const [text, trust_domain, path] of [
      ["spiffe://example.org/ns/prod/agent-1", "example.org", "/ns/prod/agent-1"],
      ["spiffe://a", "a", ""],
      ["spiffe://under_score.example/A.b-c_d", "under_score.example", "/A.b-c_d"],
      ["spiffe://example.org/...", "example.org", "/..."],
      [`spiffe://${"a".repeat(255)}/x`, "a".repeat(255), "/x"],
    ] as const
  ) assert.deepEqual(parseSpiffeId(text), { ok: true, trust_domain, path }, text);
});

Deno.test("whatever the specification forbids is refused, not normalised", () => {
  for (
    const text of [
      "",
      "spiffe:",
      "spiffe://",
      "spiffe:///path",
      "SPIFFE://example.org/a",
      "Spiffe://example.org/a",
      "https://example.org/a",
      "spiffe://Example.org/a",
      "spiffe://example.org:443/a",
      "spiffe://user@example.org/a",
      "spiffe://example.org/",
      "spiffe://example.org/a/",
      "spiffe://example.org//a",
      "spiffe://example.org/./a",
      "spiffe://example.org/../a",
      "spiffe://example.org/a/..",
      "spiffe://example.org/a?b",
      "spiffe://example.org/a#b",
      "spiffe://example.org/a%2fb",
      "spiffe://example.org/ä",
      "spiffe://exämple.org/a",
      "spiffe://example.org/a b",
      "spiffe://example.org/a\n",
      " spiffe://example.org/a",
      `spiffe://${"a".repeat(256)}/x`,
      `spiffe://a/${"x".repeat(1_024)}`,
    ]
  ) assert.equal(parseSpiffeId(text).ok, false, text);
});

Deno.test("an id that is accepted is exactly its parts", () => {
  fc.assert(fc.property(
    fc.string({ unit: fc.constantFrom(..."spife:/ab.-_A%?#@ ") }).map((text) => `spiffe://${text}`),
    (text) => {
      const id = parseSpiffeId(text);
      if (id.ok) assert.equal(`spiffe://${id.trust_domain}${id.path}`, text);
    },
  ));
});

Deno.test("a workload's id has a path", () => {
  assert.equal(parseWorkloadId("spiffe://example.org").ok, false);
  assert.equal(parseWorkloadId("spiffe://example.org/a").ok, true);
});

Deno.test("a certificate with several URI names bears no SPIFFE id", () => {
  const id = "spiffe://example.org/a";
  assert.equal(spiffeIdOfCertificate([`URI:${id}`, "DNS:example.org"]), id);
  assert.equal(spiffeIdOfCertificate([`URI:${id}`, "URI:spiffe://example.org/b"]), undefined);
  assert.equal(spiffeIdOfCertificate([`URI:${id}`, "URI:https://example.org"]), undefined);
  assert.equal(spiffeIdOfCertificate([`DNS:${id}`]), undefined);
  assert.equal(spiffeIdOfCertificate(["URI:spiffe://example.org"]), undefined);
  assert.equal(spiffeIdOfCertificate([]), undefined);
});
