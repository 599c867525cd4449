/**
 * Tokens that start with their vendor's prefix (trap S7). Where each shape is written down stands in
 * `catalog.ts`. `chars(class, least, issued…)`: the second number counts in every mode and is at or
 * a little below what the vendor gives out, so that a token cut short is still found; the others are
 * the lengths that strict mode insists on.
 *
 * @module
 */
import type { CredentialKind } from "../finding.ts";
import type { DetectorName } from "./catalog.ts";
import type { Prefix, PrefixRule } from "./prefix.ts";
import {
  BASE64_PADDED,
  BASE64URL,
  CAPITALS_DIGITS,
  chars,
  DECIMAL,
  HEX_DIGITS,
  LETTERS_DIGITS,
  OPAQUE,
  type Shape,
  UNRESERVED,
} from "./shape.ts";

type Extra = Omit<PrefixRule & { form: "vendor" }, "form" | "shape">;

function vendor(
  detector: DetectorName,
  text: string,
  shape: Shape,
  extra: Extra = {},
  kind: CredentialKind = "GenericHighEntropy",
): Prefix {
  return { text, exact_case: true, kind, detector, rule: { form: "vendor", shape, ...extra } };
}

function each(
  detector: DetectorName,
  texts: readonly string[],
  shape: Shape,
  extra: Extra = {},
): Prefix[] {
  return texts.map((text) => vendor(detector, text, shape, extra));
}

const DIGITS = [..."0123456789"];
const HEX_SIGNS = [..."0123456789abcdef"];
const CLOSED = { closed: true } as const;
const MIXED = { closed: true, mixed: true } as const;

