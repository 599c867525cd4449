import assert from "node:assert/strict";
import { base58 } from "@scure/base";
import { ed25519 } from "@noble/curves/ed25519";
import fc from "fast-check";
import { DID_KEY_CHARS_MAX, didKeyOf, ed25519KeyOf, parseDidKey } from "./did_key.ts";

const PUBLIC_KEY = "d327c61cc7d0e729494bcb1fb449722396c2797086921c891cf92520fd2a5a38";
const DID = "did:key:z6MktfXFDYdA3oLQfv83Be27EQtgD9BHC5u5fZNZS61ewTPM";

Deno.test("the contract's key pair for `agent-1` gives the contract's did:key", async () => {
  const seed = new Uint8Array(
    await crypto.subtle.digest("SHA-256", new TextEncoder().encode("agent-1")),
  );
  assert.equal(
    seed.toHex(),
    "6ff3b3bd11c44cac620c43d5b65377bd2ba7e8951c1e835ae40c96733730982b",
  );
  assert.equal(ed25519.getPublicKey(seed).toHex(), PUBLIC_KEY);
  assert.equal(didKeyOf(Uint8Array.fromHex(PUBLIC_KEY)), DID);
  const parsed = parseDidKey(DID);
  assert.ok(parsed.ok);
  assert.equal(ed25519KeyOf(parsed.bytes)?.toHex(), PUBLIC_KEY);
});

Deno.test("every key survives the way into a did:key and back", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
      const text = didKeyOf(key);
      assert.ok(text.startsWith("did:key:z6Mk"));
      const parsed = parseDidKey(text);
      assert.ok(parsed.ok);
      assert.deepEqual(ed25519KeyOf(parsed.bytes), key);
    }),
  );
});

Deno.test("text that is no did:key is refused with the part that is wrong", () => {
  const cases: [string, RegExp][] = [
    ["", /empty/],
    ["agent-1", /does not start with `did:key:`/],
    ["DID:KEY:z6Mk", /does not start with `did:key:`/],
    ["did:key:", /multibase/],
    ["did:key:u6MkA", /multibase/],
    ["did:key:z", /holds no key/],
    ["did:key:z0OIl", /base58btc/],
    [`${DID} `, /base58btc/],
    [`did:key:z${"1".repeat(DID_KEY_CHARS_MAX)}`, /longer/],
  ];
  for (const [text, message] of cases) {
    const parsed = parseDidKey(text);
    assert.ok(!parsed.ok, text);
    assert.match(parsed.message, message, text);
  }
});

Deno.test("a did:key of another key kind or length has no Ed25519 key", () => {
  const key = Uint8Array.fromHex(PUBLIC_KEY);
  for (
    const bytes of [
      Uint8Array.of(0xe7, 0x01, ...key), // secp256k1-pub
      Uint8Array.of(0xed, 0x02, ...key),
      Uint8Array.of(0xed, 0x01, ...key.slice(1)),
      Uint8Array.of(0xed, 0x01, ...key, 0),
      Uint8Array.of(0xed),
    ]
  ) {
    const parsed = parseDidKey(`did:key:z${base58.encode(bytes)}`);
    assert.ok(parsed.ok);
    assert.equal(ed25519KeyOf(parsed.bytes), undefined);
  }
});

Deno.test("one key has one did:key: two texts that differ never give the same bytes", () => {
  const parsed = parseDidKey(`did:key:z1${DID.slice("did:key:z".length)}`);
  assert.ok(parsed.ok);
  assert.equal(ed25519KeyOf(parsed.bytes), undefined);
});

Deno.test("hostile text never throws", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    for (const candidate of [text, `did:key:z${text}`]) {
      const parsed = parseDidKey(candidate);
      if (parsed.ok) assert.ok(parsed.bytes.length > 0);
    }
  }));
});
