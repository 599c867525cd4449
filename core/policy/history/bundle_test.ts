import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { type NoteVerifier, rawPublicKey, signNote } from "../../audit/checkpoint.ts";
import { checkBundle, signBundle } from "./bundle.ts";
import { digestOfTexts, nameProblem, type PolicyText } from "./policy_set.ts";

function signer(
  name: string,
): { readonly sign: (text: string) => string; readonly verifier: NoteVerifier } {
  const { privateKey } = generateKeyPairSync("ed25519");
  return {
    sign: (text) => signNote(text, { name, private_key: privateKey }),
    verifier: { name, public_key: rawPublicKey(privateKey) },
  };
}

const bytes = (text: string) => new TextEncoder().encode(text);
const TEXTS: readonly PolicyText[] = [
  { name: "a.yaml", content: bytes("tools: { bash: { allow: false } }\n") },
  { name: "b.yaml", content: bytes("scope: team:t1\n") },
];
const MANIFEST = {
  version: 3,
  parent: `sha256:${"a".repeat(64)}`,
  mode: "directory",
  created_at_ms: 1_700_000_000_000,
} as const;
const OURS = signer("example.com/ours");

Deno.test("a bundle gives back exactly what was signed, and who signed it", () => {
  const check = checkBundle(signBundle(MANIFEST, TEXTS, OURS.sign), [OURS.verifier]);
  assert.ok(check.ok);
  assert.deepEqual(check.bundle, {
    ...MANIFEST,
    digest: digestOfTexts("directory", TEXTS),
    signer: OURS.verifier,
    texts: TEXTS.map(({ name, content }) => ({ name, content: new Uint8Array(content) })),
  });
});

Deno.test("an unknown signer, another key of a known name, and changed files are told apart", () => {
  const because = (text: string, trusted: readonly NoteVerifier[]) => {
    const check = checkBundle(text, trusted);
    return check.ok ? "ok" : check.because;
  };
  const text = signBundle(MANIFEST, TEXTS, OURS.sign);
  assert.equal(because(text, []), "unknown_signer");
  assert.equal(because(text, [signer("example.com/theirs").verifier]), "unknown_signer");
  assert.equal(because(text, [signer("example.com/ours").verifier]), "unknown_signer");
  const other = Uint8Array.from(bytes("tools: { bash: { allow: true } }\n")).toBase64();
  const changed = text.replace(TEXTS[0]?.content.toBase64() ?? "", other);
  assert.equal(because(changed, [OURS.verifier]), "content_mismatch");
  assert.equal(because(text.replace("version 3", "version 9"), [OURS.verifier]), "bad_signature");
  assert.equal(because(text.replaceAll('"a.yaml"', '"../a.yaml"'), [OURS.verifier]), "malformed");
  assert.equal(because("{}", [OURS.verifier]), "malformed");
  assert.equal(because("x".repeat(4 << 20), [OURS.verifier]), "malformed");
});

Deno.test("no single changed character leaves a bundle valid with another content", () => {
  const text = signBundle(MANIFEST, TEXTS, OURS.sign);
  const good = checkBundle(text, [OURS.verifier]);
  assert.ok(good.ok);
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.constantFrom("0", "A", "z", " ", '"'), (at, put) => {
      const check = checkBundle(text.slice(0, at) + put + text.slice(at + 1), [OURS.verifier]);
      if (check.ok) assert.deepEqual(check.bundle, good.bundle);
    }),
    { numRuns: 400 },
  );
});

Deno.test("a name that leaves the directory, hides or is no policy is refused", () => {
  for (
    const name of [
      "../a.yaml",
      "a/b.yaml",
      ".a.yaml",
      "a.yml",
      "a.test.yaml",
      "a b.yaml",
      "a\u0000.yaml",
      `${"a".repeat(200)}.yaml`,
      "",
    ]
  ) assert.notEqual(nameProblem(name), undefined, name);
  assert.equal(nameProblem("20-team_x.v1.yaml"), undefined);
});

Deno.test("two sets have one digest only when every byte, name and the mode agree", () => {
  const digest = (texts: readonly PolicyText[], mode: "directory" | "single_file" = "directory") =>
    digestOfTexts(mode, texts);
  assert.equal(digest(TEXTS), digest(TEXTS.toReversed()));
  const [a, b] = TEXTS;
  assert.ok(a && b);
  const different = [
    digest([a]),
    digest([a, { ...b, name: "c.yaml" }]),
    digest([{ name: a.name, content: b.content }, { name: b.name, content: a.content }]),
    digest(TEXTS, "single_file"),
    digest([]),
  ];
  assert.equal(new Set([digest(TEXTS), ...different]).size, different.length + 1);
});
