/**
 * The scanner's rules a second time, in the plainest form there is: regular expressions over
 * strings, lists searched from the start. What is fast must agree with it on every text.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { schemeOf } from "./detectors/addresses.ts";
import { IBAN_LENGTHS } from "./detectors/iban.ts";
import { type Prefix, PREFIXES, type PrefixRule } from "./detectors/prefix.ts";
import { SHAPE, type Shape } from "./detectors/shape.ts";
import { createScanner, CREDENTIAL_KINDS, DEFAULT_SCANNER } from "./mod.ts";
import { scanThoroughly } from "./scanner.ts";
import { encodeText } from "./utf8.ts";

const SPACE = "\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const TERMINATOR = new RegExp(`[${SPACE}"',;)\\]}]`);
const BASE64 = "A-Za-z0-9+/_-";

interface PlainSpan {
  kind: string;
  offset: number;
  end: number;
  detector?: string | undefined;
}

type Report = (kind: string, from: number, to: number, detector?: string) => void;

function indexOfPattern(text: string, pattern: RegExp, from: number): number {
  const found = text.slice(from).search(pattern);
  return found < 0 ? text.length : from + found;
}

/** A shape as a regular expression that matches it whole. */
function shapePattern(shape: Shape): string {
  return shape.map((part) => {
    if (typeof part === "string") return `\\${part}`;
    const members = Array.from({ length: 128 }, (_, code) => code)
      .filter((code) => ((SHAPE[code] ?? 0) & part.chars) !== 0)
      .map((code) => `\\x${code.toString(16).padStart(2, "0")}`).join("");
    // What follows is no member, so a run is read to its end.
    return `[${members}]{${part.least},}(?![${members}])`;
  }).join("");
}

function tokenHolds(
  text: string,
  rule: PrefixRule & { form: "token" },
  prefix: Prefix,
  at: number,
): boolean {
  const body = text.slice(at + prefix.text.length);
  const glued = /[A-Za-z0-9]$/.test(text.slice(Math.max(0, at - 1), at));
  if (glued || !text.startsWith(prefix.text, at)) {
    const head = /^[A-Za-z0-9]*/.exec(body)?.[0].slice(0, rule.chars_glued) ?? "";
    return head.length === rule.chars_glued && /[0-9A-Z]/.test(head);
  }
  const enough = Math.max(rule.chars_min, rule.chars_plain);
  const head = new RegExp(`^[${BASE64}]*`).exec(body)?.[0].slice(0, enough) ?? "";
  return head.length === enough || head.length >= rule.chars_min && /[0-9A-Z]/.test(head);
}

function passwordAt(address: string): number {
  const head = new TextDecoder().decode(new TextEncoder().encode(address).slice(0, 512));
  const found = /^([^:@/]*:)[^@/]+@/.exec(head);
  return found === null ? -1 : found[1]?.length ?? -1;
}

const holdsBoth = (value: string): boolean =>
  /[A-Za-z]/.test(value.slice(0, 64)) && /[0-9]/.test(value.slice(0, 64));

function raw(base64: string): string {
  try {
    return atob(base64);
  } catch {
    return "";
  }
}

const decoded = (value: string): string => raw(value.replaceAll("-", "+").replaceAll("_", "/"));

