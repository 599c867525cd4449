/**
 * Writes `detectors.md` from the code: every kind and detector of the scanner, what it is judged as,
 * and where its shape is written down.
 * `deno run --allow-read=. --allow-write=docs docs/generate_detectors.ts`; a test keeps the page
 * equal to what this prints.
 *
 * @module
 */
import { assess, CREDENTIAL_KINDS, type DetectorName, DETECTORS } from "../core/scanner/mod.ts";
import { PREFIXES } from "../core/scanner/detectors/prefix.ts";

const HEAD = `# What the scanner finds

Generated from the code by \`docs/generate_detectors.ts\`; a test keeps this page true.

Kind names and labels are frozen. What has no kind of its own is reported under the kind it is another form of, or as
\`GenericHighEntropy\`, and carries the detector's name; category, severity and confidence are then the detector's. A checksum inside a
value that agrees (GitHub, npm, JSON Web Token header, IBAN) marks the finding \`verified\` and makes confidence high; one that does not lowers
nothing. Patterns of a policy are found as \`Custom\`, entities of a locale pack under their category.
`;

/** The page as it should be. */
export function detectorsPage(): string {
  const kinds = CREDENTIAL_KINDS.map((kind) => {
    const { category, severity, confidence, method } = assess({
      source: "builtin",
      kind,
      offset: 0,
      end: 1,
    });
    return `| \`${kind}\` | \`${category}\` | ${severity} | ${confidence} | ${method} | ${
      starts(
        PREFIXES.filter((prefix) => prefix.kind === kind && prefix.detector === undefined)
          .filter(({ rule }) => rule.form !== "userinfo"),
      )
    } |`;
  });
  const detectors = Object.entries(DETECTORS).map(([name, entry]) => {
    const own = PREFIXES.filter((prefix) => prefix.detector === name as DetectorName);
    return `| \`${name}\` | \`${entry.category}\` | ${entry.severity} | ${entry.confidence} | ${
      starts(own)
    } | ${entry.source} |`;
  });
  return [
    HEAD,
    "## Kinds\n",
    "| Kind | Category | Severity | Confidence | Method | Starts with |",
    "|---|---|---|---|---|---|",
    ...kinds,
    "\n## Detectors beyond the kinds\n",
    "| Detector | Category | Severity | Confidence | Starts with, or is named by | Shape after |",
    "|---|---|---|---|---|---|",
    ...detectors,
    "",
  ].join("\n");
}

const STARTS_SHOWN = 4;

function starts(prefixes: readonly { readonly text: string }[]): string {
  const texts = [...new Set(prefixes.map(({ text }) => text.trim()))].sort();
  const shown = texts.slice(0, STARTS_SHOWN).map((text) => `\`${text.replaceAll("`", "'")}\``);
  return shown.join(" ") + (texts.length > STARTS_SHOWN ? " …" : "");
}

if (import.meta.main) {
  await Deno.writeTextFile(new URL("detectors.md", import.meta.url), detectorsPage());
}
