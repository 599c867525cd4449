/**
 * The scanner's rules a second time, in the plainest form there is: regular expressions over
 * strings, lists searched from the start. What is fast must agree with it on every text.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Prefix, PREFIXES, type PrefixRule } from "./detectors/prefix.ts";
import { CREDENTIAL_KINDS, DEFAULT_SCANNER } from "./mod.ts";
import { scanThoroughly } from "./scanner.ts";

const SPACE = "\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const TERMINATOR = new RegExp(`[${SPACE}"',;)\\]}]`);
const BASE64 = "A-Za-z0-9+/_-";

interface PlainSpan {
  kind: string;
  offset: number;
  end: number;
}

type Report = (kind: string, from: number, to: number) => void;

function indexOfPattern(text: string, pattern: RegExp, from: number): number {
  const found = text.slice(from).search(pattern);
  return found < 0 ? text.length : from + found;
}

function prefixHolds(text: string, rule: PrefixRule, prefix: Prefix, at: number): boolean {
  const body = text.slice(at + prefix.text.length);
  const exact = text.startsWith(prefix.text, at);
  const glued = /[A-Za-z0-9]$/.test(text.slice(Math.max(0, at - 1), at));
  const chars = new RegExp(`^[${BASE64}]*`).exec(body)?.[0] ?? "";
  switch (rule.form) {
    case "token": {
      if (glued || !exact) {
        const head = /^[A-Za-z0-9]*/.exec(body)?.[0].slice(0, rule.chars_glued) ?? "";
        return head.length === rule.chars_glued && /[0-9A-Z]/.test(head);
      }
      const enough = Math.max(rule.chars_min, rule.chars_plain);
      const head = chars.slice(0, enough);
      return head.length === enough || head.length >= rule.chars_min && /[0-9A-Z]/.test(head);
    }
    case "aws":
      return exact && /^[0-9A-Z]{16}/.test(body);
    case "value":
      return rule.exact_case !== true || exact;
    case "vendor": {
      if (!exact || glued) return false;
      if (rule.dotted !== true) return chars.length >= rule.chars_min;
      const dotted = new RegExp(`^([${BASE64}]*)\\.([${BASE64}]*)`).exec(body);
      return dotted !== null && dotted[0].length - 1 >= rule.chars_min;
    }
    case "url": {
      const address = body.slice(0, indexOfPattern(body, TERMINATOR, 0));
      return rule.needs_password === true
        ? /^[^:@/]*:[^@/]+@/.test(
          new TextDecoder().decode(new TextEncoder().encode(address).slice(0, 512)),
        )
        : address.length > 0;
    }
    case "gcp":
    case "pem":
      return true;
  }
}

function pemEnd(text: string, body: number, terminator: number): number {
  const rest = text.slice(body).replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  const end_marker = rest.indexOf("-----end ");
  const begin_marker = rest.indexOf("-----begin ");
  const marks = [end_marker, begin_marker].filter((mark) => mark >= 0);
  if (marks.length === 0) return terminator;
  const block = Math.min(...marks);
  const runs = text.slice(body, body + block).match(new RegExp(`[${BASE64}]+`, "g")) ?? [];
  const long = runs.filter((run) => run.length >= 20);
  const last = runs[runs.length - 1]?.length ?? 0;
  const covered = long.length > 0 && last < 20 || long.join("").length >= 100;
  if (!covered) return terminator;
  if (block !== end_marker) return Math.max(terminator, body + block);
  const line = /^-----end [^\n-]*-*/.exec(rest.slice(block))?.[0] ?? "";
  return Math.max(terminator, body + block + line.length);
}

function plainLiterals(text: string, report: Report, late: Report): void {
  const lower = text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  let free = 0;
  for (let at = 0; at < text.length; at++) {
    if (at < free) continue;
    const pair = /^"type"[\0-\x20]{0,16}:[\0-\x20]{0,16}"service_account"/.exec(lower.slice(at));
    const prefix = PREFIXES
      .filter(({ text: own, rule }) =>
        rule.form === "gcp" ? pair !== null : lower.startsWith(own.toLowerCase(), at)
      )
      .sort((a, b) => b.text.length - a.text.length)[0];
    if (prefix === undefined || !prefixHolds(text, prefix.rule, prefix, at)) continue;
    const body = at + (prefix.rule.form === "gcp" ? pair?.[0].length ?? 0 : prefix.text.length);
    free = body;
    const terminator = indexOfPattern(text, TERMINATOR, body);
    const end = prefix.rule.form === "pem" ? pemEnd(text, body, terminator) : terminator;
    const is_late = prefix.rule.form === "value" && prefix.rule.exact_case === true;
    (is_late ? late : report)(prefix.kind, at, end);
  }
}