/** Every vendor's token. */
export const VENDORS: readonly Prefix[] = [
  vendor(
    "json_web_token",
    "eyJ",
    [chars(BASE64URL, 9), ".", chars(BASE64URL, 0), ".", chars(BASE64URL, 0)],
    { checksum: "jwt_header" },
  ),
  vendor("google_api_key", "AIza", [chars(BASE64URL, 35, 35)]),
  vendor("google_oauth_secret", "GOCSPX-", [chars(BASE64URL, 24, 28)]),
  vendor("google_access_token", "ya29.", [chars(BASE64URL, 20, 60, 2048)]),
  vendor("google_refresh_token", "1//0", [chars(BASE64URL, 36, 60, 512)], MIXED),
  ...each(
    "stripe_key",
    ["sk_live_", "sk_test_", "rk_live_", "rk_test_"],
    [chars(LETTERS_DIGITS, 16, 24, 247)],
  ),
  vendor("stripe_webhook_secret", "whsec_", [chars(BASE64_PADDED, 24, 32, 64)]),
  ...each(
    "twilio_api_key",
    HEX_SIGNS.map((sign) => `SK${sign}`),
    [chars(HEX_DIGITS, 31, 31)],
    MIXED,
  ),
  vendor("sendgrid_key", "SG.", [chars(BASE64URL, 16, 22), ".", chars(BASE64URL, 32, 43)]),
  vendor("brevo_key", "xkeysib-", [chars(HEX_DIGITS, 64, 64), "-", chars(LETTERS_DIGITS, 16, 16)]),
  vendor("npm_token", "npm_", [chars(LETTERS_DIGITS, 36, 36)], { checksum: "crc32_base62" }),
  vendor("pypi_token", "pypi-AgE", [chars(BASE64URL, 50, 50, 1024)]),
  vendor("rubygems_token", "rubygems_", [chars(HEX_DIGITS, 48, 48)]),
  vendor("nuget_token", "oy2", [chars(LETTERS_DIGITS, 43, 43)], MIXED),
  vendor("docker_token", "dckr_pat_", [chars(BASE64URL, 24, 27)]),
  vendor("docker_token", "dckr_oat_", [chars(BASE64URL, 24, 32)]),
  vendor("jfrog_token", "AKCp", [chars(LETTERS_DIGITS, 69, 69)], MIXED),
  ...each(
    "gitlab_token",
    ["pat", "dt", "rt", "ptt", "ft", "soat", "cbt", "imt"].map((word) => `gl${word}-`),
    [chars(BASE64URL, 20, 20, 512)],
  ),
  vendor("hugging_face_token", "hf_", [chars(LETTERS_DIGITS, 30, 34)], CLOSED),
  vendor("hugging_face_token", "api_org_", [chars(LETTERS_DIGITS, 34, 34)], CLOSED),
  ...each(
    "digitalocean_token",
    ["dop_v1_", "doo_v1_", "dor_v1_"],
    [chars(HEX_DIGITS, 64, 64)],
  ),
  vendor(
    "cloudflare_origin_ca_key",
    "v1.0-",
    [chars(HEX_DIGITS, 24, 24), "-", chars(HEX_DIGITS, 100, 146)],
  ),
  vendor("telegram_bot_token", ":AA", [chars(BASE64URL, 32, 32, 33)], {
    before: { chars: DECIMAL, least: 8, most: 10 },
    closed: true,
  }),
  ...each(
    "discord_webhook",
    ["discord.com/api/webhooks/", "discordapp.com/api/webhooks/"],
    [chars(DECIMAL, 17, 17, 20), "/", chars(BASE64URL, 60, 60, 68)],
  ),
  ...each(
    "slack_webhook",
    ["services", "workflows", "triggers"].map((word) => `hooks.slack.com/${word}/`),
    [chars(CAPITALS_DIGITS, 8, 8, 14), "/", chars(OPAQUE, 20)],
  ),
  vendor("teams_webhook", ".webhook.office.com/webhookb2/", [chars(OPAQUE, 36)], {
    before: { chars: BASE64URL, least: 1, most: 64 },
  }),
  vendor("slack_config_token", "xoxe.xox", [chars(OPAQUE, 40)]),
  vendor("slack_config_token", "xoxe-", [chars(BASE64URL, 40)]),
  ...each(
    "azure_client_secret",
    DIGITS.map((digit) => `${digit}Q~`),
    [chars(UNRESERVED, 31, 31, 34)],
    { before: { chars: UNRESERVED, least: 3, most: 3 }, closed: true },
  ),
  vendor("aws_bedrock_key", "ABSK", [chars(BASE64_PADDED, 109, 109, 269)], MIXED),
  vendor("alibaba_key_id", "LTAI", [chars(LETTERS_DIGITS, 17, 17, 21)], MIXED),
  vendor("tencent_key_id", "AKID", [chars(LETTERS_DIGITS, 32, 32)], MIXED),
  vendor("groq_key", "gsk_", [chars(LETTERS_DIGITS, 40, 52)], CLOSED),
  vendor("perplexity_key", "pplx-", [chars(LETTERS_DIGITS, 40, 48, 56)], CLOSED),
  vendor("nvidia_key", "nvapi-", [chars(BASE64URL, 48, 60, 70)]),
  vendor("replicate_token", "r8_", [chars(LETTERS_DIGITS, 37, 37)], MIXED),
  vendor("databricks_token", "dapi", [chars(HEX_DIGITS, 32, 32)], MIXED),
  ...each("vault_token", ["hvs.", "hvb.", "hvr."], [chars(BASE64URL, 24, 24, 300)]),
  vendor("terraform_token", ".atlasv1.", [chars(BASE64URL, 60, 60, 70)], {
    before: { chars: LETTERS_DIGITS, least: 14, most: 14 },
  }),
  ...each(
    "doppler_token",
    ["dp.pt.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit."],
    [chars(LETTERS_DIGITS, 40, 40, 44)],
  ),
  vendor("onepassword_token", "ops_eyJ", [chars(BASE64_PADDED, 200)]),
  vendor("supabase_token", "sbp_", [chars(HEX_DIGITS, 40, 40)], CLOSED),
  vendor("supabase_token", "sb_secret_", [chars(BASE64URL, 30, 31)]),
  ...each(
    "planetscale_token",
    ["pscale_pw_", "pscale_tkn_", "pscale_oauth_"],
    [chars(UNRESERVED, 32, 32, 64)],
  ),
  vendor("netlify_token", "nfp_", [chars(LETTERS_DIGITS, 36, 36)], CLOSED),
  vendor("fly_token", "FlyV1 fm2_", [chars(BASE64_PADDED, 60)]),
  vendor("fly_token", "fo1_", [chars(BASE64URL, 43, 43)], MIXED),
  ...each(
    "tailscale_key",
    ["auth", "api", "client", "scim", "webhook"].map((word) => `tskey-${word}-`),
    [chars(BASE64URL, 24)],
  ),
  vendor("grafana_token", "glsa_", [chars(LETTERS_DIGITS, 32, 32), "_", chars(HEX_DIGITS, 8, 8)]),
  vendor("grafana_token", "glc_", [chars(BASE64_PADDED, 32, 32, 400)], MIXED),
  vendor("new_relic_key", "NRAK-", [chars(LETTERS_DIGITS, 27, 27)]),
  vendor("sentry_token", "sntrys_", [chars(BASE64_PADDED, 60)]),
  vendor("sentry_token", "sntryu_", [chars(HEX_DIGITS, 64, 64)]),
  vendor(
    "dynatrace_token",
    "dt0c01.",
    [chars(LETTERS_DIGITS, 24, 24), ".", chars(LETTERS_DIGITS, 64, 64)],
  ),
  vendor("postman_key", "PMAK-", [chars(HEX_DIGITS, 24, 24), "-", chars(HEX_DIGITS, 34, 34)]),
  vendor("linear_key", "lin_api_", [chars(LETTERS_DIGITS, 40, 40)]),
  vendor("figma_token", "figd_", [chars(BASE64URL, 40, 40, 43)]),
  vendor("notion_token", "ntn_", [chars(LETTERS_DIGITS, 43, 46)], CLOSED),
  ...each("atlassian_token", ["ATATT3xFfGF0", "ATCTT3xFfGN0"], [chars(BASE64_PADDED, 100)]),
  ...each(
    "shopify_token",
    ["shpat_", "shpss_", "shpca_", "shppa_"],
    [chars(HEX_DIGITS, 32, 32)],
  ),
  ...each("square_token", ["sq0atp-", "sq0csp-"], [chars(BASE64URL, 22, 22, 43)]),
  vendor("age_secret_key", "AGE-SECRET-KEY-1", [chars(CAPITALS_DIGITS, 58, 58)], {}, "PrivateKey"),
  {
    text: "Private-Lines:",
    exact_case: true,
    kind: "PrivateKey",
    detector: "putty_private_key",
    rule: { form: "putty" },
  },
];
