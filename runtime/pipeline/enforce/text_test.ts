import assert from "node:assert/strict";
import { gzipSync } from "fflate";
import { DEFAULT_SCANNER, SCANNER_LIMITS } from "../../../core/scanner/mod.ts";
import { emptyTally, TextGuard, UNDECODABLE, WHOLE } from "./text.ts";

const KEY = "key sk-ant-api03-Abcd1234Efgh5678";

Deno.test("a text encoded beyond the scanner's bounds does not pass", () => {
  const guard = new TextGuard(DEFAULT_SCANNER, 65_536);
  const tally = emptyTally(65_536, 10);
  let hidden = KEY;
  for (let depth = 0; depth < SCANNER_LIMITS.decode_depth + 2; depth++) hidden = btoa(hidden);
  assert.equal(guard.text(`note ${hidden}`, tally), WHOLE);
  assert.equal(tally.unscannable, 1);
});

Deno.test("compressed bytes with a secret in them do not pass, clean ones stay", () => {
  const guard = new TextGuard(DEFAULT_SCANNER, 65_536);
  const encoder = new TextEncoder();
  const tally = emptyTally(65_536, 10);
  const dirty = gzipSync(encoder.encode(`{"note":"${KEY}"}`));
  assert.deepEqual(guard.bytes(dirty, tally), encoder.encode(UNDECODABLE));
  const clean = gzipSync(encoder.encode("a sentence of no import, and another one"));
  assert.equal(guard.bytes(clean, tally), clean);
});