function luhn(digits: string): boolean {
  const sum = [...digits].reverse().reduce((total, digit, index) => {
    const value = Number(digit) * (index % 2 === 0 ? 1 : 2);
    return total + Math.floor(value / 10) + value % 10;
  }, 0);
  return sum % 10 === 0;
}

const ISSUER = /^(?:[456]|22|23|24|25|26|27[01]|2720|30|3[4-9]|81|82|9792)/;
const isCard = (digits: string): boolean =>
  digits.length >= 13 && digits.length <= 19 && ISSUER.test(digits) && luhn(digits);

const SHAPES = ["4444", "465", "464", "44443"].map((shape) =>
  new RegExp(
    "^" + [...shape].map((size, index) =>
      index === 0 ? `\\d{${size}}` : (index === 1 ? "([ .-])" : "\\1") + `\\d{${size}}`
    ).join("") + "(?= |$)",
  )
);

function plainDigits(text: string, report: Report): void {
  for (const chain of text.matchAll(/[0-9０-９](?:[ \u3000\-－.．]?[0-9０-９])*/g)) {
    const normal = [...chain[0]].map((c) =>
      c >= "０" && c <= "９"
        ? String(c.charCodeAt(0) - 0xff10)
        : "\u3000 ".includes(c)
        ? " "
        : "-－".includes(c)
        ? "-"
        : ".．".includes(c)
        ? "."
        : c
    ).join("");
    const digits = normal.replace(/\D/g, "");
    const add = (kind: string, from: number, to: number): void =>
      report(kind, chain.index + from, chain.index + to);
    const shaped = SHAPES.some((shape) =>
      shape.exec(normal.replace(/[.-]/g, " "))?.[0].length === normal.length
    );
    if (normal.length <= 24 && isCard(digits) && (!normal.includes(".") || shaped)) {
      add("CreditCardLuhn", 0, normal.length);
      continue;
    }
    if (digits.length < 9) continue;
    for (let at = 0; at < normal.length;) {
      const rest = normal.slice(at);
      const taken = at === 0 || normal[at - 1] === " "
        ? plainWindow(text.slice(0, chain.index + at), rest)
        : undefined;
      if (taken !== undefined) add(taken.kind, at, at + taken.size);
      at += taken?.size ?? /^\d+/.exec(rest)?.[0].length ?? 1;
      at += 1;
    }
  }
}

function plainWindow(
  before: string,
  rest: string,
): { readonly kind: string; readonly size: number } | undefined {
  const ssn = /^(\d{3})[-.](\d{2})[-.](\d{4})(?= |$)/.exec(rest);
  if (ssn !== null) {
    const [area, group, serial] = ssn.slice(1).map(Number) as [number, number, number];
    const context = new TextDecoder().decode(new TextEncoder().encode(before).slice(-32));
    const named = !ssn[0].includes(".") || /ssn|social/i.test(context);
    const taxpayer = area >= 900 && group >= 50 && ![66, 89, 93].includes(group);
    const issued = area !== 0 && area !== 666 && (area < 900 || taxpayer);
    if (named && issued && group !== 0 && serial !== 0) return { kind: "SsnPattern", size: 11 };
  }
  for (const pattern of [/^\d+(?= |$)/, ...SHAPES]) {
    const size = pattern.exec(rest)?.[0].length ?? 0;
    if (isCard(rest.slice(0, size).replace(/\D/g, ""))) return { kind: "CreditCardLuhn", size };
  }
  return undefined;
}

const bytesOf = (text: string): number => new TextEncoder().encode(text).length;

