/**
 * What may never be stored, by the names it goes by (contract `policy-and-gateway` §10.3). A name is
 * folded before it is compared, so that no spelling of it is another name.
 *
 * @module
 */

/** Keys whose values never reach the log, at any depth. */
export const BANNED_KEYS: ReadonlySet<string> = new Set([
  "prompt",
  "completion",
  "llm_input",
  "llm_output",
  "tool_payload",
  "tool_response",
  "tool_args",
  "tool_result",
  "packet_body",
  "packet_payload",
  "heartbeat_seq",
]);

const FOLDED_KEYS: ReadonlySet<string> = new Set([...BANNED_KEYS].map(fold));

/** Whether a member name may not be stored. */
export function isBannedKey(key: string): boolean {
  return FOLDED_KEYS.has(fold(key));
}

/**
 * One form for every spelling: compatibility characters, case, separators (`toolArgs`, `tool-args`)
 * and characters that nobody sees.
 */
function fold(key: string): string {
  return key.normalize("NFKC").replaceAll(/[\p{Cc}\p{Cf}\s_.-]/gu, "").toLowerCase();
}

/** Words of the keys, with whatever a spelling may put between their parts. */
const WORDS = [...BANNED_KEYS].map((key) => key.replaceAll("_", "[_\\s.-]*")).join("|");

/** Base64 of something that begins as JSON does, the usual spaces included. */
export const BASE64_JSON = /(?:ey[AIJ]|ew[ko]|W[13]s|Wy[Jdw]|Ww[Ao]|I[ilm])[A-Za-z0-9+/_-]{9,}/;

// A text without any of these cannot hold a banned key: no beginning of one, no escape that could
// spell one, no letter outside ASCII that folds into one. Looked for in every entry, so it is short.
const SUSPECT =
  // deno-lint-ignore no-control-regex -- the class is "outside ASCII"
  /prompt|completion|llm[_\s.-]*[io]|tool[_\s.-]*(?:pay|res|arg)|packet[_\s.-]*[bp]|heartbeat[_\s.-]*s|\\u|%22|[^\x00-\x7f]/i;

/** A quoted name before a colon, escaped however often; or a name in a query. */
const MEMBER = new RegExp(
  `["'\\\\]\\s*(?:${WORDS})[\\s\\\\tnrf]*["']\\s*:|[?&](?:${WORDS})=`,
  "i",
);

/** Whether a text must be looked at; false is certain for every encoding that is covered. */
export function mayHoldBanned(text: string): boolean {
  return SUSPECT.test(text) || BASE64_JSON.test(text);
}

/** Whether a text that is no JSON names a banned member all the same: quoted JSON, a query. */
export function namesBannedMember(text: string): boolean {
  return MEMBER.test(text) || MEMBER.test(undisguised(text));
}

/** Without escapes, compatibility characters and characters that nobody sees. */
function undisguised(text: string): string {
  return text.replaceAll(/\\+u([0-9a-f]{4})/gi, (_whole, unit: string) => {
    return String.fromCharCode(Number.parseInt(unit, 16));
  }).normalize("NFKC").replaceAll(/\p{Cf}/gu, "");
}
