/**
 * Applies a REDACT verdict. The gateway names the kinds it found and never sends text back, so the
 * agent's side finds the spans itself and proves that it found every kind it was told of.
 *
 * @module
 */
import { DEFAULT_SCANNER, redact } from "../../core/scanner/mod.ts";
import type { Act } from "./act.ts";

/**
 * The act with every named finding cut out.
 *
 * @param kinds Kinds that the gateway's instructions name.
 * @returns `undefined` when a kind cannot be found here (a pattern that only the policy knows): such
 * an act cannot be made safe on this side and must not happen.
 */
export function redactedAct(act: Act, kinds: readonly string[]): Act | undefined {
  switch (act.kind) {
    case "tool": {
      const text = redactedText(JSON.stringify(act.args), kinds);
      return text === undefined ? undefined : withArguments(act, text);
    }
    case "tool_result": {
      const result = redactedText(act.result, kinds);
      return result === undefined ? undefined : { ...act, result };
    }
    default:
      // A path, an address or a command with a hole in it is another path, address or command.
      return undefined;
  }
}

function withArguments(act: Act & { kind: "tool" }, text: string): Act | undefined {
  try {
    return { ...act, args: JSON.parse(text) };
  } catch {
    // A label that swallowed a quote leaves no JSON behind.
    return undefined;
  }
}

function redactedText(text: string, kinds: readonly string[]): string | undefined {
  const findings = DEFAULT_SCANNER.scan(text);
  const found = new Set<string>(
    findings.map((finding) => finding.source === "locale" ? finding.category : finding.kind),
  );
  if (kinds.length === 0 || kinds.some((kind) => !found.has(kind))) return undefined;
  return redact(text, findings);
}
