/**
 * Capability tokens: which one an action needs, and the merge of allow and deny lists over a
 * cascade (contract `policy-and-gateway` §3.2, §4.4, §13.1 #12).
 *
 * @module
 */
import type { Action } from "../action.ts";
import type { Capability } from "./document.ts";
import type { CompiledDocument } from "./compiled_document.ts";

/** The token an action needs; `undefined` for a message, which no capability governs. */
export function capabilityOf(action: Action): string | undefined {
  switch (action.kind) {
    case "tool_call":
    case "tool_result":
      return `mcp_tool:${action.tool}`;
    case "file_access":
      switch (action.mode) {
        case "read":
          return "file_read";
        case "write":
        case "append":
          return "file_write";
        case "delete":
          return "file_delete";
      }
      break;
    case "network_request":
      return "network_outbound";
    case "process_exec":
      return "terminal_exec";
    case "send_message":
      return undefined;
  }
  throw new TypeError("an action of an unknown kind");
}

/** What the merged lists say of one token. */
export type CapabilityVerdict =
  | { readonly verdict: "pass"; readonly narrowed: boolean }
  | { readonly verdict: "denied"; readonly by: CompiledDocument; readonly token: Capability }
  | { readonly verdict: "not_allowed"; readonly by: CompiledDocument };

const PASS: CapabilityVerdict = { verdict: "pass", narrowed: false };
const PASS_NARROWED: CapabilityVerdict = { verdict: "pass", narrowed: true };

/**
 * The capability lists of a cascade. Denials are united; allow lists are intersected, and an
 * intersection that is empty stays an allow list that allows nothing: a third list cannot reopen it.
 */
export class CapabilityRules {
  readonly #denied = new Map<string, { by: CompiledDocument; token: Capability }>();
  readonly #lists: readonly CompiledDocument[];
  readonly #allowed: ReadonlySet<string> | undefined;

  /** @param documents The cascade, widest document first. */
  constructor(documents: readonly CompiledDocument[]) {
    const lists: CompiledDocument[] = [];
    let allowed: Set<string> | undefined;
    for (const by of documents) {
      for (const token of by.document.capabilities?.deny ?? []) {
        if (!this.#denied.has(token.text)) this.#denied.set(token.text, { by, token });
      }
      const own = by.allowed_capabilities;
      if (own === undefined) continue;
      lists.push(by);
      allowed = allowed === undefined ? new Set(own) : allowed.intersection(own);
    }
    this.#lists = lists;
    this.#allowed = allowed;
  }

  /** True when no document has a capability list: every action passes, unnarrowed. */
  get silent(): boolean {
    return this.#allowed === undefined && this.#denied.size === 0;
  }

  /** Documents with an allow list in force, widest first. */
  get lists(): readonly CompiledDocument[] {
    return this.#lists;
  }

  /** Denials first; deleting is also hit by a denial of `file_write` (contract §4.4). */
  check(capability: string): CapabilityVerdict {
    const denial = this.#denied.get(capability) ??
      (capability === "file_delete" ? this.#denied.get("file_write") : undefined);
    if (denial !== undefined) return { verdict: "denied", by: denial.by, token: denial.token };
    if (this.#allowed === undefined) return PASS;
    if (this.#allowed.has(capability)) return PASS_NARROWED;
    const by = this.#lists.find((list) => list.allowed_capabilities?.has(capability) !== true);
    if (by === undefined) throw new Error("an intersection lacks what every list holds");
    return { verdict: "not_allowed", by };
  }
}
