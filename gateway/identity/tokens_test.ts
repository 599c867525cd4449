import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import {
  hashesEqual,
  newCredentialToken,
  newOperatorToken,
  OPERATOR_TOKEN_PREFIX,
  TOKEN_CHARS_MAX,
  tokenHash,
  tokenMatches,
} from "./tokens.ts";

Deno.test("a credential token is a random UUID v4 in lower case", () => {
  const token = newCredentialToken();
  assert.match(token, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.notEqual(token, newCredentialToken());
});

Deno.test("an operator token carries 256 random bits behind a recognisable prefix", () => {
  const token = newOperatorToken();
  assert.ok(token.startsWith(OPERATOR_TOKEN_PREFIX));
  const secret = Uint8Array.fromBase64(token.slice(OPERATOR_TOKEN_PREFIX.length), {
    alphabet: "base64url",
  });
  assert.equal(secret.length, 32);
  assert.notEqual(token, newOperatorToken());
});

Deno.test("a token matches its own hash and no other", () => {
  const token = newCredentialToken();
  assert.equal(tokenHash(token), createHash("sha256").update(token).digest("hex"));
  assert.equal(tokenMatches(token, tokenHash(token)), true);
  assert.equal(tokenMatches(token.toUpperCase(), tokenHash(token)), false);
  assert.equal(tokenMatches(`${token} `, tokenHash(token)), false);
  assert.equal(tokenMatches(newCredentialToken(), tokenHash(token)), false);
});

Deno.test("empty and overlong tokens match nothing, whatever the hash", () => {
  const overlong = "x".repeat(TOKEN_CHARS_MAX + 1);
  assert.equal(tokenMatches("", tokenHash("")), false);
  assert.equal(tokenMatches(overlong, tokenHash(overlong)), false);
  assert.equal(tokenMatches("x", ""), false);
});

Deno.test("hashes that differ in any one digit are unequal", () => {
  const hash = tokenHash("x");
  for (let index = 0; index < hash.length; index++) {
    const digit = hash[index] === "0" ? "1" : "0";
    assert.equal(hashesEqual(hash, hash.slice(0, index) + digit + hash.slice(index + 1)), false);
  }
  assert.equal(hashesEqual(hash, hash), true);
});
