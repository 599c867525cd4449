/** The reference's own cases, by file name: same findings, same offsets, same redacted text. */
import assert from "node:assert/strict";
import { DEFAULT_SCANNER, redact } from "./mod.ts";

interface Vector {
  readonly input_text: string;
  readonly expected_findings: readonly { readonly kind: string; readonly offset: number }[];
  readonly expected_redacted: string;
}

const FOLDER = new URL("../../tests/vectors/credential_detection/", import.meta.url);
const FILES = [...Deno.readDirSync(FOLDER)].map((entry) => entry.name).sort();

Deno.test("the folder holds the 26 public vectors, so none is silently left out", () => {
  assert.ok(FILES.length >= 26);
});

for (const file of FILES) {
  Deno.test(`vector ${file} gives its findings and its redacted text`, () => {
    const vector = JSON.parse(Deno.readTextFileSync(new URL(file, FOLDER))) as Vector;
    const findings = DEFAULT_SCANNER.scan(vector.input_text);
    const seen = findings.map((finding) => ({
      kind: finding.source === "locale" ? finding.category : finding.kind,
      offset: finding.offset,
    }));
    assert.deepEqual(seen, vector.expected_findings);
    assert.equal(redact(vector.input_text, findings), vector.expected_redacted);
  });
}
