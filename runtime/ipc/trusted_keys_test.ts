import assert from "node:assert/strict";
import { didKeyOf } from "../../core/identity/did_key.ts";
import { publicIdKey, seededKey, signProof } from "../../proto/ipc/mod.ts";
import { handshakeKeys, parseTrustedKey, parseTrustedKeyFile } from "./trusted_keys.ts";

const KEY = seededKey(new Uint8Array(32).fill(5));
const HEX = Uint8Array.from(KEY.public_key).toHex();
const NONCE = new Uint8Array(32);

Deno.test("a trusted key is read from hexadecimal digits and from a did:key", () => {
  for (const text of [HEX, HEX.toUpperCase(), didKeyOf(KEY.public_key)]) {
    const parsed = parseTrustedKey(text);
    assert.ok(parsed.ok && Uint8Array.from(parsed.public_key).toHex() === HEX, text);
  }
  for (const text of ["", "ab", "did:key:z6Mk", "did:web:example", `${HEX}00`, "ff".repeat(32)]) {
    assert.equal(parseTrustedKey(text).ok, false, text);
  }
});

Deno.test("a file of trusted keys may hold comments; a line that is no key is named", () => {
  const keys = parseTrustedKeyFile(`# agents\n${HEX}\n\n  ${didKeyOf(KEY.public_key)} # same\n`);
  assert.equal(keys.length, 2);
  assert.throws(() => parseTrustedKeyFile(`${HEX}\nnonsense`), /line 2 is neither/);
});

Deno.test("trap R16: each mode takes exactly the keys it names", () => {
  const shared = publicIdKey("agent-1");
  const verdicts = (mode: "public_id" | "installed" | "either") => {
    const keys = handshakeKeys(mode, "agent-1", [KEY.public_key]);
    return [shared, KEY].map((key) => keys.verify(signProof(key, NONCE, "1"), NONCE));
  };
  assert.deepEqual(verdicts("public_id"), ["public_id", undefined]);
  assert.deepEqual(verdicts("installed"), [undefined, "installed"]);
  assert.deepEqual(verdicts("either"), ["public_id", "installed"]);
});

Deno.test("the key that anyone can make never counts as installed", () => {
  const shared = publicIdKey("agent-1");
  const proof = signProof(shared, NONCE, "1");
  assert.equal(
    handshakeKeys("either", "agent-1", [shared.public_key]).verify(proof, NONCE),
    "public_id",
  );
  assert.equal(
    handshakeKeys("installed", "agent-1", [shared.public_key]).verify(proof, NONCE),
    undefined,
  );
});
