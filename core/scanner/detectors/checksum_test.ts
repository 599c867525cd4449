import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { assess, DEFAULT_SCANNER, type Finding } from "../mod.ts";

const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

function checksum(body: string): string {
  let rest = crc32(body);
  let text = "";
  for (let index = 0; index < 6; index++) {
    text = BASE62[rest % 62] + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}

function only(text: string): Finding {
  const [finding, ...more] = DEFAULT_SCANNER.scan(text)
    .filter((found) =>
      found.source !== "builtin" || found.kind !== "GenericHighEntropy" ||
      found.detector !== undefined
    );
  assert.ok(finding !== undefined && more.length === 0, text);
  return finding;
}

Deno.test("a GitHub or npm token whose checksum holds is marked as verified", () => {
  const body = fc.array(fc.constantFrom(...BASE62), { minLength: 30, maxLength: 30 })
    .map((signs) => signs.join(""));
  const prefix = fc.constantFrom("ghp_", "gho_", "ghu_", "npm_");
  fc.assert(fc.property(prefix, body, (start, text) => {
    const token = only(`t ${start}${text}${checksum(text)} u`);
    assert.ok(token.source === "builtin" && token.verified === true);
    const wrong = checksum(text).startsWith("0") ? "1" : "0";
    const other = only(`t ${start}${text}${wrong}${checksum(text).slice(1)} u`);
    assert.ok(other.source === "builtin" && other.verified === undefined);
  }));
});

Deno.test("a token without a valid checksum is a finding still", () => {
  assert.equal(only("tok=ghp_AbCdEfGh").offset, 4);
});

Deno.test("a proof makes confidence high, the lack of one lowers nothing", () => {
  const header = btoa('{"alg":"none"}').replaceAll("=", "");
  const real = only(`${header}.${"a1".repeat(12)}.${"b2".repeat(12)}`);
  assert.equal(assess(real).confidence, "high");
  const other = only(`eyJ${"c3".repeat(12)}.${"a1".repeat(12)}.${"b2".repeat(12)}`);
  assert.equal(assess(other).confidence, "medium");
});
