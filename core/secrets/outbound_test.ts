import assert from "node:assert/strict";
import fc from "fast-check";
import { SECRET_LIMITS } from "./limits.ts";
import { fingerprintKey, fingerprintsOf, OutboundIndex } from "./outbound.ts";

const KEY = fingerprintKey(new Uint8Array(32).fill(7));
const encode = (text: string) => new TextEncoder().encode(text);

function indexOf(...secrets: string[]): OutboundIndex<string> {
  const index = new OutboundIndex<string>(KEY);
  for (const secret of secrets) index.add(fingerprintsOf(encode(secret), KEY), secret);
  return index;
}

function found(index: OutboundIndex<string>, outbound: string | Uint8Array): string[] {
  const bytes = typeof outbound === "string" ? encode(outbound) : outbound;
  const { hits, complete } = index.scan(bytes);
  assert.ok(complete);
  return [...new Set(hits.map(({ label }) => label))];
}

function base64(text: string, alphabet: "base64" | "base64url" = "base64"): string {
  return encode(text).toBase64({ alphabet });
}

const SECRET = 'sk-proj-4f9Q/x+7~?=ü"\n zz';

/** How carriers write a text down. */
const CARRIERS: Readonly<Record<string, (text: string) => string>> = {
  "as it is": (text) => text,
  "a JSON string": (text) => JSON.stringify({ key: text }),
  "a JSON string, all escaped": (text) =>
    [...text].flatMap((character) =>
      character.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    ).join(""),
  "a URL's query": (text) => `?q=${encodeURIComponent(text)}&x`,
  "a form": (text) => new URLSearchParams({ q: text, z: "1" }).toString(),
  "percent-encoding of every byte": (text) =>
    [...encode(text)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join(""),
  "base64": (text) => base64(text),
  "base64url": (text) => base64(text, "base64url"),
  "base64, later by 1": (text) => base64(`x${text}y`),
  "base64, later by 2": (text) => base64(`xx${text}yz`, "base64url"),
  "base64 in lines": (text) => (base64(text).match(/.{1,7}/g) ?? []).join("\r\n"),
  "base64 in lines in JSON": (text) =>
    JSON.stringify((base64(text).match(/.{1,7}/g) ?? []).join("\n")),
  "basic authorisation": (text) => `Authorization: Basic ${base64(`user:${text}`)}`,
  "hex": (text) => encode(text).toHex(),
  "upper-case hex": (text) => encode(text).toHex().toUpperCase(),
};

Deno.test("a secret is found in every form that it is looked for", () => {
  const index = indexOf("another-secret-of-no-concern", SECRET);
  for (const [name, write] of Object.entries(CARRIERS)) {
    assert.deepEqual(found(index, `before ${write(SECRET)} after`), [SECRET], name);
    assert.deepEqual(
      found(index, write(`${SECRET.slice(0, -1)}!`)),
      [],
      `${name}: one character off`,
    );
  }
});

Deno.test("any secret, written any listed way, anywhere in anything, is found", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 40 }).map((one) => one.toWellFormed());
  const secret = fc.string({ unit: "grapheme", minLength: 8, maxLength: 60 })
    .map((one) => one.toWellFormed())
    .filter((one) => encode(one).length >= SECRET_LIMITS.scanned_bytes_min);
  const carrier = fc.constantFrom(...Object.keys(CARRIERS));
  fc.assert(
    fc.property(secret, text, text, carrier, (one, before, after, how) => {
      const write = CARRIERS[how];
      assert.ok(write);
      // What surrounds it is plain: an escape begun before would be a different text.
      const plain = (around: string) => around.replace(/[\\%+]/g, "");
      const outbound = `${plain(before)} ${write(one)} ${plain(after)}`;
      assert.ok(found(indexOf(one), outbound).includes(one), `${how}: ${JSON.stringify(one)}`);
    }),
    { numRuns: 600 },
  );
});

Deno.test("nothing is found where nothing is", () => {
  const index = indexOf(SECRET, "hunter2hunter2", "correct horse battery staple");
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      assert.deepEqual(found(index, bytes), []);
    }),
    { numRuns: 300 },
  );
  assert.deepEqual(found(index, ""), []);
  assert.deepEqual(found(index, "hunter2hunter"), [], "a part is no whole");
});

Deno.test("a secret too short to be told from chance has no fingerprint", () => {
  assert.deepEqual(fingerprintsOf(encode("1234567"), KEY), []);
  assert.equal(fingerprintsOf(encode("12345678"), KEY).length >= 5, true);
});

Deno.test("a fingerprint holds nothing of the secret, and is another under another key", () => {
  const text = JSON.stringify(fingerprintsOf(encode("hunter2hunter2"), KEY));
  assert.ok(!/hunter|68756e74|aHVudGVy/i.test(text));
  const other = fingerprintKey(new Uint8Array(32).fill(8));
  assert.notEqual(JSON.stringify(fingerprintsOf(encode("hunter2hunter2"), other)), text);
});

Deno.test("text made to look like a secret everywhere ends the scan as incomplete, not as clean", () => {
  const secret = "A".repeat(SECRET_LIMITS.value_bytes - 1) + "B";
  const index = indexOf(secret);
  const { hits, complete } = index.scan(encode("A".repeat(1024 * 1024)));
  assert.deepEqual(hits, []);
  assert.equal(complete, false);
});

Deno.test("several secrets in one body are all named", () => {
  const index = indexOf("first-secret-value", "second-secret-value", "third-secret-value");
  const body = JSON.stringify({ a: "first-secret-value", b: base64("x:third-secret-value") });
  assert.deepEqual(found(index, body).toSorted(), ["first-secret-value", "third-secret-value"]);
});
