import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash, createPrivateKey, sign } from "node:crypto";
import { ed25519, ED25519_TORSION_SUBGROUP } from "@noble/curves/ed25519";
import fc from "fast-check";
import { isPublicKey, verifyStrict } from "./ed25519.ts";

const { Point } = ed25519;
const ORDER = Point.Fn.ORDER;
const MESSAGE = new TextEncoder().encode("a registration nonce");
const SEED = new Uint8Array(32).fill(7);
const KEY = ed25519.getPublicKey(SEED);
const SMALL_ORDER = ED25519_TORSION_SUBGROUP.map((hex) => Uint8Array.fromHex(hex));

function scalarBytes(value: bigint): Uint8Array {
  return Uint8Array.fromHex(value.toString(16).padStart(64, "0")).toReversed();
}

function challenge(r: Uint8Array, key: Uint8Array, message: Uint8Array): bigint {
  const digest = createHash("sha512").update(r).update(key).update(message).digest();
  return BigInt(`0x${digest.toReversed().toHex()}`) % ORDER;
}

function secretScalar(): bigint {
  const digest = createHash("sha512").update(SEED).digest().subarray(0, 32);
  digest[0] = (digest[0] ?? 0) & 248;
  digest[31] = ((digest[31] ?? 0) & 127) | 64;
  return BigInt(`0x${digest.toReversed().toHex()}`) % ORDER;
}

Deno.test("the contract's signature for `agent-1` verifies", () => {
  const nonce = Uint8Array.from({ length: 32 }, (_, index) => index);
  const message = Uint8Array.of(...nonce, ...new TextEncoder().encode("0.0.1-rc.6"));
  const signature = Uint8Array.fromHex(
    "fc510fd678f6a6f3ab058f4143779ee5269724a8faefe2f2b6110189a069c592" +
      "7cbecb3492df6d150a15ca6cb140fd94c9d1c657dcd1a02e2107b459ecc1de0c",
  );
  const key = Uint8Array.fromHex(
    "d327c61cc7d0e729494bcb1fb449722396c2797086921c891cf92520fd2a5a38",
  );
  assert.equal(verifyStrict(signature, message, key), true);
  assert.equal(verifyStrict(signature, nonce, key), false);
});

Deno.test("signatures of an independent implementation verify, and no single flipped bit does", () => {
  const pkcs8 = Uint8Array.of(
    ...Uint8Array.fromHex("302e020100300506032b657004220420"),
    ...SEED,
  );
  const secret = createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat({ max: 511 }), (message, bit) => {
      const signature = new Uint8Array(sign(null, message, secret));
      assert.equal(verifyStrict(signature, message, KEY), true);
      const byte = bit >> 3;
      signature[byte] = (signature[byte] ?? 0) ^ (1 << (bit & 7));
      assert.equal(verifyStrict(signature, message, KEY), false);
    }),
    { numRuns: 60 },
  );
});

Deno.test("a public key of small order signs nothing, though a lenient verifier accepts it", () => {
  let accepted_by_lenient = 0;
  for (const key of SMALL_ORDER) {
    for (const r of SMALL_ORDER) {
      const signature = Uint8Array.of(...r, ...new Uint8Array(32));
      if (ed25519.verify(signature, MESSAGE, key)) accepted_by_lenient++;
      assert.equal(verifyStrict(signature, MESSAGE, key), false);
    }
  }
  assert.ok(accepted_by_lenient > 0);
});

Deno.test("a public key of small order signs nothing beside an honest R either", () => {
  for (const key of SMALL_ORDER) {
    let nonce = 1n;
    let r = Point.BASE.toBytes();
    // k·A vanishes for every eighth message or so; then s = r satisfies the plain equation.
    while (challenge(r, key, MESSAGE) % 8n !== 0n) r = Point.BASE.multiply(++nonce).toBytes();
    const signature = Uint8Array.of(...r, ...scalarBytes(nonce));
    assert.equal(verifyStrict(signature, MESSAGE, key), false);
  }
});

Deno.test("an R of small order is refused, though a lenient verifier accepts it", () => {
  for (const r of SMALL_ORDER) {
    const s = challenge(r, KEY, MESSAGE) * secretScalar() % ORDER;
    const signature = Uint8Array.of(...r, ...scalarBytes(s));
    assert.equal(ed25519.verify(signature, MESSAGE, KEY), true);
    assert.equal(verifyStrict(signature, MESSAGE, KEY), false);
  }
});

Deno.test("the equation holds without the cofactor: an R shifted by torsion is refused", () => {
  const torsion = Point.fromBytes(SMALL_ORDER.find((p) => p[0] !== 1) ?? KEY, true);
  assert.ok(!torsion.equals(Point.ZERO));
  const r = Point.BASE.multiply(12_345n).add(torsion).toBytes();
  const s = (12_345n + challenge(r, KEY, MESSAGE) * secretScalar()) % ORDER;
  const signature = Uint8Array.of(...r, ...scalarBytes(s));
  assert.equal(ed25519.verify(signature, MESSAGE, KEY), true);
  assert.equal(verifyStrict(signature, MESSAGE, KEY), false);
});

Deno.test("a signature has one form: s plus the group order is refused", () => {
  const signature = ed25519.sign(MESSAGE, SEED);
  assert.equal(verifyStrict(signature, MESSAGE, KEY), true);
  const s = BigInt(`0x${signature.slice(32).toReversed().toHex()}`);
  const malleated = Uint8Array.of(...signature.slice(0, 32), ...scalarBytes(s + ORDER));
  assert.equal(verifyStrict(malleated, MESSAGE, KEY), false);
});

Deno.test("a key has one encoding: coordinates at or above the field prime are refused", () => {
  const prime = 2n ** 255n - 19n;
  let decodable = 0;
  for (let excess = 0n; excess < 19n; excess++) {
    for (const sign_bit of [0n, 1n << 255n]) {
      const bytes = scalarBytes((prime + excess) | sign_bit);
      try {
        Point.fromBytes(bytes, true);
        decodable++;
      } catch {
        // Not on the curve in any reading.
      }
      assert.equal(isPublicKey(bytes), false);
    }
  }
  assert.ok(decodable > 0);
});

Deno.test("lengths other than the exact ones are refused without an exception", () => {
  const signature = ed25519.sign(MESSAGE, SEED);
  for (const length of [0, 1, 63, 65]) {
    const wrong = new Uint8Array(length);
    wrong.set(signature.subarray(0, Math.min(length, 64)));
    assert.equal(verifyStrict(wrong, MESSAGE, KEY), false);
  }
  for (const length of [0, 31, 33]) {
    assert.equal(verifyStrict(signature, MESSAGE, new Uint8Array(length)), false);
    assert.equal(isPublicKey(new Uint8Array(length)), false);
  }
});

Deno.test("random bytes never verify and never throw", () => {
  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  fc.assert(fc.property(bytes(64), bytes(32), (signature, key) => {
    assert.equal(verifyStrict(signature, MESSAGE, key), false);
  }));
});
