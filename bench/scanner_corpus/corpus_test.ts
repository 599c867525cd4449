import assert from "node:assert/strict";
import { DEFAULT_SCANNER, type Finding } from "../../core/scanner/mod.ts";
import { cleanCorpus, makeCorpus } from "./mod.ts";
import { countSamples, scoreOf } from "./score.ts";

/** A finding by entropy alone, which the contract pins on hashes too. */
function isHeuristic(finding: Finding): boolean {
  return finding.source !== "locale" && finding.kind === "GenericHighEntropy" &&
    finding.detector === undefined;
}

Deno.test("a corpus is a function of its seed, and its labels are where its secrets are", () => {
  assert.deepEqual(makeCorpus(3), makeCorpus(3));
  assert.notDeepEqual(makeCorpus(3), makeCorpus(4));
  for (const { text, value } of makeCorpus(3)) {
    if (value === undefined) continue;
    const bytes = new TextEncoder().encode(text);
    assert.ok(value.offset < value.end && value.end <= bytes.length);
  }
});

Deno.test("precision and recall on the labelled corpus stay above their floors", () => {
  const corpus = makeCorpus(1);
  const all = countSamples(corpus, ({ text }) => DEFAULT_SCANNER.scan(text));
  const certain = countSamples(
    corpus,
    ({ text }) => DEFAULT_SCANNER.scan(text).filter((finding) => !isHeuristic(finding)),
  );
  const secrets = scoreOf(certain, ["secret", "near_miss", "pinned", "clean"]);
  assert.ok(secrets.recall >= 0.99, `recall ${secrets.recall}`);
  assert.ok(secrets.precision >= 0.97, `precision ${secrets.precision}`);
  assert.ok(scoreOf(all, ["secret", "near_miss", "clean"]).precision >= 0.95);
  const encoded = scoreOf(certain, ["encoded"]);
  assert.ok(encoded.recall >= 0.98, `recall of encoded secrets ${encoded.recall}`);
  const personal = scoreOf(all, ["personal"]);
  assert.ok(personal.recall >= 0.99, `recall of personal data ${personal.recall}`);
});

Deno.test("20 MB of clean text in six languages, code, JSON and logs hold nothing", () => {
  let bytes = 0;
  for (const [name, text] of cleanCorpus(7, 22_500_000)) {
    const findings = DEFAULT_SCANNER.scan(text);
    // Dense signs between short words look random to the entropy the contract pins.
    if (name === "minified") {
      assert.ok(findings.every(isHeuristic));
      continue;
    }
    bytes += new TextEncoder().encode(text).length;
    assert.deepEqual(findings, [], name);
  }
  assert.ok(bytes >= 20_000_000);
});
