/**
 * The ledger's refused state: its records cannot be trusted, so nothing that has a price may happen
 * (contract `policy-and-gateway` §6.3; trap 35).
 *
 * @module
 */
import type { Action } from "../../core/action.ts";
import { modelCallOf, priceCall, type Pricing } from "../../core/ledger/mod.ts";
import { isCharged, LEDGER_UNAVAILABLE, type Spend, toolCost } from "../../core/policy/budget.ts";
import type { CompiledDocument } from "../../core/policy/compiled_document.ts";
import type { LedgerPart, Reserve, ReserveAsk } from "../engine/parts.ts";

/** Denies what has a price; everything else passes. */
export class UnavailableLedger implements LedgerPart {
  /** @param detail Why, and what to do. */
  constructor(readonly pricing: Pricing, readonly detail: string) {}

  spend(): Spend {
    return { state: "unavailable" };
  }

  price(action: Action, budgets: readonly CompiledDocument[] = []): number {
    const terms = {
      settles: false,
      declared: {},
      wall_limited: false,
      tool_micro_usd: toolCost(budgets, action),
    };
    return priceCall(this.pricing, action, terms)?.worst.micro_usd ?? 0;
  }

  reserve({ action, budgets }: ReserveAsk): Reserve {
    if (modelCallOf(action) === undefined && !isCharged(budgets, action)) {
      return { outcome: "free" };
    }
    return { outcome: "denied", reason: LEDGER_UNAVAILABLE, suspend: false, detail: this.detail };
  }

  note(ask: ReserveAsk): Reserve {
    return this.reserve(ask);
  }

  preview(ask: ReserveAsk): Reserve {
    return this.reserve(ask);
  }
}
