/** Trap S7: what the frozen kinds have no name for, one example and its near misses each. */
import assert from "node:assert/strict";
import { DEFAULT_SCANNER, type DetectorName, DETECTORS } from "../mod.ts";

/** Letters and digits, mixed; nothing here was ever issued. */
const x = (size: number): string => "a1B2c3D4e5F6g7H8i9J0".repeat(20).slice(0, size);
const hex = (size: number): string => "0a1b2c3d4e5f6978".repeat(20).slice(0, size);
const digits = (size: number): string => "1234567890".repeat(3).slice(0, size);
const capitals = (size: number): string => "A1B2C3D4E5F6G7H8".repeat(10).slice(0, size);
const base64 = (text: string): string => btoa(text).replaceAll("=", "");

const JWT_HEADER = base64('{"alg":"HS256","typ":"JWT"}');

/** By detector: the text before the secret, and the secret. */
const EXAMPLES: Readonly<Record<DetectorName, readonly (readonly [string, string])[]>> = {
  json_web_token: [["", `${JWT_HEADER}.${base64('{"sub":"1234567890"}')}.${x(43)}`]],
  google_api_key: [["", `AIza${x(35)}`]],
  google_oauth_secret: [["", `GOCSPX-${x(28)}`]],
  google_access_token: [["", `ya29.${x(100)}`]],
  google_refresh_token: [["", `1//0${x(60)}`]],
  stripe_key: [["", `sk_live_${x(24)}`], ["", `rk_test_${x(99)}`]],
  stripe_webhook_secret: [["", `whsec_${x(32)}`]],
  twilio_api_key: [["", `SK${hex(32)}`], ["TWILIO_AUTH_TOKEN=", hex(32)]],
  sendgrid_key: [["", `SG.${x(22)}.${x(43)}`]],
  brevo_key: [["", `xkeysib-${hex(64)}-${x(16)}`]],
  npm_token: [["", `npm_${x(36)}`]],
  npmrc_token: [["//packages.example/:_authToken=", x(36)]],
  pypi_token: [["", `pypi-AgE${x(60)}`]],
  rubygems_token: [["", `rubygems_${hex(48)}`]],
  crates_token: [["", `cio${x(32)}`]],
  nuget_token: [["", `oy2${x(43)}`]],
  docker_token: [["", `dckr_pat_${x(27)}`], ["", `dckr_oat_${x(32)}`]],
  jfrog_token: [["", `AKCp${x(69)}`]],
  gitlab_token: [["", `glpat-${x(20)}`], ["", `glrt-${x(20)}`], ["", `gloas-${hex(64)}`]],
  hugging_face_token: [["", `hf_${x(34)}`]],
  digitalocean_token: [["", `dop_v1_${hex(64)}`], ["", `dor_v1_${hex(64)}`]],
  cloudflare_origin_ca_key: [["", `v1.0-${hex(24)}-${hex(146)}`]],
  cloudflare_token: [["CF_API_TOKEN=", x(40)], ['"cloudflare_api_key": "', hex(37)]],
  telegram_bot_token: [["", `${digits(10)}:AA${x(33)}`]],
  discord_bot_token: [["", `${base64(digits(18))}.${x(6)}.${x(38)}`]],
  discord_webhook: [["https://", `discord.com/api/webhooks/${digits(18)}/${x(68)}`]],
  slack_webhook: [[
    "https://",
    `hooks.slack.com/services/T${capitals(8)}/B${capitals(8)}/${x(24)}`,
  ]],
  teams_webhook: [["https://", `tenant.webhook.office.com/webhookb2/${hex(36)}@${hex(36)}`]],
  slack_config_token: [["", `xoxe.xoxp-1-${x(60)}`], ["", `xoxe-1-${x(60)}`]],
  azure_client_secret: [["", `abc8Q~${x(34)}`]],
  azure_sas: [["?sv=2022-11-02&sp=r&sig=", `${x(43)}%3D`]],
  aws_secret_access_key: [
    ["aws_secret_access_key = ", x(40)],
    ['"SecretAccessKey": "', x(40)],
    ["AWS_SECRET_KEY=", x(40)],
  ],
  aws_session_token: [["AWS_SESSION_TOKEN=", x(200)]],
  aws_bedrock_key: [["", `ABSK${x(128)}`]],
  alibaba_key_id: [["", `LTAI${x(20)}`]],
  tencent_key_id: [["", `AKID${x(32)}`]],
  groq_key: [["", `gsk_${x(52)}`]],
  perplexity_key: [["", `pplx-${x(48)}`]],
  xai_key: [["", `xai-${x(80)}`]],
  nvidia_key: [["", `nvapi-${x(64)}`]],
  replicate_token: [["", `r8_${x(37)}`]],
  databricks_token: [["", `dapi${hex(32)}`]],
  vault_token: [["", `hvs.${x(90)}`]],
  terraform_token: [["", `${x(14)}.atlasv1.${x(64)}`]],
  doppler_token: [["", `dp.pt.${x(43)}`]],
  onepassword_token: [["", `ops_eyJ${x(300)}`]],
  supabase_token: [["", `sbp_${hex(40)}`]],
  planetscale_token: [["", `pscale_pw_${x(43)}`]],
  netlify_token: [["", `nfp_${x(36)}`]],
  fly_token: [["", `FlyV1 fm2_${x(80)}`]],
  tailscale_key: [["", `tskey-auth-${x(18)}-${x(32)}`]],
  grafana_token: [["", `glsa_${x(32)}_${hex(8)}`]],
  new_relic_key: [["", `NRAK-${x(27)}`]],
  sentry_token: [["", `sntrys_${x(80)}`], ["", `sntryu_${hex(64)}`]],
  dynatrace_token: [["", `dt0c01.${x(24)}.${x(64)}`]],
  postman_key: [["", `PMAK-${hex(24)}-${hex(34)}`]],
  linear_key: [["", `lin_api_${x(40)}`]],
  figma_token: [["", `figd_${x(40)}`]],
  notion_token: [["", `ntn_${x(46)}`]],
  atlassian_token: [["", `ATATT3xFfGF0${x(180)}`]],
  shopify_token: [["", `shpat_${hex(32)}`]],
  square_token: [["", `sq0atp-${x(22)}`]],
  age_secret_key: [["", `AGE-SECRET-KEY-1${capitals(58)}`]],
  putty_private_key: [["", `Private-Lines: 2\n${x(64)}\n${x(40)}==`]],
  mariadb_url: [["", "mariadb://app:hunter2@db.internal/app"]],
  cockroach_url: [["", "cockroachdb://app:hunter2@db.internal:26257/app"]],
  redis_url: [["", "redis://:hunter2@cache.internal:6379/0"], ["", "rediss://u:hunter2@cache"]],
  amqp_url: [["", "amqps://app:hunter2@mq.internal/v"]],
  mssql_url: [["jdbc:", "sqlserver://sa:hunter2@db.internal:1433"]],
  clickhouse_url: [["", "clickhouse://app:hunter2@ch:9000/default"]],
  oracle_url: [["", "oracle+cx_oracle://app:hunter2@ora:1521/x"]],
  cassandra_url: [["", "cassandra://app:hunter2@c1/ks"]],
  neo4j_url: [["", "neo4j+s://app:hunter2@graph"]],
  nats_url: [["", "nats://app:hunter2@bus:4222"]],
  url_with_password: [["", "https://app:hunter2@git.internal/repo.git"]],
  connection_string_password: [["Server=db;User Id=sa;Password=", "hunter2"]],
  http_basic_auth: [["Authorization: Basic ", btoa("app:hunter2")]],
  http_bearer_token: [["Authorization: Bearer ", x(24)], ["Bearer ", x(24)]],
  http_cookie: [["Cookie: theme=dark; session=", x(32)], ['"Set-Cookie": "sid=', x(40)]],
  iban: [["to ", "GB82 WEST 1234 5698 7654 32"], ["", "DE89370400440532013000"]],
};

