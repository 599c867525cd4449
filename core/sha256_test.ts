import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { Sha256 } from "./sha256.ts";

Deno.test("SHA-256 in plain TypeScript agrees with OpenSSL, however the input is cut", () => {
  const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  assert.equal(new Sha256().hex(), empty);
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }), (parts) => {
    const ours = new Sha256();
    const theirs = createHash("sha256");
    for (const part of parts) {
      ours.update(part);
      theirs.update(part);
    }
    assert.equal(ours.hex(), theirs.digest("hex"));
  }));
  for (const length of [55, 56, 57, 63, 64, 65, 119, 120, 1_000_000]) {
    const bytes = new Uint8Array(length).fill(length);
    assert.equal(
      new Sha256().update(bytes).hex(),
      createHash("sha256").update(bytes).digest("hex"),
      String(length),
    );
  }
});
