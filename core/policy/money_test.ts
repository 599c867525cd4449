import assert from "node:assert/strict";
import fc from "fast-check";
import { readMicroUsd } from "./money.ts";

/** What an amount reads to, or why it does not. */
function read(text: string): number | string {
  const amount = readMicroUsd(text, Number(text));
  return amount.ok ? amount.micro_usd : amount.reason;
}

Deno.test("decimal texts become exact integers of micro-dollars", () => {
  assert.equal(read("10"), 10_000_000);
  assert.equal(read("+0.07"), 70_000);
  assert.equal(read("1e-6"), 1);
  assert.equal(read("12E2"), 1_200_000_000);
  assert.equal(read("0.000001000000000000000000000000000000000000000000000000000"), 1);
  assert.equal(
    read("000000000000000000000000000000000000000000000000000000000000000001"),
    1_000_000,
  );
});

Deno.test("what is not above zero, not finite or not whole micro-dollars is refused", () => {
  for (const text of ["0", "0.0", "-1", "-0.000001", "0e99999999999"]) {
    assert.equal(read(text), "must be greater than 0", text);
  }
  for (const text of ["0.0000001", "1.0000001", "1e-7", "1e-999999999999"]) {
    assert.match(String(read(text)), /at most 6 decimals/, text);
  }
  for (const text of ["9007199254.740992", "1e300", "1e999999999999", "9".repeat(10_000)]) {
    assert.match(String(read(text)), /at most 9007199254\.740991/, text);
  }
  for (const text of [".inf", ".nan", "1_000", "", ".", "1e"]) {
    assert.equal(typeof read(text), "string", text);
  }
});

Deno.test("hexadecimal and octal integers count as what they are", () => {
  assert.deepEqual(readMicroUsd("0x10", 16), { ok: true, micro_usd: 16_000_000 });
  assert.deepEqual(readMicroUsd("0o10", 8), { ok: true, micro_usd: 8_000_000 });
});

Deno.test("every amount reads back from its decimal text", () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 1n, max: BigInt(Number.MAX_SAFE_INTEGER) }),
      fc.nat({ max: 20 }),
      (micro_usd, zeros) => {
        const digits = micro_usd.toString().padStart(7, "0");
        const text = `${digits.slice(0, -6)}.${digits.slice(-6)}${"0".repeat(zeros)}`;
        assert.equal(read(text), Number(micro_usd));
        assert.equal(read(`${micro_usd}e-6`), Number(micro_usd));
      },
    ),
  );
});
