/**
 * The ledger: accounts in double entry, windows, reservations, prices, limits. Pure; no I/O, no
 * clock.
 *
 * @module
 */
export * from "./account.ts";
export * from "./admission.ts";
export * from "./alert.ts";
export * from "./amount.ts";
export * from "./calendar.ts";
export * from "./call_price.ts";
export * from "./conservation.ts";
export * from "./forecast.ts";
export * from "./limit_line.ts";
export * from "./limits.ts";
export * from "./owner.ts";
export * from "./pricing.ts";
export * from "./pricing_file.ts";
export * from "./state.ts";
export * from "./stored.ts";
export * from "./transaction.ts";
