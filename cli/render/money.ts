/**
 * Micro-dollars as people read them.
 *
 * @module
 */

/** US dollars with two to six decimals: no digit that matters is dropped, no zero is shown for one. */
export function usdText(micro_usd: bigint): string {
  const sign = micro_usd < 0n ? "-" : "";
  const units = micro_usd < 0n ? -micro_usd : micro_usd;
  const decimals = String(units % 1_000_000n).padStart(6, "0").replace(/0{1,4}$/, "");
  return `${sign}${units / 1_000_000n}.${decimals}`;
}

/** An exact amount of US dollars for programs: six decimals. */
export function usdData(micro_usd: bigint): string {
  const sign = micro_usd < 0n ? "-" : "";
  const units = micro_usd < 0n ? -micro_usd : micro_usd;
  return `${sign}${units / 1_000_000n}.${String(units % 1_000_000n).padStart(6, "0")}`;
}

/** A rate in pico-dollars per token as US dollars per thousand tokens. */
export function rateText(pico_usd: bigint): string {
  const decimals = String(pico_usd % 1_000_000_000n).padStart(9, "0").replace(/0{1,8}$/, "");
  return `${pico_usd / 1_000_000_000n}.${decimals}`;
}
