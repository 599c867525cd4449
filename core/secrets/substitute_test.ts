import assert from "node:assert/strict";
import fc from "fast-check";
import { SECRET_LIMITS } from "./limits.ts";
import { isSecretName, piecesOf } from "./name.ts";
import { ArgumentsError, fillTemplate, templateOf } from "./substitute.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function filled(args: string, secrets: Record<string, string>): { text: string; names: string[] } {
  const template = templateOf(encode(args));
  const bytes = fillTemplate(template, (name) => encode(secrets[name] ?? "?"));
  return { text: decode(bytes), names: [...template.names] };
}

Deno.test("placeholders are replaced in string leaves at any depth, one name an occurrence, in order", () => {
  const args = '{"url":"https://${HOST}/x","h":[{"a":"Bearer ${TOKEN}"},"${HOST}${TOKEN}"]}';
  assert.deepEqual(filled(args, { HOST: "h.example", TOKEN: "t" }), {
    text: '{"url":"https://h.example/x","h":[{"a":"Bearer t"},"h.examplet"]}',
    names: ["HOST", "TOKEN", "HOST", "TOKEN"],
  });
  assert.deepEqual(filled('"${A}"', { A: "1" }), { text: '"1"', names: ["A"] });
});

Deno.test("names of members are never touched", () => {
  const args = '{"${A}":{"${A}":"${A}"},"b":[{"${A}":1}]}';
  const { text, names } = filled(args, { A: "x" });
  assert.equal(text, '{"${A}":{"${A}":"x"},"b":[{"${A}":1}]}');
  assert.deepEqual(names, ["A"]);
});

Deno.test("a value that looks like a placeholder is not expanded again", () => {
  assert.equal(filled('"${A}"', { A: "${B}", B: "secret" }).text, '"${B}"');
  assert.equal(filled('"$${A}{B}"', { A: "x", B: "secret" }).text, '"$x{B}"');
  assert.equal(filled('"${${A}}"', { A: "B", B: "secret" }).text, '"${B}"');
});

Deno.test("only an upper-case name makes a placeholder", () => {
  for (const text of ["${a}", "${A-B}", "${1A}", "${_A}", "${}", "$A", "${A", "{A}", "${ A}"]) {
    assert.deepEqual(piecesOf(text), [{ literal: text }], text);
  }
  assert.deepEqual(piecesOf("${A_1}"), [{ name: "A_1" }]);
  assert.ok(isSecretName("A") && isSecretName("A_B1") && !isSecretName("a") && !isSecretName(""));
  assert.ok(!isSecretName("A".repeat(SECRET_LIMITS.name_chars + 1)) && !isSecretName("A\n"));
});

Deno.test("a placeholder spelled with escapes is one, and its leaf stays valid JSON", () => {
  assert.equal(filled('"\\u0024\\u007bA}\\n\\ud800"', { A: "x" }).text, '"x\\n\\ud800"');
});

Deno.test("everything that is no placeholder stays byte for byte: numbers, spaces, order, doubles", () => {
  const args = ' { "n" : 12345678901234567890.10 , "a":"\\u0041", "a":"${A}" } ';
  assert.equal(filled(args, { A: "x" }).text, args.replace("${A}", "x"));
});

Deno.test("what is not JSON, not UTF-8, too deep, too large or too full is refused without being repeated", () => {
  const refused = [
    encode(""),
    encode("{"),
    encode("secret-looking"),
    new Uint8Array([0x22, 0xff, 0x22]),
    encode("\ufeff{}"),
    encode("[".repeat(SECRET_LIMITS.args_depth + 1) + "]".repeat(SECRET_LIMITS.args_depth + 1)),
    encode(`"${"x".repeat(SECRET_LIMITS.args_bytes)}"`),
    encode(`"${"${A}".repeat(SECRET_LIMITS.placeholders + 1)}"`),
  ];
  for (const args of refused) {
    assert.throws(() => templateOf(args), (error) => {
      assert.ok(error instanceof ArgumentsError);
      assert.ok(!error.message.includes("secret-looking"));
      return true;
    });
  }
  const deep = "[".repeat(SECRET_LIMITS.args_depth) + "]".repeat(SECRET_LIMITS.args_depth);
  assert.ok(templateOf(encode(deep)));
  const large = templateOf(encode(`"${"${A}".repeat(SECRET_LIMITS.placeholders)}"`));
  assert.throws(() => fillTemplate(large, () => new Uint8Array(4_096)), ArgumentsError);
});

/** What the words of the contract say, over parsed values. */
function naive(value: unknown, secrets: Record<string, string>): unknown {
  if (typeof value === "string") {
    return value.replace(/\$\{([A-Z][A-Z0-9_]*)\}/g, (_all, name) => secrets[name] ?? "?");
  }
  if (Array.isArray(value)) return value.map((one) => naive(one, secrets));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, naive(one, secrets)]));
}

Deno.test("for any arguments and any values the result is the contract's, as JSON", () => {
  const text = fc.array(
    fc.oneof(
      fc.constantFrom("${A}", "${B_2}", "${", "}", "$", "A", '"', "\\", "\n"),
      fc.string({ unit: "grapheme", maxLength: 4 }),
    ),
    { maxLength: 6 },
  ).map((parts) => parts.join(""));
  const tree = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      text,
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.constantFrom(null, true, false),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(text.filter((key) => key !== "__proto__"), tie("value"), { maxKeys: 4 }),
    ),
  })).value;
  const well_formed = text.map((value) => value.toWellFormed());
  fc.assert(
    fc.property(tree, well_formed, well_formed, fc.boolean(), (value, a, b, spaced) => {
      const secrets = { A: a, B_2: b };
      const args = JSON.stringify(value, null, spaced ? 2 : undefined);
      const result = filled(args, secrets);
      assert.deepEqual(JSON.parse(result.text), naive(JSON.parse(args), secrets));
    }),
    { numRuns: 400 },
  );
});
