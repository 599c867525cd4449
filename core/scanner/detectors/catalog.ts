/**
 * The detectors that go beyond the frozen kinds (trap S7): what each finds, how bad that is, and
 * where its shape is written down.
 *
 * Kinds are frozen, so what has no kind of its own is reported under the kind it is another form of
 * (a MariaDB address is a `MysqlUrl`), or else as `GenericHighEntropy`, "a secret without a frozen
 * name"; either way the finding carries the detector's name, and category, severity and confidence
 * are the detector's own.
 *
 * @module
 */
import type { Assessment } from "../classification.ts";

/** What a detector's findings are judged as, and the source of its shape. */
export type DetectorEntry = Assessment & {
  /** The vendor's page, standard or source that gives the shape. */
  readonly source: string;
};

function entry(
  group: Assessment["group"],
  category: string,
  severity: Assessment["severity"],
  source: string,
  confidence: Assessment["confidence"] = "high",
): DetectorEntry {
  return { group, category, severity, confidence, method: "deterministic", source };
}

const token = (
  category: string,
  source: string,
  confidence?: Assessment["confidence"],
): DetectorEntry =>
  entry("auth_token", `ACCESS_TOKEN[${category}]`, "critical", source, confidence);
const key = (
  category: string,
  source: string,
  confidence?: Assessment["confidence"],
): DetectorEntry => entry("api_key", `API_KEY[${category}]`, "critical", source, confidence);
const cloud = (
  category: string,
  source: string,
  confidence?: Assessment["confidence"],
): DetectorEntry => entry("cloud_credential", category, "critical", source, confidence);
const address = (scheme: string): DetectorEntry =>
  entry("database_url", `DATABASE_CONNECTION_URI[${scheme}:uri]`, "high", "RFC 3986 §3.2.1");
const private_key = (scheme: string, source: string): DetectorEntry =>
  entry("private_key", `PRIVATE_KEY[${scheme}]`, "critical", source);

const GITLAB = "docs.gitlab.com/security/tokens (token prefixes)";
const SHOPIFY = "shopify.dev/changelog (length of the shared secret and access tokens)";

/** Names of the detectors beyond the frozen kinds. */
export const DETECTOR_NAMES = [
  "json_web_token",
  "google_api_key",
  "google_oauth_secret",
  "google_access_token",
  "google_refresh_token",
  "stripe_key",
  "stripe_webhook_secret",
  "twilio_api_key",
  "sendgrid_key",
  "brevo_key",
  "npm_token",
  "npmrc_token",
  "pypi_token",
  "rubygems_token",
  "crates_token",
  "nuget_token",
  "docker_token",
  "jfrog_token",
  "gitlab_token",
  "hugging_face_token",
  "digitalocean_token",
  "cloudflare_origin_ca_key",
  "cloudflare_token",
  "telegram_bot_token",
  "discord_bot_token",
  "discord_webhook",
  "slack_webhook",
  "teams_webhook",
  "slack_config_token",
  "azure_client_secret",
  "azure_sas",
  "aws_secret_access_key",
  "aws_session_token",
  "aws_bedrock_key",
  "alibaba_key_id",
  "tencent_key_id",
  "groq_key",
  "perplexity_key",
  "xai_key",
  "nvidia_key",
  "replicate_token",
  "databricks_token",
  "vault_token",
  "terraform_token",
  "doppler_token",
  "onepassword_token",
  "supabase_token",
  "planetscale_token",
  "netlify_token",
  "fly_token",
  "tailscale_key",
  "grafana_token",
  "new_relic_key",
  "sentry_token",
  "dynatrace_token",
  "postman_key",
  "linear_key",
  "figma_token",
  "notion_token",
  "atlassian_token",
  "shopify_token",
  "square_token",
  "age_secret_key",
  "putty_private_key",
  "mariadb_url",
  "cockroach_url",
  "redis_url",
  "amqp_url",
  "mssql_url",
  "clickhouse_url",
  "oracle_url",
  "cassandra_url",
  "neo4j_url",
  "nats_url",
  "url_with_password",
  "connection_string_password",
  "http_basic_auth",
  "http_bearer_token",
  "http_cookie",
  "iban",
] as const;

/** Name of a detector beyond the frozen kinds. */
export type DetectorName = (typeof DETECTOR_NAMES)[number];

