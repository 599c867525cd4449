import assert from "node:assert/strict";
import fc from "fast-check";
import { BANNED_KEYS, isBannedKey, mayHoldBanned } from "./never_store.ts";
import { OMITTED_KEY, sanitizePayload } from "./sanitize.ts";
import { sanitizeEvent } from "./sanitize_event.ts";

const SECRET = "the-secret-words";

Deno.test("Q2: a banned key is removed at any depth and in any case", () => {
  const raw = { kind: "tool", payload: { deep: [{ PROMPT: SECRET, kept: 1 }], Tool_Args: SECRET } };
  const result = sanitizeEvent(raw);
  assert.ok(result.kind === "row");
  assert.deepEqual(result.event, { kind: "tool", payload: { deep: [{ kept: 1 }] } });
  assert.equal(result.removed_keys, 2);
});

Deno.test("Q3: an unknown top-level key is dropped and counted", () => {
  const result = sanitizeEvent({ event_id: "e", surprise: 1, action: "a" });
  assert.deepEqual(result, {
    kind: "row",
    event: { event_id: "e", action: "a" },
    dropped_keys: 1,
    removed_keys: 0,
  });
});

Deno.test("Q4: a heartbeat is a sign of life, not a row", () => {
  assert.deepEqual(sanitizeEvent({ kind: "heartbeat", agent_id: "a1", heartbeat_seq: 4 }), {
    kind: "last_seen",
    agent_id: "a1",
  });
  for (const raw of [null, [], "x", 5]) assert.equal(sanitizeEvent(raw).kind, "refused");
});

Deno.test("trap 51: a banned key is removed from JSON inside a string, and inside that again", () => {
  const inner = JSON.stringify({ prompt: SECRET, model: "m" });
  const twice = JSON.stringify({ a: JSON.stringify({ b: inner }), n: 1 });
  const { payload, removed } = sanitizePayload(JSON.stringify({ detail: inner, twice }));
  assert.equal(removed, 2);
  assert.ok(!payload.includes(SECRET));
  assert.deepEqual(JSON.parse(JSON.parse(payload).detail), { model: "m" });
});

Deno.test("no spelling of a banned key keeps its value", () => {
  const spell = (key: string) => [
    key.toUpperCase(),
    key[0]?.toUpperCase() + key.slice(1),
    ` ${key} `,
    key.replace("p", "\uff50"),
    key.replace("k", "\u212a"),
  ];
  for (const key of BANNED_KEYS) {
    for (const spelling of spell(key)) {
      const { payload } = sanitizePayload(JSON.stringify({ [spelling]: SECRET, x: 1 }));
      assert.equal(payload, '{"x":1}', spelling);
    }
    const escaped = [...key].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
    const { payload } = sanitizePayload(`{"${escaped.join("")}":"${SECRET}","x":1}`);
    assert.equal(payload, '{"x":1}', escaped.join(""));
  }
});

Deno.test("wherever a banned member is put, its value does not reach the log", () => {
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(1, true, null, "text"),
      fc.array(tie("tree"), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom("a", "b", "prompt", "LLM_OUTPUT"), tie("tree"), { maxKeys: 3 }),
      tie("tree").map((value) => JSON.stringify(value)),
      fc.constantFrom(...BANNED_KEYS).map((key) => ({ [key]: SECRET, ok: 1 })),
    ),
  }));
  fc.assert(fc.property(tree, (value) => {
    const { payload } = sanitizePayload(JSON.stringify({ value }));
    assert.ok(!payload.includes(SECRET), payload);
    assert.equal(sanitizePayload(payload).removed, 0);
  }));
});

Deno.test("text that names a banned member but cannot be parsed is left out whole", () => {
  const broken = `{"prompt": "${SECRET}"`;
  assert.equal(sanitizePayload(broken).payload, `{"${OMITTED_KEY}":["payload"]}`);
  const nested = sanitizePayload(JSON.stringify({ note: `see ${broken}`, x: 1 }));
  assert.equal(nested.payload, '{"x":1}');
  let deep = JSON.stringify({ prompt: SECRET });
  for (let i = 0; i < 12; i++) deep = JSON.stringify({ v: deep });
  assert.ok(!sanitizePayload(deep).payload.includes(SECRET));
  const huge = JSON.stringify({ prompt: SECRET, pad: "x".repeat(1_100_000) });
  assert.ok(!sanitizePayload(huge).payload.includes(SECRET));
  const nest = `${"[".repeat(100_000)}{"prompt":"${SECRET}"}${"]".repeat(100_000)}`;
  assert.ok(!sanitizePayload(nest).payload.includes(SECRET));
});

Deno.test("a clean payload stays the same string, and cleaning changes no other value", () => {
  const clean = '{"action_type":1, "reason":"prompt the user", "n":12345678901234567890.10}';
  assert.equal(sanitizePayload(clean).payload, clean);
  const dirty = '{"n":12345678901234567890.10,"prompt":1,"e":1e3,"__proto__":{"a":1}}';
  assert.equal(
    sanitizePayload(dirty).payload,
    '{"n":12345678901234567890.10,"e":1e3,"__proto__":{"a":1}}',
  );
});

Deno.test("every banned key is suspect in every spelling that is taken for one", () => {
  for (const key of BANNED_KEYS) {
    for (const separator of ["_", "-", " ", ".", "", "__", "_ "]) {
      const spelled = key.replaceAll("_", separator);
      for (const form of [spelled, spelled.toUpperCase()]) {
        assert.ok(mayHoldBanned(form) && isBannedKey(form), form);
        assert.equal(sanitizePayload(JSON.stringify({ [form]: SECRET })).payload, "{}");
      }
    }
  }
});

Deno.test("a member that a later one of the same name hides is gone, too", () => {
  const { payload, removed } = sanitizePayload(
    `{"a":{"prompt":"${SECRET}"},"a":12345678901234567890}`,
  );
  assert.deepEqual([payload, removed], ['{"a":12345678901234567890}', 1]);
});

Deno.test("encoded JSON is looked into; what it hides is left out whole", () => {
  const json = JSON.stringify({ ok: 1, tool_args: SECRET });
  const base64 = new TextEncoder().encode(json).toBase64();
  for (const text of [base64, `token ${base64}, again`, encodeURIComponent(json)]) {
    assert.equal(sanitizePayload(JSON.stringify({ text, x: 1 })).payload, '{"x":1}', text);
  }
  const harmless = new TextEncoder().encode(JSON.stringify({ alg: "EdDSA", typ: "JWT" }))
    .toBase64();
  const kept = JSON.stringify({ harmless, url: "https://example.com/%7Bx%7D?q=%22y%22" });
  assert.equal(sanitizePayload(kept).payload, kept);
  const query = JSON.stringify({ url: `https://example.com/?a=1&prompt=${SECRET}`, x: 1 });
  assert.equal(sanitizePayload(query).payload, '{"x":1}');
});
