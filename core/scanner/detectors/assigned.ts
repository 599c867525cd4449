/**
 * Secrets that only their name gives away: `aws_secret_access_key = …`, `Authorization: Basic …`,
 * cookies, passwords in connection strings. The finding is the value; the name stays.
 *
 * @module
 */
import type { CredentialKind } from "../finding.ts";
import type { DetectorName } from "./catalog.ts";
import type { Prefix, PrefixRule } from "./prefix.ts";
import {
  BASE64_PADDED,
  BASE64URL,
  chars,
  HEX_DIGITS,
  OPAQUE,
  type Shape,
  TOKEN68,
} from "./shape.ts";

type Extra = Partial<Omit<PrefixRule & { form: "assigned" }, "form" | "value">>;

function assigned(
  detector: DetectorName,
  text: string,
  value: Shape,
  extra: Extra = {},
  kind: CredentialKind = "GenericHighEntropy",
): Prefix {
  const rule = { form: "assigned", value, closed: true, glued: false, ...extra } as const;
  return { text, exact_case: false, kind, detector, rule };
}

function each(
  detector: DetectorName,
  texts: readonly string[],
  value: Shape,
  extra: Extra = {},
): Prefix[] {
  return texts.map((text) => assigned(detector, text, value, extra));
}

/** What stands before an authentication scheme, where anything does. */
const BEFORE_SCHEME = [" ", '"', "'", ":", "=", "`", "\n", "\t"];

/**
 * The name of an authentication scheme is an ordinary word: it is looked for together with the
 * character before it, which is rare where the word is not.
 */
function schemes(
  detector: DetectorName,
  name: string,
  value: Shape,
  extra: Extra,
): Prefix[] {
  const first = assigned(detector, name, value, { ...extra, glued: true });
  return [
    { ...first, exact_case: true, at_start: true },
    ...BEFORE_SCHEME.map((sign) => ({ ...first, text: sign + name, exact_case: true })),
  ];
}

const PASSWORD = {
  glued: true,
  closed: false,
  check: "not_a_placeholder",
} as const;

/** Every name that gives a secret away. */
export const ASSIGNED: readonly Prefix[] = [
  // Exactly 40 characters; most also pass the entropy gate, but not all, and not by this name.
  ...each(
    "aws_secret_access_key",
    ["secret_access_key", "secretAccessKey", "secret-access-key", "aws_secret_key", "awsSecretKey"],
    [chars(BASE64_PADDED, 40, 40)],
    { check: "mixed" },
  ),
  ...each(
    "aws_session_token",
    ["aws_session_token", "aws_security_token", "x-amz-security-token"],
    [chars(BASE64_PADDED, 100)],
    { check: "mixed" },
  ),
  ...each(
    "cloudflare_token",
    ["cloudflare_api_token", "cf_api_token", "cloudflare_token"],
    [chars(BASE64URL, 40, 40)],
    { check: "mixed" },
  ),
  ...each(
    "cloudflare_token",
    ["cloudflare_api_key", "cf_api_key"],
    [chars(HEX_DIGITS, 37, 37)],
  ),
  ...each(
    "twilio_api_key",
    ["twilio_auth_token", "twilioAuthToken"],
    [chars(HEX_DIGITS, 32, 32)],
  ),
  ...each("npmrc_token", [":_authToken=", ":_password=", ":_auth="], [chars(OPAQUE, 12)], {
    glued: true,
    closed: false,
    check: "not_a_placeholder",
  }),
  // The signature of a shared access signature: 32 bytes in base64, percent-encoded.
  ...["&sig=", "?sig="].map((text) =>
    assigned("azure_sas", text, [chars(OPAQUE, 43)], {
      glued: true,
      check: "mixed",
      closed: false,
    }, "AzureConnectionString")
  ),
  ...schemes("http_basic_auth", "Basic ", [chars(TOKEN68, 6)], { check: "basic_auth" }),
  ...schemes("http_bearer_token", "Bearer ", [chars(TOKEN68, 16)], {
    check: "mixed",
    closed: false,
  }),
  ...each(
    "connection_string_password",
    [";password=", ";pwd=", "&password=", "?password="],
    [chars(OPAQUE, 1)],
    PASSWORD,
  ),
  ...["cookie:", 'cookie":'].map((text): Prefix => ({
    text,
    exact_case: false,
    kind: "GenericHighEntropy",
    detector: "http_cookie",
    rule: { form: "cookie" },
  })),
];