/** By name. */
export const DETECTORS: Readonly<Record<DetectorName, DetectorEntry>> = {
  json_web_token: token("jwt:compact", "RFC 7519 §3, RFC 7515 §3.1", "medium"),
  google_api_key: key("google:api_key", "cloud.google.com/docs/authentication/api-keys"),
  google_oauth_secret: cloud(
    "CLOUD_ACCESS_KEY[gcp:oauth_client_secret]",
    "developers.google.com/identity/protocols/oauth2",
  ),
  google_access_token: token(
    "google:oauth_access",
    "developers.google.com/identity/protocols/oauth2",
  ),
  google_refresh_token: token(
    "google:oauth_refresh",
    "developers.google.com/identity/protocols/oauth2",
    "medium",
  ),
  stripe_key: key("stripe:secret_key", "docs.stripe.com/keys"),
  stripe_webhook_secret: key("stripe:webhook_secret", "docs.stripe.com/webhooks/signature"),
  twilio_api_key: key("twilio:api_key", "www.twilio.com/docs/iam/api-keys", "medium"),
  sendgrid_key: key(
    "sendgrid:key",
    "www.twilio.com/docs/sendgrid/ui/account-and-settings/api-keys",
  ),
  brevo_key: key("brevo:key", "developers.brevo.com/docs/getting-started"),
  npm_token: token(
    "npm:access",
    "github.blog/changelog/2021-09-23-npm-has-a-new-access-token-format",
  ),
  npmrc_token: token("npm:registry_auth", "docs.npmjs.com/cli/configuring-npm/npmrc", "medium"),
  pypi_token: token(
    "pypi:api_token",
    "PyPI help on API tokens; a version 2 macaroon with a location",
  ),
  rubygems_token: token("rubygems:api_key", "guides.rubygems.org/api-key-scopes"),
  crates_token: token("crates_io:api_token", "github.com/rust-lang/crates.io src/util/token.rs"),
  nuget_token: token("nuget:api_key", "learn.microsoft.com/nuget/nuget-org/publish-a-package"),
  docker_token: token("docker:personal_access", "docs.docker.com/security/access-tokens"),
  jfrog_token: token("jfrog:api_key", "jfrog.com/help (artifactory API keys)", "medium"),
  gitlab_token: token("gitlab:access", GITLAB),
  hugging_face_token: token("hugging_face:access", "huggingface.co/docs/hub/security-tokens"),
  digitalocean_token: token(
    "digitalocean:access",
    "docs.digitalocean.com/reference/api/create-personal-access-token",
  ),
  cloudflare_origin_ca_key: key(
    "cloudflare:origin_ca_key",
    "developers.cloudflare.com/fundamentals/api/get-started/ca-keys",
  ),
  cloudflare_token: token(
    "cloudflare:api_token",
    "developers.cloudflare.com/fundamentals/api/get-started/create-token",
  ),
  telegram_bot_token: token("telegram:bot", "core.telegram.org/bots/api#authorizing-your-bot"),
  discord_bot_token: token("discord:bot", "discord.com/developers/docs/reference", "medium"),
  discord_webhook: token("discord:webhook", "discord.com/developers/docs/resources/webhook"),
  slack_webhook: token("slack:webhook", "api.slack.com/messaging/webhooks"),
  teams_webhook: token("microsoft_teams:webhook", "learn.microsoft.com/microsoftteams (webhooks)"),
  slack_config_token: token("slack:configuration", "api.slack.com/authentication/config-tokens"),
  azure_client_secret: cloud(
    "CLOUD_ACCESS_KEY[azure:client_secret]",
    "learn.microsoft.com/purview/sit-defn-client-secret-api-key",
  ),
  azure_sas: cloud(
    "CLOUD_CONNECTION_STRING[azure:sas]",
    "learn.microsoft.com/rest/api/storageservices/create-service-sas",
  ),
  aws_secret_access_key: cloud(
    "CLOUD_ACCESS_KEY[aws:secret_access_key]",
    "docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html",
  ),
  aws_session_token: cloud(
    "CLOUD_ACCESS_KEY[aws:session_token]",
    "docs.aws.amazon.com/STS/latest/APIReference/API_Credentials.html",
  ),
  aws_bedrock_key: key(
    "aws:bedrock_key",
    "docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html",
  ),
  alibaba_key_id: cloud(
    "CLOUD_ACCESS_KEY[alibaba:access_key_id]",
    "www.alibabacloud.com/help/ram (AccessKey pair)",
    "medium",
  ),
  tencent_key_id: cloud(
    "CLOUD_ACCESS_KEY[tencent:secret_id]",
    "www.tencentcloud.com/document/product/598/34228",
    "medium",
  ),
  groq_key: key("groq:key", "console.groq.com/docs/quickstart"),
  perplexity_key: key("perplexity:key", "docs.perplexity.ai"),
  xai_key: key("xai:key", "docs.x.ai/docs/tutorial"),
  nvidia_key: key("nvidia:key", "docs.api.nvidia.com"),
  replicate_token: token("replicate:api_token", "replicate.com/docs/reference/http"),
  databricks_token: token("databricks:personal_access", "docs.databricks.com/dev-tools/auth/pat"),
  vault_token: token("vault:service", "developer.hashicorp.com/vault/docs/concepts/tokens"),
  terraform_token: token("terraform:api_token", "developer.hashicorp.com/terraform/cloud-docs"),
  doppler_token: token("doppler:access", "docs.doppler.com/reference/auth-token-formats"),
  onepassword_token: token(
    "onepassword:service_account",
    "developer.1password.com/docs/service-accounts",
  ),
  supabase_token: token("supabase:access", "supabase.com/docs/guides/api/api-keys"),
  planetscale_token: token("planetscale:password", "planetscale.com/docs (token formats)"),
  netlify_token: token("netlify:personal_access", "docs.netlify.com/api/get-started"),
  fly_token: token("fly:access", "fly.io/docs/security/tokens"),
  tailscale_key: key("tailscale:key", "tailscale.com/kb/1277/key-prefixes"),
  grafana_token: token("grafana:service_account", "grafana.com/docs/grafana/administration"),
  new_relic_key: key(
    "new_relic:user_key",
    "docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys",
  ),
  sentry_token: token("sentry:access", "docs.sentry.io/account/auth-tokens"),
  dynatrace_token: token("dynatrace:access", "docs.dynatrace.com (token format)"),
  postman_key: key("postman:key", "learning.postman.com/docs/developer/postman-api/authentication"),
  linear_key: key("linear:key", "linear.app/developers/graphql"),
  figma_token: token("figma:personal_access", "www.figma.com/developers/api#access-tokens"),
  notion_token: token("notion:integration", "developers.notion.com/docs/authorization"),
  atlassian_token: token("atlassian:api_token", "support.atlassian.com (API token format)"),
  shopify_token: token("shopify:access", SHOPIFY),
  square_token: token("square:access", "developer.squareup.com/docs/build-basics/access-tokens"),
  age_secret_key: private_key("age:x25519", "age-encryption.org/v1 (identity files)"),
  putty_private_key: private_key("putty:ppk", "the.earth.li/~sgtatham/putty (appendix C, PPK)"),
  mariadb_url: address("mariadb"),
  cockroach_url: address("cockroachdb"),
  redis_url: address("redis"),
  amqp_url: address("amqp"),
  mssql_url: address("mssql"),
  clickhouse_url: address("clickhouse"),
  oracle_url: address("oracle"),
  cassandra_url: address("cassandra"),
  neo4j_url: address("neo4j"),
  nats_url: address("nats"),
  url_with_password: token("url:userinfo", "RFC 3986 §3.2.1", "medium"),
  connection_string_password: entry(
    "database_url",
    "DATABASE_CONNECTION_URI[ado:password]",
    "high",
    "learn.microsoft.com/dotnet/framework/data/adonet/connection-string-syntax",
    "medium",
  ),
  http_basic_auth: token("http:basic", "RFC 7617 §2", "high"),
  http_bearer_token: token("http:bearer", "RFC 6750 §2.1", "medium"),
  http_cookie: token("http:cookie", "RFC 6265 §4", "medium"),
  iban: entry(
    "pii",
    "PAYMENT_CARD_NUMBER[iban:account]",
    "high",
    "ISO 13616, SWIFT IBAN registry",
    "medium",
  ),
};