/** Half of one of these may be a whole one. */
const OF_ANY_LENGTH: ReadonlySet<string> = new Set([
  ...["google_access_token", "stripe_key", "npmrc_token", "aws_session_token", "vault_token"],
  ...["putty_private_key", "redis_url", "url_with_password", "http_basic_auth", "http_cookie"],
]);

/** Detectors and spans found in a text. */
function found(text: string): string[] {
  return DEFAULT_SCANNER.scan(text).flatMap((finding) =>
    finding.source !== "locale" && finding.detector !== undefined
      ? [`${finding.detector}@${finding.offset}-${finding.end}`]
      : []
  );
}

for (const [name, examples] of Object.entries(EXAMPLES)) {
  Deno.test(`trap S7: ${name} is found with its exact span, whatever stands around it`, () => {
    for (const [before, secret] of examples) {
      const surroundings = before === ""
        ? [["", ""], ["x ", " y"], ["key=", "\n"], ['{"k":"', '"}'], ["鍵", "。"]]
        : [["", ""], ["a\n", "\n"]];
      for (const [left, right] of surroundings) {
        const from = new TextEncoder().encode(`${left}${before}`).length;
        const text = `${left}${before}${secret}${right}`;
        // An address runs to the next terminator, and `。` is none.
        if (right === "。" && secret.includes("://")) continue;
        assert.ok(found(text).includes(`${name}@${from}-${from + secret.length}`), text);
      }
    }
  });

  Deno.test(`trap S7: a part of it is no ${name}`, () => {
    for (const [before, secret] of examples) {
      const size = OF_ANY_LENGTH.has(name) ? 5 : Math.ceil(secret.length / 2);
      const part = `${before}${secret.slice(0, size)}`;
      if (name === "connection_string_password") continue;
      assert.ok(!found(part).some((seen) => seen.startsWith(`${name}@`)), part);
    }
  });
}

