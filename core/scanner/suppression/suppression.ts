/**
 * What an operator has looked at and found harmless: one exact value, of one kind, in one place, for
 * a time. It names the value by a keyed hash, so a list of suppressions gives no secret away.
 *
 * @module
 */
import { DETECTORS } from "../detectors/catalog.ts";
import { CREDENTIAL_KINDS, type Finding } from "../finding.ts";
import { SCANNER_LIMITS } from "../limits.ts";

/** Where a suppression holds. What is absent holds everywhere; one at least is present. */
export interface SuppressionScope {
  readonly agent?: string;
  readonly team?: string;
  readonly tool?: string;
  /** Dotted path of the field that was scanned, e.g. `args.query`; exact. */
  readonly path?: string;
}

/** One suppression. Made by {@linkcode parseSuppressions} only. */
export interface Suppression {
  /** Unique within its document; goes into the audit log with what it suppressed. */
  readonly id: string;
  /** Why the value is harmless, in the words of whoever said so. */
  readonly reason: string;
  /** A kind, a detector, or a category of a locale pack. */
  readonly kind: string;
  /** HMAC-SHA-256 over {@linkcode suppressionInput}, 64 lower-case hex digits. */
  readonly value_hmac: string;
  readonly scope: SuppressionScope;
  /** From then on it suppresses nothing; milliseconds since 1970. */
  readonly expires_at_ms: number;
}

/** What is wrong with a document, and where. */
export interface SuppressionProblem {
  /** Path within the document, e.g. `data.suppressions[2].expires_at`. */
  readonly path: string;
  /** Without a full stop: what was expected, and what was received. */
  readonly message: string;
}

/** Suppressions that hold, and problems; an entry with a problem is not among the suppressions. */
export interface ParsedSuppressions {
  readonly suppressions: readonly Suppression[];
  readonly problems: readonly SuppressionProblem[];
}

const SCOPE_KEYS = ["agent", "team", "tool", "path"] as const;
const KEYS: ReadonlySet<string> = new Set([
  ...["id", "reason", "kind", "value_hmac", "expires_at"],
  ...SCOPE_KEYS,
]);
const KINDS: ReadonlySet<string> = new Set<string>([
  ...CREDENTIAL_KINDS,
  "Custom",
  ...Object.keys(DETECTORS),
]);

/**
 * Reads a list of suppressions, as a policy or a JSON document holds it.
 *
 * @param value The list, parsed but not checked; `undefined` is an empty one.
 * @param path What the list is called in problems, e.g. `data.suppressions`.
 */
export function parseSuppressions(value: unknown, path: string): ParsedSuppressions {
  const problems: SuppressionProblem[] = [];
  const suppressions: Suppression[] = [];
  if (value === undefined || value === null) return { suppressions, problems };
  if (!Array.isArray(value)) {
    return {
      suppressions,
      problems: [{ path, message: `expected a list, received ${typeName(value)}` }],
    };
  }
  if (value.length > SCANNER_LIMITS.suppressions) {
    const message =
      `expected at most ${SCANNER_LIMITS.suppressions} suppressions, received \`${value.length}\``;
    return { suppressions, problems: [{ path, message }] };
  }
  const ids = new Set<string>();
  value.forEach((entry: unknown, index) => {
    const reader = new EntryReader(entry, `${path}[${index}]`, problems);
    const suppression = reader.read();
    if (suppression === undefined) return;
    if (ids.has(suppression.id)) {
      const message = `expected an id of its own, received \`${suppression.id}\` again`;
      problems.push({ path: `${path}[${index}].id`, message });
      return;
    }
    ids.add(suppression.id);
    suppressions.push(suppression);
  });
  return { suppressions, problems };
}

/** Reads one entry; every problem of it is reported, and any problem makes it none. */
class EntryReader {
  readonly #entry: unknown;
  readonly #path: string;
  readonly #problems: SuppressionProblem[];
  #sound = true;

  constructor(entry: unknown, path: string, problems: SuppressionProblem[]) {
    this.#entry = entry;
    this.#path = path;
    this.#problems = problems;
  }

  read(): Suppression | undefined {
    if (typeof this.#entry !== "object" || this.#entry === null || Array.isArray(this.#entry)) {
      this.#refuse("", `expected a suppression, received ${typeName(this.#entry)}`);
      return undefined;
    }
    const fields: Readonly<Record<string, unknown>> = { ...this.#entry };
    for (const key of Object.keys(fields)) {
      if (!KEYS.has(key)) this.#refuse(key, `expected one of ${[...KEYS].join(", ")}`);
    }
    const id = this.#text(fields, "id");
    const reason = this.#text(fields, "reason");
    const kind = this.#text(fields, "kind");
    if (kind !== "" && !KINDS.has(kind) && !/^[A-Z_]+\[[^\]]+\]$/.test(kind)) {
      this.#refuse("kind", `expected a kind or detector of the scanner, received \`${kind}\``);
    }
    const value_hmac = this.#text(fields, "value_hmac");
    if (value_hmac !== "" && !/^[0-9a-f]{64}$/.test(value_hmac)) {
      // What was received is not repeated: it may be the value itself.
      this.#refuse("value_hmac", "expected 64 lower-case hex digits; never write the value itself");
    }
    const expires_at_ms = this.#time(fields, "expires_at");
    const scope = this.#scope(fields);
    return this.#sound ? { id, reason, kind, value_hmac, scope, expires_at_ms } : undefined;
  }