/** What a match of a prefix without a frozen kind is: its span, and whether it yields to others. */
function plainVendor(
  text: string,
  prefix: Prefix,
  at: number,
): { from: number; to: number; kind: string; detector: string | undefined; weak: boolean }[] {
  const { rule, kind, detector } = prefix;
  const body = at + prefix.text.length;
  const rest = text.slice(body);
  const word = (place: number): boolean => !/[A-Za-z0-9]$/.test(text.slice(0, place));
  switch (rule.form) {
    case "vendor": {
      let from = rule.before === undefined && /^[^A-Za-z0-9]/.test(prefix.text) ? at + 1 : at;
      if (rule.before !== undefined) {
        const run = shapePattern([{ chars: rule.before.chars, least: 0 }]).replace(/\(\?!.*$/, "");
        from -= new RegExp(`${run}$`).exec(text.slice(0, at))?.[0].length ?? 0;
        if (at - from < rule.before.least || at - from > rule.before.most) return [];
      }
      const value = new RegExp(`^${shapePattern(rule.shape)}`).exec(rest)?.[0];
      if (value === undefined || !word(from)) return [];
      const to = body + value.length;
      if (rule.closed === true && /[A-Za-z0-9]/.test(text[to] ?? "")) return [];
      if (rule.mixed === true && !holdsBoth(value)) return [];
      if (rule.checksum === "jwt_header" && to - from < 40) return [];
      return [{ from, to, kind, detector, weak: false }];
    }
    case "userinfo": {
      const name = /[A-Za-z0-9+._-]*$/.exec(text.slice(0, at))?.[0] ?? "";
      if (name === "" || name.length > 32) return [];
      const scheme = schemeOf(name);
      const to = indexOfPattern(text, TERMINATOR, body);
      const password = passwordAt(text.slice(body, to));
      if (scheme === undefined || password < 0 || "${<*[".includes(text[body + password] ?? "")) {
        return [];
      }
      const from = at - name.length;
      return [{ from, to, kind: scheme.kind, detector: scheme.detector, weak: false }];
    }
    case "assigned": {
      const gap = rule.glued ? "" : /^[=:,\x20\t"'`>\\]*/.exec(rest)?.[0] ?? "";
      const signs = gap.replace(/[^=:,]/g, "").length;
      if (!rule.glued && (signs < 1 || signs > 2 || gap.length >= 16)) return [];
      if (rule.glued && /^[a-z]/i.test(prefix.text) && !word(at)) return [];
      const from = body + gap.length;
      const strict = rule.value.map((part) =>
        typeof part === "string" || part.issued === undefined || !rule.closed
          ? part
          : { chars: part.chars, least: part.issued[0] }
      );
      const value = new RegExp(`^${shapePattern(strict)}`).exec(text.slice(from))?.[0];
      if (value === undefined || "${<*[".includes(value[0] ?? "")) return [];
      const most = rule.value.map((part) => typeof part === "string" ? 0 : part.issued?.[1])[0];
      if (rule.closed && value.length > (most ?? Infinity)) return [];
      const to = from + value.length;
      if (rule.closed && /[A-Za-z0-9]/.test(text[to] ?? "")) return [];
      if (rule.check === "mixed" && !holdsBoth(value)) return [];
      const pair = decoded(value.slice(0, 513));
      if (
        rule.check === "basic_auth" &&
        (value.length > 512 || !/^[\x20-\x39\x3b-\x7e]*:[\x20-\x7e]+$/.test(pair))
      ) return [];
      return [{ from, to, kind, detector, weak: true }];
    }
    case "cookie": {
      // deno-lint-ignore no-control-regex
      const line = /^[^\0-\x1f"']*(?:["'][^\0-\x1f"']*)?/.exec(rest)?.[0] ?? "";
      return [...line.matchAll(/=([^\0-\x20"'`,;)\]}&<>\\\x7f-\u{10ffff}]*)/gu)]
        .filter(([, value]) => (value ?? "").length >= 20 && holdsBoth(value ?? ""))
        .map((match) => {
          const from = body + match.index + 1;
          return { from, to: from + (match[1] ?? "").length, kind, detector, weak: true };
        });
    }
    default:
      return [];
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
  const strong: PlainSpan[] = [];
  const weak: PlainSpan[] = [];
  let free = 0;
  let vendor_end = 0;
  let cookies_end = 0;
  for (let at = 0; at < text.length; at++) {
    const pair = /^"type"[\0-\x20]{0,16}:[\0-\x20]{0,16}"service_account"/.exec(lower.slice(at));
    const prefix = PREFIXES
      .filter(({ text: own, rule, exact_case, at_start }) => {
        if (at_start === true && at > 0) return false;
        if (rule.form === "gcp") return pair !== null;
        if (rule.form === "label") return false;
        return exact_case ? text.startsWith(own, at) : lower.startsWith(own.toLowerCase(), at);
      })
      .sort((a, b) => b.text.length - a.text.length)[0];
    if (prefix === undefined || at < free) continue;
    const { rule, kind } = prefix;
    const body = at + (rule.form === "gcp" ? pair?.[0].length ?? 0 : prefix.text.length);
    const terminator = indexOfPattern(text, TERMINATOR, body);
    const add: Report = (kind, offset, end, detector) =>
      strong.push({ kind, offset, end, detector });
    let holds = true;
    if (rule.form === "token") holds = tokenHolds(text, rule, prefix, at);
    if (rule.form === "aws") holds = /^[0-9A-Z]{16}/.test(text.slice(body));
    if (rule.form === "url") holds = terminator > body;
    if (!holds) continue;
    switch (rule.form) {
      case "token":
      case "aws":
      case "gcp":
      case "url":
        add(kind, at, terminator);
        break;
      case "value":
        if (rule.late) late(kind, at, terminator);
        else add(kind, at, terminator);
        break;
      case "pem":
        add(kind, at, pemEnd(text, body, terminator));
        break;
      case "putty": {
        const lines = /^ *(\d{0,3})/.exec(text.slice(body));
        const count = Math.min(100, Number(lines?.[1] ?? 0));
        const block = new RegExp(`^(?:[\\r\\n]*[=${BASE64}]{1,80}){1,${Math.max(1, count)}}`);
        const from = body + (lines?.[0].length ?? 0);
        const size = count === 0 ? 0 : block.exec(text.slice(from))?.[0].length ?? 0;
        if (size === 0) continue;
        add(kind, at, from + size, prefix.detector);
        free = from + size;
        continue;
      }
      default: {
        if (rule.form === "cookie" && body < cookies_end) continue;
        const spans = plainVendor(text, prefix, at)
          .filter(({ from }) => rule.form !== "vendor" || from >= vendor_end);
        if (rule.form === "cookie") {
          // deno-lint-ignore no-control-regex
          const line = /^[^\0-\x1f"']*(?:["'][^\0-\x1f"']*)?/.exec(text.slice(body))?.[0] ?? "";
          cookies_end = body + line.length;
        }
        for (const { from, to, kind, detector, weak: yields } of spans) {
          (yields ? weak : strong).push({ kind, offset: from, end: to, detector });
          if (rule.form === "vendor") vendor_end = to;
        }
        if (rule.form === "cookie" || spans.length === 0) continue;
      }
    }
    free = body;
  }
  for (const { kind, offset, end, detector } of strong) report(kind, offset, end, detector);
  for (const { kind, offset, end, detector } of weak.sort((a, b) => a.offset - b.offset)) {
    const known = strong.some((span) => span.offset < end && offset < span.end);
    if (!known) report(kind, offset, end, detector);
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
    const iban = digits.length >= 9 ? plainIban(text, chain.index) : undefined;
    if (iban !== undefined) {
      report("GenericHighEntropy", iban.from, iban.to, "iban");
      continue;
    }
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

function plainIban(text: string, chain: number): { from: number; to: number } | undefined {
  const lead = /[A-Z0-9 ]{0,14}$/.exec(text.slice(0, chain))?.[0] ?? "";
  for (let back = 2; back <= lead.length; back++) {
    const from = chain - back;
    const size = IBAN_LENGTHS.get(text.slice(from, from + 2)) ?? 0;
    if (size === 0 || /[A-Za-z0-9]/.test(text[from - 1] ?? "")) continue;
    const groups = Math.ceil(size / 4) - 1;
    const whole = new RegExp(`^(?:[A-Z0-9]{4} *){${groups}}[A-Z0-9]{${size - groups * 4}}`)
      .exec(text.slice(from))?.[0] ?? "";
    if (whole === "" || /[A-Za-z0-9]/.test(text[from + whole.length] ?? "")) continue;
    const packed = whole.replaceAll(" ", "");
    const number = [...packed.slice(4), ...packed.slice(0, 4)]
      .map((sign) => parseInt(sign, 36).toString()).join("");
    if (BigInt(number) % 97n === 1n) return { from, to: from + whole.length };
  }
  return undefined;
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
    const host = /^[A-Za-z0-9._\x80-\u{10ffff}-]*/u.exec(domain)?.[0] ?? "";
    const label = host.split(".")
      .filter((part, index) => index === 0 || /^[A-Za-z0-9\x80-\u{10ffff}]/u.test(part)).at(-1);
    if (!host.includes(".") || /^[0-9]/.test(label ?? "")) continue;
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

const isSnowflake = (run: string): boolean => /^\d{17,20}$/.test(raw(run));

const RUN_TOKENS: readonly (readonly [RegExp, string])[] = [
  [/^xai-([A-Za-z0-9]{64,80})$/, "xai_key"],
  [/^cio([A-Za-z0-9]{32})$/, "crates_token"],
  [/^gloas-([A-Za-z0-9]{64})$/, "gitlab_token"],
];

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
    const code = (token[0].match(new RegExp(`[${BASE64}]{16,}`, "g")) ?? [])
      .some((run) => /[0-9]/.test(run));
    const first = parts.slice(0, 1)
      .filter(({ part }) => code && new RegExp(`[${BASE64}]`).test(part));
    for (const { part, from } of scored.length > 0 ? scored : first) {
      report(kind, from, from + part.length);
    }
  }
  for (const hex of text.matchAll(/[0-9a-fA-F]{64,}/g)) {
    report(kind, hex.index, hex.index + hex[0].length);
  }
  const runs = [...text.matchAll(new RegExp(`[${BASE64}]+`, "g"))];
  const tail = new RegExp(`^\\.[${BASE64}]{6}\\.[${BASE64}]{27,40}(?![${BASE64}])`);
  for (const { 0: run, index } of runs) {
    const rest = tail.exec(text.slice(index + run.length))?.[0];
    if (run.length >= 23 && run.length <= 28 && rest !== undefined && isSnowflake(run)) {
      report(kind, index, index + run.length + rest.length, "discord_bot_token");
    }
    for (const [pattern, detector] of RUN_TOKENS) {
      const value = pattern.exec(run)?.[1] ?? "";
      if (/[0-9]/.test(value) && /[A-Za-z]/.test(value)) {
        report(kind, index, index + run.length, detector);
      }
    }
  }
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

/** All passes in order, sorted, overlaps of one kind united, offsets in bytes. */
function plainScan(input: string): PlainSpan[] {
  const text = input.toWellFormed();
  const found: PlainSpan[] = [];
  const late: PlainSpan[] = [];
  const report: Report = (kind, offset, end, detector) =>
    found.push({ kind, offset, end, detector });
  plainLiterals(text, report, (kind, offset, end) => late.push({ kind, offset, end }));
  plainDigits(text, report);
  plainEmails(text, report);
  plainEntropy(text, found, report);
  return unite([...found, ...late]).map((span) => ({
    ...span,
    offset: bytesOf(text.slice(0, span.offset)),
    end: bytesOf(text.slice(0, span.end)),
  }));
}

function unite(spans: readonly PlainSpan[]): PlainSpan[] {
  const united: PlainSpan[] = [];
  for (const span of spans.toSorted((a, b) => a.offset - b.offset)) {
    const same = united.find((other) =>
      other.kind === span.kind && other.detector === span.detector && span.offset < other.end
    );
    if (same === undefined) united.push({ ...span });
    else same.end = Math.max(same.end, span.end);
  }
  return united.filter((span) =>
    span.detector !== undefined ||
    !united.some((other) =>
      other.detector !== undefined && other.kind === span.kind && other.offset <= span.offset &&
      other.end >= span.end
    )
  );
}

const ALPHABET = [..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/_-"];
const of = (characters: readonly string[], minLength: number, maxLength: number) =>
  fc.array(fc.constantFrom(...characters), { minLength, maxLength }).map((list) => list.join(""));

/** Values that hold, and some that nearly do. */
const VALID: readonly string[] = [
  ...PREFIXES.flatMap(({ text, rule }) => {
    const shape = rule.form === "vendor" ? rule.shape : rule.form === "assigned" ? rule.value : [];
    const before = rule.form === "vendor" && rule.before !== undefined ? rule.before.least : 0;
    const size = (part: Shape[number], more: number): string =>
      typeof part === "string"
        ? part
        : "3aB7".repeat(99).replace(/[^3]/g, (sign) =>
          part.chars & 8 && !(part.chars & 4) ? "4" : sign)
          .slice(0, Math.max(1, (part.issued?.[0] ?? part.least) + more));
    const value = (more: number): string => shape.map((part) => size(part, more)).join("");
    const start = "12345678901234".slice(0, before) + text;
    return shape.length === 0 ? [] : [start + value(0), start + value(-1), start + value(1)];
  }),
  "redis://:hunter2@cache",
  "mysql+pymysql://root:hunter2@db/x",
  "https://me:hunter2@example.com/x",
  "jdbc:mariadb://u:p@db",
  "Basic dXNlcjpwYXNzd29yZA==",
  "Cookie: sid=3aB73aB73aB73aB73aB73aB7; x=1",
  "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl",
  "MTIzNDU2Nzg5MDEyMzQ1Njc4.GabcDe.abcdefghijklmnopqrstuvwxyz0123456",
  "GB82 WEST 1234 5698 7654 32",
  "DE89370400440532013000",
  "left-pad@1.3.0",
  "cio" + "3aB7".repeat(8),
  "xai-" + "3aB7".repeat(20),
  "gloas-" + "3ab7".repeat(16),
  "Private-Lines: 2\nAAAAgQC7\nb3Jh==\nPrivate-MAC: 00",
];

const fragment = fc.oneof(
  fc.constantFrom(...PREFIXES.map((prefix) => prefix.text)),
  fc.constantFrom(...PREFIXES.map((prefix) => prefix.text.toUpperCase())),
  fc.constantFrom(...VALID),
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

const STRICT = createScanner({ patterns: [], locale_packs: [], strict: true });

Deno.test("the scanner agrees with the plain rules on texts made to confuse it", () => {
  let with_findings = 0;
  let with_detector = 0;
  fc.assert(
    fc.property(hostileText, (text) => {
      const plain = plainScan(text).map((span) => ({ ...span, detector: span.detector }));
      if (plain.length > 0) with_findings++;
      if (plain.some(({ detector }) => detector !== undefined)) with_detector++;
      // What is found behind encodings is the matter of `decode/`.
      const plainly = DEFAULT_SCANNER.scan(text).filter((finding) =>
        finding.source === "locale" || finding.via === undefined
      );
      const seen = plainly.map((finding) => ({
        kind: finding.source === "locale" ? finding.category : finding.kind,
        offset: finding.offset,
        end: finding.end,
        detector: finding.source === "locale" ? undefined : finding.detector,
      }));
      assert.deepEqual(seen, plain);
    }),
    { numRuns: 3_000 },
  );
  assert.ok(with_findings > 1_000 && with_detector > 200, "the texts must be worth scanning");
});

Deno.test("the one walk finds what all passes find, wherever in its steps a text starts", () => {
  fc.assert(
    fc.property(hostileText, fc.nat({ max: 40 }), fc.nat({ max: 40 }), (text, left, right) => {
      const padded = "x ".repeat(left >> 1) + " ".repeat(left & 1) + text + " y".repeat(right);
      const bytes = new TextEncoder().encode(padded);
      assert.deepEqual(DEFAULT_SCANNER.scan(padded), scanThoroughly(encodeText(padded)));
      assert.deepEqual(DEFAULT_SCANNER.scanBytes(bytes), DEFAULT_SCANNER.scan(padded));
      assert.deepEqual(STRICT.scan(padded), scanThoroughly(encodeText(padded), true));
    }),
    { numRuns: 3_000 },
  );
});
