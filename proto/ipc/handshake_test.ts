import assert from "node:assert/strict";
import { ed25519, ED25519_TORSION_SUBGROUP } from "@noble/curves/ed25519";
import { HandshakeKeys, publicIdKey, seededKey, signProof, verifyProof } from "./mod.ts";

const NONCE = Uint8Array.from({ length: 32 }, (_, index) => index);
const VERSION = "0.0.1-rc.6";

Deno.test("the contract's check values: seed, public key, DID and signature of `agent-1`", () => {
  const key = publicIdKey("agent-1");
  assert.equal(
    Uint8Array.from(key.seed).toHex(),
    "6ff3b3bd11c44cac620c43d5b65377bd2ba7e8951c1e835ae40c96733730982b",
  );
  const proof = signProof(key, NONCE, VERSION);
  assert.equal(
    proof.publicKey,
    "d327c61cc7d0e729494bcb1fb449722396c2797086921c891cf92520fd2a5a38",
  );
  assert.equal(proof.agentDid, "did:key:z6MktfXFDYdA3oLQfv83Be27EQtgD9BHC5u5fZNZS61ewTPM");
  assert.equal(
    proof.signature.toHex(),
    "fc510fd678f6a6f3ab058f4143779ee5269724a8faefe2f2b6110189a069c592" +
      "7cbecb3492df6d150a15ca6cb140fd94c9d1c657dcd1a02e2107b459ecc1de0c",
  );
  assert.ok(verifyProof(proof, NONCE, key.public_key));
});

Deno.test("an empty version signs the nonce alone", () => {
  const key = publicIdKey("agent-1");
  const proof = signProof(key, NONCE, "");
  assert.deepEqual(proof.signature, ed25519.sign(NONCE, key.seed));
  assert.ok(verifyProof(proof, NONCE, key.public_key));
});

Deno.test("a proof holds for one nonce, one version and one key only", () => {
  const key = publicIdKey("agent-1");
  const other = publicIdKey("agent-2");
  const proof = () => signProof(key, NONCE, VERSION);
  const verify = (changed: Partial<ReturnType<typeof proof>>, nonce = NONCE) =>
    verifyProof({ ...proof(), ...changed }, nonce, key.public_key);
  assert.ok(verify({}));
  assert.ok(verify({ agentDid: "did:key:zAnything" }), "the DID is not looked at");
  assert.ok(!verify({}, NONCE.toReversed()), "another nonce");
  assert.ok(!verify({ sdkVersion: "0.0.1-rc.7" }), "another version");
  assert.ok(!verify({ sdkVersion: "" }), "no version");
  assert.ok(!verify({ publicKey: proof().publicKey.toUpperCase() }), "the text must be equal");
  assert.ok(!verify({ publicKey: "" }));
  assert.ok(!verify({ signature: new Uint8Array(0) }));
  assert.ok(!verify({ signature: proof().signature.slice(0, 63) }));
  assert.ok(!verifyProof(proof(), NONCE, other.public_key), "another key");
});

Deno.test("the end of the nonce cannot become the beginning of the version", () => {
  const key = publicIdKey("agent-1");
  const proof = signProof(key, NONCE.subarray(0, 31), `\x1f${VERSION}`);
  assert.equal(proof.signature.length, 64);
  assert.ok(!verifyProof({ ...proof, sdkVersion: VERSION }, NONCE.toReversed(), key.public_key));
});

Deno.test("a key of small order proves nothing, though a lenient verifier would take it", () => {
  const weak = Uint8Array.fromHex(ED25519_TORSION_SUBGROUP[1] ?? "");
  const proof = {
    ...signProof(publicIdKey("agent-1"), NONCE, VERSION),
    publicKey: weak.toHex(),
    signature: Uint8Array.of(...weak, ...new Uint8Array(32)),
  };
  assert.ok(!verifyProof(proof, NONCE, weak));
});

Deno.test("an installed key is told from the one that anyone can make", () => {
  const installed = seededKey(new Uint8Array(32).fill(9));
  const keys = new HandshakeKeys<"public_id" | "installed">([
    [installed.public_key, "installed"],
    [publicIdKey("agent-1").public_key, "public_id"],
  ]);
  assert.equal(keys.verify(signProof(installed, NONCE, VERSION), NONCE), "installed");
  assert.equal(keys.verify(signProof(publicIdKey("agent-1"), NONCE, VERSION), NONCE), "public_id");
  assert.equal(keys.verify(signProof(publicIdKey("agent-2"), NONCE, VERSION), NONCE), undefined);
  const forged = {
    ...signProof(publicIdKey("agent-1"), NONCE, VERSION),
    publicKey: signProof(installed, NONCE, VERSION).publicKey,
  };
  assert.equal(
    keys.verify(forged, NONCE),
    undefined,
    "the installed key's name without its secret",
  );
});
