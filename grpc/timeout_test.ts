import assert from "node:assert/strict";
import fc from "fast-check";
import { DeadlineTimer, formatTimeout, parseTimeout } from "./timeout.ts";

Deno.test("grpc-timeout is one to eight digits and a unit", () => {
  const known = { "1H": 3_600_000, "2M": 120_000, "3S": 3000, "4m": 4, "5u": 0.005, "6n": 6e-6 };
  for (const [text, timeout_ms] of Object.entries(known)) {
    assert.equal(parseTimeout(text), timeout_ms);
  }
  assert.equal(parseTimeout("99999999H"), 99_999_999 * 3_600_000);
  for (const text of ["", "1", "S", "123456789S", "1s", "-1S", "1.5S", " 1S", "1S "]) {
    assert.equal(parseTimeout(text), undefined, text);
  }
});

Deno.test("a timeout on its way is never cut short, and hardly lengthened", () => {
  fc.assert(fc.property(fc.double({ min: 0.001, max: 1e12, noNaN: true }), (timeout_ms) => {
    const sent_ms = parseTimeout(formatTimeout(timeout_ms)) ?? -1;
    assert.ok(sent_ms >= timeout_ms * (1 - 1e-12), `${sent_ms} of ${timeout_ms}`);
    assert.ok(sent_ms <= timeout_ms * 1.05 + 0.001, `${sent_ms} of ${timeout_ms}`);
  }));
  assert.equal(formatTimeout(0), "0n");
  assert.equal(formatTimeout(-5), "0n");
});

Deno.test("a deadline beyond the longest timer neither fires at once nor holds the process", () => {
  let passed = false;
  const timer = new DeadlineTimer(Date.now() + 2 ** 40, () => passed = true);
  timer.clear();
  assert.equal(passed, false);
});
