import assert from "node:assert/strict";
import { splitAlternativeNames } from "./peer_certificate.ts";

Deno.test("alternative names are split with their kinds", () => {
  assert.deepEqual(splitAlternativeNames(""), []);
  assert.deepEqual(splitAlternativeNames("DNS:a.b, IP Address:127.0.0.1, URI:spiffe://h/a"), [
    "DNS:a.b",
    "IP Address:127.0.0.1",
    "URI:spiffe://h/a",
  ]);
});

Deno.test("a name with a comma inside cannot pass for two names", () => {
  assert.deepEqual(splitAlternativeNames('DNS:"evil.example, DNS:agent-1", DNS:b'), [
    "DNS:evil.example, DNS:agent-1",
    "DNS:b",
  ]);
  assert.deepEqual(splitAlternativeNames('URI:"a\\"b"'), ['URI:a"b']);
  assert.deepEqual(splitAlternativeNames('DNS:a"b, DNS:c'), []);
  assert.deepEqual(splitAlternativeNames("no kind"), []);
});
