import assert from "node:assert/strict";
import { createPrivateKey, sign } from "node:crypto";
import fc from "fast-check";
import {
  formatVerifierKey,
  keyId,
  NoteError,
  openNote,
  parseNote,
  parseTreeHead,
  parseVerifierKey,
  rawPublicKey,
  signTreeHead,
} from "./checkpoint.ts";
import { sampleSigner } from "./_sample_log.ts";

// The key pair and note of the tests of Go's golang.org/x/mod/sumdb/note.
const PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const PETER_SEED = "YEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const PETER_TEXT = "If you think cryptography is the answer to your problem,\n" +
  "then you don't know what your problem is.\n";
const PETER_NOTE = `${PETER_TEXT}\n\u2014 PeterNeumann ` +
  "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

function peterKey() {
  const seed = Uint8Array.fromBase64(`A${PETER_SEED}`).subarray(1);
  const pkcs8 = Uint8Array.of(...Uint8Array.fromHex("302e020100300506032b657004220420"), ...seed);
  return createPrivateKey(
    `-----BEGIN PRIVATE KEY-----\n${pkcs8.toBase64()}\n-----END PRIVATE KEY-----\n`,
  );
}

Deno.test("a note signed by Go's note package opens with its key", () => {
  assert.equal(openNote(PETER_NOTE, parseVerifierKey(PETER)), PETER_TEXT);
});

Deno.test("a verifier key reads and writes as Go's note package does", () => {
  const verifier = parseVerifierKey(PETER);
  assert.equal(formatVerifierKey(verifier), PETER);
  assert.equal(keyId(verifier.name, verifier.public_key).toHex(), "c74f20a3");
});

Deno.test("our signature over Go's note text is the same signature", () => {
  const key = peterKey();
  assert.equal(
    formatVerifierKey({ name: "PeterNeumann", public_key: rawPublicKey(key) }),
    PETER,
  );
  const signature = sign(null, new TextEncoder().encode(PETER_TEXT), key);
  const line = Uint8Array.of(0xc7, 0x4f, 0x20, 0xa3, ...signature).toBase64();
  assert.ok(PETER_NOTE.endsWith(`\u2014 PeterNeumann ${line}\n`));
});

Deno.test("a signed tree head opens with its key and states what was signed", () => {
  const { signer, verifier_key } = sampleSigner();
  const head = { origin: signer.name, size: 20_852_163, root: new Uint8Array(32).fill(9) };
  const note = signTreeHead(head, signer);
  assert.deepEqual(parseTreeHead(openNote(note, parseVerifierKey(verifier_key))), head);
  assert.match(
    note,
    /^example\.test\/log\n20852163\nCQkJ.{40}\n\n\u2014 example\.test\/log \S+\n$/,
  );
});

Deno.test("a note does not open when one character of it is changed", () => {
  const { signer, verifier_key } = sampleSigner();
  const verifier = parseVerifierKey(verifier_key);
  const note = signTreeHead({ origin: signer.name, size: 5, root: new Uint8Array(32) }, signer);
  fc.assert(fc.property(fc.nat(note.length - 1), fc.constantFrom("A", "b", "1", "\n"), (at, c) => {
    const changed = note.slice(0, at) + c + note.slice(at + 1);
    if (changed !== note) assert.throws(() => openNote(changed, verifier), NoteError);
  }));
});

Deno.test("signatures of unknown keys are ignored, but one of the known key must verify", () => {
  const { signer, verifier_key } = sampleSigner();
  const stranger = sampleSigner(8, "witness.test/w").signer;
  const same_name = sampleSigner(9).signer;
  const verifier = parseVerifierKey(verifier_key);
  const head = { origin: signer.name, size: 1, root: new Uint8Array(32) };
  const note = signTreeHead(head, signer);
  const others = [stranger, same_name].map((s) => signTreeHead(head, s).split("\n\n")[1]).join("");
  assert.equal(parseNote(note + others).signatures.length, 3);
  assert.doesNotThrow(() => openNote(note + others, verifier));
  const without = `${note.split("\n\n")[0]}\n\n${others}`;
  assert.throws(() => openNote(without, verifier), /not signed by key/);
});

Deno.test("malformed notes, keys and tree heads are refused", () => {
  const { verifier_key } = sampleSigner();
  for (
    const note of [
      "",
      "a\n",
      "a\n\n",
      "a\n\nb\n",
      `a\n\n\u2014 k AAAA`,
      `a\tb\n\n\u2014 k AAAAAAAA\n`,
    ]
  ) {
    assert.throws(() => parseNote(note), NoteError, JSON.stringify(note));
  }
  const [name, id, key] = verifier_key.split("+");
  for (
    const bad of ["", `${name}+${id}`, `${name}+00000000+${key}`, `other+${id}+${key}`, "a+b+c"]
  ) {
    assert.throws(() => parseVerifierKey(bad), NoteError, bad);
  }
  const root = new Uint8Array(32).toBase64();
  for (
    const text of [
      `\n1\n${root}\n`,
      `o\n01\n${root}\n`,
      `o\n-1\n${root}\n`,
      `o\n1\n${root.slice(0, -1)}\n`,
      `o\n1\n${root}`,
      `o\n9007199254740993\n${root}\n`,
      `o\n1\n${root}\n\nx\n`,
    ]
  ) assert.throws(() => parseTreeHead(text), NoteError, text);
  assert.equal(parseTreeHead(`o\n1\n${root}\nextension\n`).size, 1);
});