Deno.test("trap S7: every detector says what it finds and where its shape is written down", () => {
  for (const [name, { source, category }] of Object.entries(DETECTORS)) {
    assert.match(name, /^[a-z][a-z0-9_]+$/);
    assert.ok(source.length > 5 && category.length > 5, name);
  }
});

Deno.test("trap S7: look-alikes of ordinary text are no tokens", () => {
  const clean = [
    "npm_config_registry, npm_package_version and npm_lifecycle_event",
    "hf_hub_download(repo_id) sk_learn_pipeline shpat_ glpat- dapi",
    "redis://cache:6379/0 and https://example.com/a:b@c and http://localhost:8080/@scope/x",
    "Basic understanding, Basic authentication, Bearer of bad news, Bearer authentication_required",
    "Authorization: Bearer ${TOKEN_FOR_2026}",
    "https://user:${PASSWORD}@host/ https://user:<password>@host/ https://user:****@host/",
    "Server=db;Password={your_password};",
    "Cookie: theme=dark; lang=en-GB; consent=yes",
    "curl -H 'Cookie: a=b' https://example.com",
    "SKILL SKeleton SK-1234 AKIDS cio cioppino oy2 r8_ eyJ eyJust.a.word",
    "version 1:AAAA and ratio 3:AA, 12:30:AA",
    "aws_secret_access_key = os.environ['AWS_SECRET_ACCESS_KEY']",
    "secret_access_key: <your-40-character-secret-access-key-goes-here>",
    "webhook at https://hooks.slack.com/services/ and discord.com/api/webhooks/",
    "v1.0-beta v1.0-rc1 SG.something 2Q~ ~8Q~",
    "GB82 WEST 1234 5698 7654 33",
    "DE89370400440532013001 and GB00 AAAA 0000 0000 0000 00",
  ];
  for (const text of clean) assert.deepEqual(found(text), [], text);
});

Deno.test("trap S7: an address of a driver or a bridge is of its product's kind", () => {
  const kinds = (text: string): string[] =>
    DEFAULT_SCANNER.scan(text).map((finding) => finding.source === "builtin" ? finding.kind : "");
  assert.deepEqual(kinds("mysql+pymysql://root:hunter2@db/x"), ["MysqlUrl"]);
  assert.deepEqual(kinds("postgresql+asyncpg://root:hunter2@db/x"), ["PostgresUrl"]);
  assert.deepEqual(kinds("jdbc:postgresql://db/x?user=u&password=hunter2"), ["PostgresUrl"]);
  assert.deepEqual(kinds("mariadb://root:hunter2@db/x"), ["MysqlUrl"]);
});

Deno.test("trap S7: what a name gives away yields to what has a form of its own", () => {
  const text = `Authorization: Bearer ghp_${x(36)}`;
  assert.deepEqual(found(text), []);
  assert.ok(
    DEFAULT_SCANNER.scan(text).some((finding) =>
      finding.source === "builtin" && finding.kind === "GitHubPat" && finding.offset === 22
    ),
  );
});