function plainEmails(text: string, report: Report): void {
  for (const sign of text.matchAll(/@/g)) {
    const before = text.slice(0, sign.index);
    let local = new RegExp(`[^${SPACE}<,;"']*$`).exec(before)?.[0] ?? "";
    if (bytesOf(local) > 64) {
      local = /[A-Za-z0-9.!#$%&*+?^_`|~-]*$/.exec(before)?.[0].slice(-64) ?? "";
    }
    const after = text.slice(sign.index + 1);
    const limit = new RegExp(
      `[${SPACE}"',;)\\]}>\\u3000-\\u303f\\uff00-\\uff0c\\uff0f\\uff1a-\\uff20]`,
    );
    let domain = after.slice(0, indexOfPattern(after, limit, 0));
    while (bytesOf(domain) > 255) domain = [...domain].slice(0, -1).join("");
    if (local !== "" && bytesOf(domain) >= 3 && domain.includes(".")) {
      report("EmailAddress", sign.index - local.length, sign.index + 1 + domain.length);
    }
  }
}

function clears(text: string): boolean {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= count / text.length * Math.log2(count / text.length);
  if (bits > 4.5) return true;
  return text.length >= 40 && bits > 4.25 && counts.size >= 23 &&
    new RegExp(`^[${BASE64}]*$`).test(text) && !/(.)\1{3}/.test(text) &&
    text.replace(/[^+/_-]/g, "").length <= text.length * 0.1;
}

function plainEntropy(original: string, found: readonly PlainSpan[], report: Report): void {
  const labels = ["", ...[...CREDENTIAL_KINDS, "Custom"].map((kind) => `:${kind}`)];
  const text = labels.reduce((result, label) => {
    const full = `[REDACTED${label}]`;
    return result.replaceAll(full, " ".repeat(full.length));
  }, original);
  const kind = "GenericHighEntropy";
  for (const token of text.matchAll(/[^\t-\r \x80-\u{10ffff}]+/gu)) {
    if (token[0].length < 20 || token[0].length > 64 || !clears(token[0])) continue;
    let at = token.index;
    const parts = token[0].split(TERMINATOR).map((part) => {
      const from = at;
      at += part.length + 1;
      return { part, from };
    });
    const scored = parts.filter(({ part }) => clears(part));
    const first = parts.slice(0, 1).filter(({ part }) => new RegExp(`[${BASE64}]`).test(part));
    for (const { part, from } of scored.length > 0 ? scored : first) {
      report(kind, from, from + part.length);
    }
  }
  for (const hex of text.matchAll(/[0-9a-fA-F]{64,}/g)) {
    report(kind, hex.index, hex.index + hex[0].length);
  }
  const runs = [...text.matchAll(new RegExp(`[${BASE64}]+`, "g"))];
  for (const run of runs) {
    if (run[0].length >= 20 && clears(run[0])) report(kind, run.index, run.index + run[0].length);
  }
  for (const hex of text.matchAll(/[0-9a-fA-F:-]+/g)) {
    if (hex[0].replace(/[:-]/g, "").length < 64) continue;
    const inner = hex[0].replace(/^[:-]+/, "");
    const from = hex.index + hex[0].length - inner.length;
    report(kind, from, from + inner.replace(/[:-]+$/, "").length);
  }
  const overlaps = (from: number, to: number): boolean =>
    found.some((span) => span.offset < to && from < span.end);
  runs.forEach((right, index) => {
    const left = runs[index - 1];
    if (left === undefined) return;
    const left_to = left.index + left[0].length;
    const cut = text.slice(left_to, right.index);
    const joined = left[0] + right[0];
    const right_to = right.index + right[0].length;
    if ([...cut].length !== 1 || !new RegExp(`[${SPACE}\\x80-\\u{10ffff}]`, "u").test(cut)) return;
    if (joined.length < 23 || joined.length > 64 || !clears(joined)) return;
    if (overlaps(left.index, left_to) || overlaps(right.index, right_to)) return;
    report(kind, left.index, left_to);
    report(kind, right.index, right_to);
  });
}

const ESCAPE =
  /\\u((?![dD][89a-fA-F])[0-9a-fA-F]{4})|\\(["/\\nrt])|%([0-7][0-9a-fA-F])|[\u00ad\u200b-\u200d\u2060\ufeff]|[\uff0d-\uff19\uff1d\uff21-\uff3a\uff3f\uff41-\uff5a]/g;

/** The text without escapes, three layers deep, and where each of its units came from. */
function plainDecode(original: string): { readonly text: string; readonly origins: number[] } {
  let text = original;
  let origins = Array.from({ length: text.length + 1 }, (_, index) => index);
  for (let layer = 0; layer < 3; layer++) {
    const next: number[] = [];
    let decoded = "";
    let at = 0;
    const copy = (part: string, from: readonly number[]): void => {
      decoded += part;
      next.push(...from);
    };
    for (const escape of text.matchAll(ESCAPE)) {
      copy(text.slice(at, escape.index), origins.slice(at, escape.index));
      const [whole, unicode, letter, percent] = escape;
      const code = unicode ?? percent;
      const wide = /^[\uff01-\uff5e]$/.test(whole)
        ? String.fromCharCode(whole.charCodeAt(0) - 0xfee0)
        : "";
      let part = wide;
      if (code !== undefined) part = String.fromCharCode(parseInt(code, 16));
      if (letter !== undefined) part = ({ n: "\n", r: "\r", t: "\t" })[letter] ?? letter;
      if (unicode !== undefined && /[\u00ad\u200b-\u200d\u2060\ufeff]/.test(part)) part = "";
      copy(part, part === "" ? [] : [origins[escape.index] ?? 0]);
      at = escape.index + whole.length;
    }
    copy(text.slice(at), origins.slice(at));
    text = decoded;
    origins = next;
  }
  return { text, origins };
}

/** All passes in order, sorted, overlaps of one kind united, offsets in bytes. */
function plainScan(input: string): PlainSpan[] {
  const text = input.toWellFormed();
  const found: PlainSpan[] = [];
  const late: PlainSpan[] = [];
  const report: Report = (kind, offset, end) => found.push({ kind, offset, end });
  plainLiterals(text, report, (kind, offset, end) => late.push({ kind, offset, end }));
  plainDigits(text, report);
  plainEmails(text, report);
  plainEntropy(text, found, report);
  const hidden: PlainSpan[] = [];
  const hidden_late: PlainSpan[] = [];
  const { text: decoded, origins } = plainDecode(text);
  const into = (list: PlainSpan[]): Report => (kind, from, to) =>
    list.push({ kind, offset: origins[from] ?? 0, end: origins[to] ?? 0 });
  if (decoded !== text) {
    plainLiterals(decoded, into(hidden), into(hidden_late));
    plainDigits(decoded, into(hidden));
  }
  const united: PlainSpan[] = [];
  for (
    const span of [...found, ...late, ...hidden, ...hidden_late].sort((a, b) => a.offset - b.offset)
  ) {
    const same = united.find((other) => other.kind === span.kind && span.offset < other.end);
    if (same === undefined) united.push({ ...span });
    else same.end = Math.max(same.end, span.end);
  }
  return united.map(({ kind, offset, end }) => ({
    kind,
    offset: bytesOf(text.slice(0, offset)),
    end: bytesOf(text.slice(0, end)),
  }));
}

const ALPHABET = [..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/_-"];
const of = (characters: readonly string[], minLength: number, maxLength: number) =>
  fc.array(fc.constantFrom(...characters), { minLength, maxLength }).map((list) => list.join(""));

const fragment = fc.oneof(
  fc.constantFrom(...PREFIXES.map((prefix) => prefix.text)),
  fc.constantFrom(...PREFIXES.map((prefix) => prefix.text.toUpperCase())),
  of(ALPHABET, 1, 70),
  of(ALPHABET, 17, 24),
  of([..."0123456789abcdef"], 8, 70),
  of([..."0123456789abcdef:-"], 60, 130),
  of([..."0123456789 -.　－．０１２３"], 5, 30),
  fc.constantFrom("4532015112830366", "4532 0151 1283 0366", "123-45-6789", "ssn 123.45.6789"),
  of([..." \t\n\"',;:)]}{([<>=@.。，　\u200b\u00a0é😀"], 1, 3),
  fc.constantFrom("alice@example.com", "@", "@b.cd", "user:pw@", '"type": ', "-----END X-----\n"),
  fc.constantFrom("[REDACTED]", "[REDACTED:Custom]", "[REDACTED:OpenAiKey]", "[REDACTED:No]"),
  fc.string({ unit: "binary", maxLength: 6 }),
  fc.constantFrom("\ud800", "\udc00", "\0"),
  fc.constantFrom(
    "\\u0073k-",
    "%2D",
    "\\/",
    '\\"',
    "%",
    "\\",
    "\\ud800",
    "ｓ",
    "－",
    "%5c",
    "\\u200b",
  ),
  fc.constantFrom(
    "gh\u200bp_",
    "s%6B-",
    "s\\u006b-",
    "%2573k-",
    "ｓｋ－",
    "postgres:\\/\\/",
    "k-",
    "s",
  ),
);

/** Texts made of what detectors care about, so that most hold something. */
const hostileText = fc.array(fragment, { maxLength: 14 }).map((parts) => parts.join(""));

Deno.test("the scanner agrees with the plain rules on texts made to confuse it", () => {
  let with_findings = 0;
  fc.assert(
    fc.property(hostileText, (text) => {
      const plain = plainScan(text);
      if (plain.length > 0) with_findings++;
      const seen = DEFAULT_SCANNER.scan(text).map((finding) => ({
        kind: finding.source === "locale" ? finding.category : finding.kind,
        offset: finding.offset,
        end: finding.end,
      }));
      assert.deepEqual(seen, plain);
    }),
    { numRuns: 3_000 },
  );
  assert.ok(with_findings > 1_000, "the texts must be worth scanning");
});

Deno.test("the fast way finds what all passes find, wherever the text is cut in lanes", () => {
  fc.assert(
    fc.property(hostileText, fc.nat({ max: 200 }), fc.nat({ max: 200 }), (text, left, right) => {
      const padded = "x ".repeat(left) + text + " y".repeat(right);
      assert.deepEqual(DEFAULT_SCANNER.scan(padded), scanThoroughly(padded));
    }),
    { numRuns: 3_000 },
  );
});