  #scope(fields: Readonly<Record<string, unknown>>): SuppressionScope {
    const present = SCOPE_KEYS.filter((key) => fields[key] !== undefined);
    if (present.length === 0) {
      this.#refuse("", `expected at least one of ${SCOPE_KEYS.join(", ")}, received none`);
    }
    return Object.fromEntries(present.map((key) => [key, this.#text(fields, key)]));
  }

  #text(fields: Readonly<Record<string, unknown>>, key: string): string {
    const value = fields[key];
    if (typeof value === "string" && value !== "") {
      if (value.length <= SCANNER_LIMITS.suppression_chars) return value;
      const most = SCANNER_LIMITS.suppression_chars;
      this.#refuse(key, `expected at most ${most} characters, received \`${value.length}\``);
      return "";
    }
    this.#refuse(
      key,
      `expected a text, received ${value === "" ? "an empty one" : typeName(value)}`,
    );
    return "";
  }

  #time(fields: Readonly<Record<string, unknown>>, key: string): number {
    const value = fields[key];
    const form = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,3})?(Z|[+-]\d{2}:\d{2})$/;
    const time_ms = typeof value === "string" && form.test(value) ? Date.parse(value) : NaN;
    if (Number.isNaN(time_ms)) {
      this.#refuse(key, "expected a time such as `2030-01-31T00:00:00Z`: a suppression must end");
    }
    return time_ms;
  }

  #refuse(key: string, message: string): void {
    this.#sound = false;
    this.#problems.push({ path: key === "" ? this.#path : `${this.#path}.${key}`, message });
  }
}

function typeName(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  return Array.isArray(value) ? "a list" : `a ${typeof value}`;
}

/** Where a text was scanned, and when. */
export interface SuppressionContext extends SuppressionScope {
  /** Milliseconds since 1970. */
  readonly now_ms: number;
}

/** A finding that is not acted on; it is still reported, with why. */
export interface SuppressedFinding {
  readonly finding: Finding;
  readonly suppression_id: string;
  readonly reason: string;
}

/** Findings to act on, and those that are not acted on. */
export interface SuppressionResult {
  readonly live: readonly Finding[];
  readonly suppressed: readonly SuppressedFinding[];
}

/**
 * HMAC-SHA-256 in lower-case hex, under a key that only the operator's own programs have: whoever
 * knows it can test guesses of short values.
 */
export type KeyedHash = (bytes: Uint8Array) => string;

const encoder = new TextEncoder();

/** What is hashed for a value: a hash made for one kind is none for another. */
export function suppressionInput(kind: string, value: Uint8Array): Uint8Array {
  const head = encoder.encode(`agent-assembly suppression v1\0${kind}\0`);
  const input = new Uint8Array(head.length + value.length);
  input.set(head);
  input.set(value, head.length);
  return input;
}

/**
 * Parts findings into those to act on and those an operator has excused.
 *
 * A suppression excuses a finding when its kind, its whole scope and the exact bytes agree, and it has
 * not expired. A scope that names what the context does not know excuses nothing.
 *
 * @param bytes The text that was scanned, in UTF-8.
 */
export function applySuppressions(
  findings: readonly Finding[],
  bytes: Uint8Array,
  suppressions: readonly Suppression[],
  context: SuppressionContext,
  keyedHash: KeyedHash,
): SuppressionResult {
  const holding = suppressions.filter((one) => holds(one, context));
  if (holding.length === 0) return { live: findings, suppressed: [] };
  const live: Finding[] = [];
  const suppressed: SuppressedFinding[] = [];
  for (const finding of findings) {
    const names = namesOf(finding);
    const candidates = holding.filter(({ kind }) => names.includes(kind));
    const value = bytes.subarray(finding.offset, finding.end);
    const match = candidates.find(({ kind, value_hmac }) =>
      keyedHash(suppressionInput(kind, value)) === value_hmac
    );
    if (match === undefined) live.push(finding);
    else suppressed.push({ finding, suppression_id: match.id, reason: match.reason });
  }
  return { live, suppressed };
}

function holds({ scope, expires_at_ms }: Suppression, context: SuppressionContext): boolean {
  // A clock that gives no number lets nothing through.
  if (!(context.now_ms < expires_at_ms)) return false;
  return SCOPE_KEYS.every((key) => scope[key] === undefined || scope[key] === context[key]);
}

function namesOf(finding: Finding): readonly string[] {
  if (finding.source === "locale") return [finding.category];
  return finding.detector === undefined ? [finding.kind] : [finding.detector, finding.kind];
}
