/**
 * `data`: secrets in actions (contract `policy-and-gateway` §1.5).
 *
 * @module
 */
import { RE2JS } from "re2js";
import { LIMITS } from "../../limits.ts";
import type { DataRules } from "../document.ts";
import { type BODY, LOCALE_PACKS } from "../language.ts";
import type { Problems } from "../problems.ts";
import type { Read, ReadText } from "../read.ts";
import { received } from "../suggest.ts";
import { plain } from "./located.ts";

type Section = Read<typeof BODY.keys.data>;

/** The data rules of a document. */
export function readData(section: Section, problems: Problems): DataRules {
  const { sensitive_patterns, credential_action, locale_packs } = section.value;
  checkPatterns(sensitive_patterns?.value ?? [], problems);
  for (const tag of locale_packs?.value ?? []) {
    if (LOCALE_PACKS.includes(tag.value.toLowerCase())) continue;
    problems.warn(
      tag.path,
      `this build has no locale pack ${received(tag.value)}: every action under this policy ` +
        "will be denied; `zh-TW` exists",
      tag,
    );
  }
  return {
    at: section.key_at,
    sensitive_patterns: (sensitive_patterns?.value ?? []).map(plain),
    credential_action: credential_action?.value ?? "redact_only",
    ...(credential_action === undefined ? {} : { credential_action_at: credential_action.key_at }),
    locale_packs: (locale_packs?.value ?? []).map(plain),
  };
}

/**
 * Compiles every pattern with the linear-time engine. Compiling costs in proportion to the compiled
 * size, so the sum is bounded too, and what comes after the bound is not compiled at all.
 */
function checkPatterns(patterns: readonly ReadText[], problems: Problems): void {
  let total = 0;
  for (const pattern of patterns) {
    const size = checkPattern(pattern, problems);
    total += size;
    if (total <= LIMITS.pattern_total_instructions) continue;
    problems.error(
      pattern.path,
      `the patterns of one policy compile to more than ${LIMITS.pattern_total_instructions} ` +
        "instructions: use fewer or smaller ones",
      pattern,
    );
    return;
  }
}

/** What parsing one character of a refused pattern counts for, in instructions. */
const REFUSED_INSTRUCTIONS_PER_CHAR = 10;

/** Compiled size of a pattern in instructions; what is wrong with it becomes a problem. */
function checkPattern(pattern: ReadText, problems: Problems): number {
  if (pattern.value === "") {
    problems.error(pattern.path, "pattern must not be empty", pattern);
    return 0;
  }
  if (pattern.value.length > LIMITS.pattern_chars) {
    problems.error(
      pattern.path,
      `pattern has \`${pattern.value.length}\` characters, more than the limit of ${LIMITS.pattern_chars}`,
      pattern,
    );
    return 0;
  }
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(pattern.value);
  } catch (error) {
    problems.error(pattern.path, `invalid regular expression ${reason(error)}`, pattern);
    return pattern.value.length * REFUSED_INSTRUCTIONS_PER_CHAR;
  }
  const size = compiled.programSize();
  if (size > LIMITS.pattern_program_instructions) {
    problems.error(
      pattern.path,
      `pattern compiles to \`${size}\` instructions, more than the limit of ` +
        `${LIMITS.pattern_program_instructions}: lower its repetition counts`,
      pattern,
    );
  } else if (compiled.test("")) {
    problems.warn(
      pattern.path,
      `pattern ${received(pattern.value)} matches the empty text, so every action has a finding`,
      pattern,
    );
  }
  return size;
}

function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return received(text.replace(/^error parsing regexp: /, "")) +
    ": patterns are RE2, without look-around and back-references";
}
