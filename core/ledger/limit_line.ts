/**
 * The limits of policy documents as the ledger tests them: whose account, which window, how much.
 *
 * @module
 */
import { BUDGET_LIMITS, type BudgetLimit } from "../policy/budget.ts";
import type { CompiledDocument } from "../policy/compiled_document.ts";
import type { Budget, NamedLimit } from "../policy/document.ts";
import type { Located, Position } from "../policy/position.ts";
import type { Account, Level } from "./account.ts";
import { EMPTY } from "./account.ts";
import type { Dimension } from "./amount.ts";
import { dayOf, monthSpan } from "./calendar.ts";
import type { OwnerKind } from "./owner.ts";

/** How long spend counts against a limit. */
export type WindowSpec =
  | { readonly kind: "daily"; readonly zone: string }
  | { readonly kind: "monthly"; readonly zone: string }
  | { readonly kind: "rolling"; readonly zone: string; readonly days: number }
  /** The document's `window`, which takes the place of its day (contract §6.2). */
  | { readonly kind: "short"; readonly window_ms: number };

/** One limit of one document. */
export interface LimitLine {
  readonly by: CompiledDocument;
  readonly at: Position;
  /** Dotted, below `budget`, e.g. `daily_limit_usd`. */
  readonly path: string;
  readonly owner: OwnerKind;
  /**
   * The contract's limit per agent: every ancestor is tested with what its whole subtree spent, so
   * that nobody escapes a limit through its children (§6.4).
   */
  readonly inherited: boolean;
  readonly window: WindowSpec;
  readonly dimension: Dimension;
  readonly limit: number;
  /** The contract's word for the window: `daily` for the short one too. */
  readonly word: "monthly" | "daily" | "rolling";
  /** Names owner kind, window, dimension and limit: equal limits tell one alert. */
  readonly key: string;
}

/** Zone in which a document's days begin. */
export function zoneOf(budget: Budget): string {
  return budget.timezone ?? "UTC";
}

const lines_of = new WeakMap<CompiledDocument, readonly LimitLine[]>();

/** Every limit of a document, month before rolling days before day. */
export function linesOf(by: CompiledDocument): readonly LimitLine[] {
  const known = lines_of.get(by);
  if (known !== undefined) return known;
  const { budget } = by.document;
  const lines = budget === undefined
    ? []
    : [...contractLines(by, budget), ...namedLines(by, budget)];
  const order = ["monthly", "rolling", "daily"];
  lines.sort((a, b) => order.indexOf(a.word) - order.indexOf(b.word));
  lines_of.set(by, lines);
  return lines;
}

function* contractLines(by: CompiledDocument, budget: Budget): Generator<LimitLine> {
  for (const limit of BUDGET_LIMITS) {
    const stated = budget[limit.key];
    if (stated === undefined) continue;
    const inherited = limit.owner === "agent";
    const spec = {
      path: limit.yaml_key,
      owner: inherited ? "subtree" as const : limit.owner,
      inherited,
      window: windowOf(budget, limit.window),
      dimension: "micro_usd" as const,
      word: limit.window,
    };
    yield line(by, stated, spec);
  }
}

function* namedLines(by: CompiledDocument, budget: Budget): Generator<LimitLine> {
  for (const [name, named] of budget.limits ?? []) {
    for (const dimension of ["micro_usd", "tokens", "calls", "wall_ms"] as const) {
      const stated = named[dimension];
      if (stated === undefined) continue;
      const spec = {
        path: `limits.${name}.${YAML_DIMENSION[dimension]}`,
        owner: named.per,
        inherited: false,
        window: windowOf(budget, named.window, named.days),
        dimension,
        word: named.window,
      };
      yield line(by, stated, spec);
    }
  }
}

const YAML_DIMENSION: Readonly<Record<Dimension, string>> = {
  micro_usd: "usd",
  tokens: "tokens",
  calls: "calls",
  wall_ms: "wall_seconds",
};

function line(
  by: CompiledDocument,
  stated: Located<number>,
  spec: Omit<LimitLine, "by" | "at" | "limit" | "key">,
): LimitLine {
  const limit = stated.value;
  const key = [spec.owner, windowKey(spec.window), spec.dimension, limit].join(" ");
  return { by, at: { line: stated.line, column: stated.column }, limit, key, ...spec };
}

/** The window that a word of a document means. */
export function windowOf(budget: Budget, word: NamedLimit["window"], days = 1): WindowSpec {
  const zone = zoneOf(budget);
  if (word === "monthly") return { kind: "monthly", zone };
  if (word === "rolling") return { kind: "rolling", zone, days };
  const { window_ms } = budget;
  return window_ms === undefined ? { kind: "daily", zone } : { kind: "short", window_ms };
}

/** The window a contract limit of a document is tested in. */
export function windowOfLimit(budget: Budget, limit: BudgetLimit): WindowSpec {
  return windowOf(budget, limit.window);
}

/** A window by name. */
export function windowKey(window: WindowSpec): string {
  switch (window.kind) {
    case "daily":
    case "monthly":
      return `${window.kind}@${window.zone}`;
    case "rolling":
      return `rolling${window.days}@${window.zone}`;
    case "short":
      return `${window.window_ms}ms`;
  }
}

/** What an account holds in a running window. */
export function levelAt(
  account: Account | undefined,
  window: WindowSpec,
  now_ms: number,
  steady_ms: number,
): Level {
  if (account === undefined) return EMPTY;
  switch (window.kind) {
    case "daily":
      return account.day(window.zone, now_ms);
    case "monthly":
      return account.month(window.zone, now_ms);
    case "rolling":
      return account.rolling(window.zone, window.days, now_ms);
    case "short":
      return account.window(window.window_ms, steady_ms);
  }
}

/** Which instance of a window is running: its name changes when the window does. */
export function windowInstance(
  account: Account | undefined,
  window: WindowSpec,
  now_ms: number,
): string {
  switch (window.kind) {
    case "daily":
    case "rolling":
      return dayOf(window.zone, now_ms).date;
    case "monthly":
      return dayOf(window.zone, now_ms).month;
    case "short":
      return String(account?.windows.get(window.window_ms)?.anchor_ms ?? 0);
  }
}

/** First moment after the running window; `undefined` while a short one has not begun. */
export function windowEnd(
  account: Account | undefined,
  window: WindowSpec,
  now_ms: number,
): number | undefined {
  switch (window.kind) {
    case "daily":
    case "rolling":
      return dayOf(window.zone, now_ms).end_ms;
    case "monthly":
      return monthSpan(window.zone, now_ms).end_ms;
    case "short": {
      const anchor_ms = account?.windows.get(window.window_ms)?.anchor_ms;
      return anchor_ms === undefined ? undefined : anchor_ms + window.window_ms;
    }
  }
}
