import assert from "node:assert/strict";
import { SCANNER_LIMITS } from "../scanner/mod.ts";
import { builtinScanner, detect, planDetection } from "./detection.ts";

Deno.test("what cannot be decoded within bounds is redacted, because nobody knows it is clean", () => {
  let hidden = "key sk-ant-api03-Abcd1234Efgh5678";
  for (let depth = 0; depth < SCANNER_LIMITS.decode_depth + 2; depth++) hidden = btoa(hidden);
  const plan = planDetection([]);
  const { redacted, findings } = detect(
    plan,
    `note: ${hidden} end`,
    () => builtinScanner(plan.rules),
  );
  assert.ok(findings.length > 0);
  assert.ok(redacted !== undefined && !redacted.includes(hidden.slice(0, 40)), redacted);
});

Deno.test("a key in base64 in an action's text is redacted where it stands", () => {
  const plan = planDetection([]);
  const text = `note: ${btoa("key AKIAIOSFODNN7EXAMPLE, more")} end`;
  const { redacted } = detect(plan, text, () => builtinScanner(plan.rules));
  assert.match(redacted ?? "", /^note: .*\[REDACTED:AwsAccessKey\].* end$/);
});
