import assert from "node:assert/strict";
import { formatProof, parseProof, ProofError } from "./proof.ts";

const one = new Uint8Array(32).fill(1);
const two = new Uint8Array(32).fill(2);
const checkpoint = "example.test/log\n9\nroot\n\n\u2014 example.test/log c2ln\n";

Deno.test("a proof text has the form of C2SP tlog-proof and reads back", () => {
  const text = formatProof({ index: 5n, path: [one, two], checkpoint });
  assert.equal(
    text,
    `c2sp.org/tlog-proof@v1\nindex 5\n${one.toBase64()}\n${two.toBase64()}\n\n${checkpoint}`,
  );
  assert.deepEqual(parseProof(text), { index: 5n, path: [one, two], checkpoint });
  const alone = formatProof({ index: 0n, path: [], checkpoint });
  assert.equal(alone, `c2sp.org/tlog-proof@v1\nindex 0\n\n${checkpoint}`);
  assert.deepEqual(parseProof(alone), { index: 0n, path: [], checkpoint });
});

Deno.test("an extra line is skipped", () => {
  const text = `c2sp.org/tlog-proof@v1\nextra AAAA\nindex 7\n\n${checkpoint}`;
  assert.equal(parseProof(text).index, 7n);
});

Deno.test("a malformed proof is refused", () => {
  const good = formatProof({ index: 5n, path: [one], checkpoint });
  const bad = [
    "",
    good.replace("@v1", "@v2"),
    good.replace("index 5", "index 05"),
    good.replace("index 5", "index -5"),
    good.replace("index 5\n", ""),
    good.replace(one.toBase64(), one.toBase64().slice(4)),
    good.replace(one.toBase64(), `${one.toBase64()} `),
    good.replaceAll("\n\n", "\n"),
    formatProof({ index: 5n, path: Array(64).fill(one), checkpoint }),
  ];
  for (const text of bad) assert.throws(() => parseProof(text), ProofError, text);
});
