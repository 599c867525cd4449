/**
 * The gateway's command line, parsed and checked. No environment, no files: flags only, so that
 * what a process may do can be derived from what it was told (see `permissions.ts`).
 *
 * @module
 */

/** A place to listen on. */
export type ListenerConfig =
  | { readonly transport: "tcp" | "tls"; readonly hostname: string; readonly port: number }
  | { readonly transport: "unix"; readonly path: string };

/** Where browsers and other callers without HTTP/2 trailers are served: gRPC-Web and Connect. */
export interface WebConfig {
  readonly hostname: string;
  readonly port: number;
  /** Served with the certificate of `--tls-cert`. */
  readonly tls: boolean;
  /** Pages that may call, by exact origin; empty: callers that are no pages. */
  readonly origins: readonly string[];
}

/** PEM files of the server's certificate; `client_ca` turns on mutual TLS. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly client_ca?: string;
}

/**
 * Where the policy comes from. `none` is the explicit, denied-by-default absence; `history` is what
 * was applied last through the operator surface.
 */
export type PolicySource =
  | {
    readonly kind: "path";
    readonly path: string;
    readonly defaulted: boolean;
    /** Whether the gateway may write what is applied back to the files. @default false */
    readonly writable?: boolean;
  }
  | { readonly kind: "history" }
  | { readonly kind: "none" };

/** How decision facts are kept. */
export interface FactsConfig {
  /** Facts older than this are dropped, whole segments at a time. */
  readonly retention_ms: number;
  /** Key file; absent: `facts.key` in the state directory, made when it is missing. */
  readonly key_file?: string;
}

/** Where notifications go. A Slack URL is a secret: it is shown nowhere. */
export interface NotifyConfig {
  readonly webhook?: { readonly url: string; readonly secret_file: string };
  readonly slack?: { readonly url: string };
  /** Plain HTTP, and addresses that are not public. */
  readonly allow_private: boolean;
}

/** Everything the gateway was told. */
export interface GatewayConfig {
  readonly policy: PolicySource;
  readonly listeners: readonly ListenerConfig[];
  /** Absent: no web listener. */
  readonly web?: WebConfig;
  readonly tls?: TlsFiles;
  readonly state_dir: string;
  readonly audit_dir: string;
  readonly tenancy: "open" | "tenanted";
  /** Deny agents that never registered, instead of evaluating them as asserted. */
  readonly strict_identity: boolean;
  /** Registration needs an enrolment, instead of the agent's own word on its organisation and team. */
  readonly require_enrolment: boolean;
  /** How long an agent's token lives; absent: until it is rotated, revoked or deregistered. */
  readonly agent_token_ttl_ms?: number;
  /** What becomes of an agent's descendants when its registration ends. */
  readonly orphan_mode: "suspend" | "promote_to_root" | "cascade_deregister";
  /** What becomes of an action of an agent that stopped sending heartbeats. */
  readonly stale_agents: "deny" | "allow";
  /** Callers on this machine may listen to operator control without a token (contract `wire` §9.1). */
  readonly op_control_loopback: boolean;
  /** Who is told of approvals and the like; absent: nobody. */
  readonly notify?: NotifyConfig;
  /** Who decides which approvals; absent: roles do. */
  readonly approval_routing?: string;
  /** A change of policy takes two people, and files alone change nothing. @default false */
  readonly four_eyes_policy?: boolean;
  /** File with the keys whose policy bundles are taken, one C2SP verifier key a line. */
  readonly policy_signers?: string;
  readonly secrets_key: SecretsKeySource;
  /** Threads that accept connections for the deciding one; 0: it accepts them itself. */
  readonly transport_workers: number;
  readonly checkpoint_interval_ms: number;
  readonly grace_ms: number;
  /** Decision facts for replay; absent: none are recorded. */
  readonly facts?: FactsConfig;
  /** End when standard input ends: set by the launcher, so that no gateway outlives it. */
  readonly stop_on_stdin_end: boolean;
  /** Prices of models; absent: the built-in table. */
  readonly pricing?: string;
}

/** Where the master keys of secrets come from. */
export type SecretsKeySource =
  /** Secrets are `unconfigured`: none can be registered, none is dispatched. */
  | { readonly kind: "none" }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "env"; readonly name: string }
  | { readonly kind: "command"; readonly program: string };

/** What a command line asks for. */
export type ParsedArguments =
  | { readonly action: "run"; readonly config: GatewayConfig }
  | { readonly action: "help" | "version" }
  | { readonly action: "refuse"; readonly message: string };

/** Policy the gateway starts on when none is named. */
export const DEFAULT_POLICY = "policies/balanced.yaml";
const DEFAULT_LISTEN = "127.0.0.1:50051";
const DEFAULT_STATE_DIR = ".aasm";
const FACTS_RETENTION_DEFAULT = "30d";
/**
 * Transport workers of one gateway. More: refused at start. One deciding thread is behind them all
 * and has its own work of each call, so that more would only wait.
 */
export const TRANSPORT_WORKERS_MAX = 16;

/** Text of `--help`. */
export const HELP = `gateway — decides whether an agent's action may happen, and records it

usage: deno task gateway [flags]

  --policy FILE|DIR|history|none
                             policy file, or directory of *.yaml documents (default ${DEFAULT_POLICY});
                             \`history\`: what was last applied with \`aasm policy apply\`;
                             \`none\` starts unconfigured: every action is denied
  --policy-writable          write what \`aasm policy apply\` puts in force back to the file or directory
  --four-eyes-policy         a change of policy needs a second operator; changed files alone do nothing
  --policy-signers FILE      keys whose policy bundles may be imported, one verifier key a line
  --listen HOST:PORT         gRPC over TCP (default ${DEFAULT_LISTEN}; not opened when only --socket is given)
  --socket PATH              gRPC over a Unix socket (mode 0600)
  --web-listen HOST:PORT     gRPC-Web and Connect over HTTP, for browsers and edge (default: not opened)
  --web-origin ORIGINS       pages that may call there, by exact origin, e.g. https://app.example, several
                             separated by commas (default: no page may)
  --tls-cert FILE --tls-key FILE
                             serve --listen and --web-listen with TLS
  --tls-client-ca FILE       require client certificates signed by this authority (mutual TLS)
  --pricing FILE             prices of models, JSON, over the built-in table (default: built-in alone)
  --state-dir DIR            registry, keys, operator token (default ${DEFAULT_STATE_DIR})
  --audit-dir DIR            audit log (default STATE_DIR/audit)
  --tenancy open|tenanted    tenanted: registration needs a team (default open)
  --op-control-loopback      let callers on this machine listen to operator control without a token,
                             as the reference's runtime and SDKs do; by default each needs its own
  --webhook URL --webhook-secret-file FILE
                             tell this place of approvals and agent status, signed with the file's bytes
  --slack-webhook URL        tell a Slack channel
  --allow-private-webhook    permit webhooks over plain HTTP and to addresses that are not public
  --approval-routing FILE    who decides which approvals: JSON rows of team_id, approval_kind, approvers,
                             escalation_timeout_secs, escalation_approvers, quorum (default: roles)
  --secrets-key-file FILE    master keys of secrets: one a line in hex or base64, the present one first;
                             nobody else may read the file (\`openssl rand -hex 32\` makes a key)
  --secrets-key-env NAME     the same text from a variable, which is then removed
  --secrets-key-command PROGRAM
                             the same text from what a program prints; it is run once, without arguments
  --strict-identity          deny agents that never registered
  --require-enrolment        register only agents that show an enrolment, which names their org and team
  --agent-token-ttl TIME     life of an agent's token, 60s to 365d, e.g. 12h, or off (default off: the
                             clients of the reference cannot rotate a token)
  --orphan-mode suspend|promote|cascade
                             descendants of an agent whose registration ends (default suspend)
  --stale-agents deny|allow  actions of an agent that sent heartbeats and then none for 90 s (default deny)
  --allow-remote-plaintext   permit --listen and --web-listen on a non-loopback address without TLS
  --facts-retention Nd       how long decision facts are kept for \`aasm policy replay\`, encrypted,
                             1d to 400d (default ${FACTS_RETENTION_DEFAULT})
  --facts-key-file FILE      their key: 64 hexadecimal digits, mode 0600 (default STATE_DIR/facts.key, made)
  --no-facts                 record none
  --transport-workers N      threads that do TLS, HTTP/2 and framing for the one that decides, 0 to 16
                             (default 0: it does them itself); more than 1 share --listen's port
  --allow-shared-port        permit more than 1 without TLS: any process of the same user may then
                             share the port, too, and only TLS shows a client which one it reached
  --checkpoint-interval-ms N time between signed checkpoints while entries arrive (default 1000)
  --grace-ms N               time for in-flight calls at stop (default 10000)
  --version, --help

example: deno task gateway --policy policies/strict.yaml --listen 127.0.0.1:50051
exit:    0 stopped cleanly, 1 could not start or failed, 2 wrong usage
`;

const VALUE_FLAGS = new Set([
  "policy",
  "policy-signers",
  "listen",
  "web-listen",
  "web-origin",
  "socket",
  "tls-cert",
  "tls-key",
  "tls-client-ca",
  "pricing",
  "state-dir",
  "audit-dir",
  "secrets-key-file",
  "secrets-key-env",
  "secrets-key-command",
  "tenancy",
  "agent-token-ttl",
  "orphan-mode",
  "stale-agents",
  "approval-routing",
  "webhook",
  "webhook-secret-file",
  "slack-webhook",
  "transport-workers",
  "checkpoint-interval-ms",
  "grace-ms",
  "facts-retention",
  "facts-key-file",
]);
/** Flags whose value becomes a path in the permission list. */
const PATH_FLAGS = new Set([
  "policy",
  "policy-signers",
  "socket",
  "tls-cert",
  "tls-key",
  "tls-client-ca",
  "pricing",
  "state-dir",
  "audit-dir",
  "facts-key-file",
  "approval-routing",
  "webhook-secret-file",
  "secrets-key-file",
  "secrets-key-command",
]);
const SWITCHES = new Set([
  "allow-private-webhook",
  "no-facts",
  "op-control-loopback",
  "strict-identity",
  "require-enrolment",
  "policy-writable",
  "four-eyes-policy",
  "allow-remote-plaintext",
  "allow-shared-port",
  "stop-on-stdin-end",
  "help",
  "version",
]);

/**
 * Parses the command line.
 *
 * @param argv Arguments after the program name; `--flag value` and `--flag=value` are equal.
 */
export function parseArguments(argv: readonly string[]): ParsedArguments {
  const flags = readFlags(argv);
  if (typeof flags === "string") return { action: "refuse", message: flags };
  if (flags.has("help")) return { action: "help" };
  if (flags.has("version")) return { action: "version" };
  try {
    return { action: "run", config: configFrom(flags) };
  } catch (error) {
    if (error instanceof UsageError) return { action: "refuse", message: error.message };
    throw error;
  }
}

class UsageError extends Error {}

function readFlags(argv: readonly string[]): Map<string, string> | string {
  const flags = new Map<string, string>();
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? "";
    if (word === "--") continue;
    const match = /^--([a-z-]+)(?:=(.*))?$/s.exec(word);
    const name = word === "-h" ? "help" : word === "-V" ? "version" : match?.[1];
    if (name === undefined) return `unexpected argument \`${word}\`: flags start with \`--\``;
    if (SWITCHES.has(name)) {
      if (match?.[2] !== undefined) return `flag \`--${name}\` takes no value`;
      flags.set(name, "");
      continue;
    }
    if (!VALUE_FLAGS.has(name)) return `unknown flag \`${word}\`: see --help`;
    if (flags.has(name)) return `flag \`--${name}\` is given twice: give it once`;
    const value = match?.[2] ?? argv[++i];
    if (value === undefined || value === "") return `flag \`--${name}\` needs a value`;
    if (PATH_FLAGS.has(name) && /[,\0]/.test(value)) {
      return `flag \`--${name}\` cannot be \`${value}\`: a comma would end the path in the permission list; rename it`;
    }
    flags.set(name, value);
  }
  return flags;
}

function configFrom(flags: ReadonlyMap<string, string>): GatewayConfig {
  const tls = tlsFrom(flags);
  const listeners = listenersFrom(flags, tls !== undefined);
  const state_dir = flags.get("state-dir") ?? DEFAULT_STATE_DIR;
  const signers = flags.get("policy-signers");
  return {
    policy: policyFrom(flags),
    listeners,
    ...webFrom(flags, tls),
    ...(tls === undefined ? {} : { tls }),
    state_dir,
    audit_dir: flags.get("audit-dir") ?? `${state_dir}/audit`,
    tenancy: oneOf(flags, "tenancy", ["open", "tenanted"], "open"),
    strict_identity: flags.has("strict-identity"),
    require_enrolment: flags.has("require-enrolment"),
    ...agentTokenTtlFrom(flags),
    orphan_mode: ORPHAN_MODES[
      oneOf(
        flags,
        "orphan-mode",
        ["suspend", "promote", "cascade"],
        "suspend",
      )
    ],
    ...optionalPath(flags, "approval-routing", "approval_routing"),
    ...notifyFrom(flags),
    stale_agents: oneOf(flags, "stale-agents", ["deny", "allow"], "deny"),
    op_control_loopback: flags.has("op-control-loopback"),
    ...(flags.has("four-eyes-policy") ? { four_eyes_policy: true } : {}),
    ...(signers === undefined ? {} : { policy_signers: signers }),
    secrets_key: secretsKeyFrom(flags),
    transport_workers: transportWorkersFrom(flags, listeners),
    checkpoint_interval_ms: integerIn(flags, "checkpoint-interval-ms", 10, 3_600_000, 1_000),
    grace_ms: integerIn(flags, "grace-ms", 0, 600_000, 10_000),
    ...factsFrom(flags),
    stop_on_stdin_end: flags.has("stop-on-stdin-end"),
    ...pricingFrom(flags.get("pricing")),
  };
}

function notifyFrom(flags: ReadonlyMap<string, string>): { readonly notify?: NotifyConfig } {
  const allow_private = flags.has("allow-private-webhook");
  const webhook = flags.get("webhook");
  const secret_file = flags.get("webhook-secret-file");
  const slack = flags.get("slack-webhook");
  if ((webhook === undefined) !== (secret_file === undefined)) {
    throw new UsageError(
      "`--webhook` and `--webhook-secret-file` belong together: what is sent is signed",
    );
  }
  if (webhook === undefined && slack === undefined) return {};
  return {
    notify: {
      ...(webhook === undefined || secret_file === undefined
        ? {}
        : { webhook: { url: webhookUrl("webhook", webhook, allow_private), secret_file } }),
      ...(slack === undefined
        ? {}
        : { slack: { url: webhookUrl("slack-webhook", slack, allow_private) } }),
      allow_private,
    },
  };
}

/** The URL may be a secret, so that it is not repeated when it is refused. */
function webhookUrl(flag: string, text: string, allow_private: boolean): string {
  if (!URL.canParse(text)) throw new UsageError(`flag \`--${flag}\` is not a URL`);
  const url = new URL(text);
  if (url.protocol !== "https:" && !(allow_private && url.protocol === "http:")) {
    throw new UsageError(
      `flag \`--${flag}\` must begin with https://; plain HTTP needs \`--allow-private-webhook\``,
    );
  }
  if (url.username !== "" || url.password !== "" || url.hash !== "") {
    throw new UsageError(`flag \`--${flag}\` must hold no user, password or fragment`);
  }
  if (url.hostname === "" || /[,*]/.test(url.hostname)) {
    throw new UsageError(`flag \`--${flag}\` names no host that a permission list can hold`);
  }
  return url.href;
}

function optionalPath<const K extends string>(
  flags: ReadonlyMap<string, string>,
  flag: string,
  key: K,
): { readonly [P in K]?: string } {
  const value = flags.get(flag);
  return value === undefined ? {} : { [key]: value } as { [P in K]?: string };
}

/** Orphan modes as operators name them. */
export const ORPHAN_MODES = {
  suspend: "suspend",
  promote: "promote_to_root",
  cascade: "cascade_deregister",
} as const;

const TTL_UNITS_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
/** Shortest and longest life of an agent's token, milliseconds. Outside: refused at start. */
const AGENT_TOKEN_TTL_MS = { min: 60_000, max: 365 * 86_400_000 } as const;

/** Off by default: a client of the reference would go silent when its token ends. */
function agentTokenTtlFrom(
  flags: ReadonlyMap<string, string>,
): { readonly agent_token_ttl_ms?: number } {
  const value = flags.get("agent-token-ttl") ?? "off";
  if (value === "off") return {};
  const match = /^(\d{1,9})([smhd])$/.exec(value);
  const ttl_ms = Number(match?.[1]) * (TTL_UNITS_MS[match?.[2] ?? ""] ?? NaN);
  if (ttl_ms >= AGENT_TOKEN_TTL_MS.min && ttl_ms <= AGENT_TOKEN_TTL_MS.max) {
    return { agent_token_ttl_ms: ttl_ms };
  }
  throw new UsageError(
    `flag \`--agent-token-ttl\` cannot be \`${value}\`: expected off, or 60s to 365d such as 12h`,
  );
}

const DAY_MS = 24 * 60 * 60 * 1000;
const FACTS_RETENTION_MAX_DAYS = 400;

function factsFrom(flags: ReadonlyMap<string, string>): { readonly facts?: FactsConfig } {
  const key_file = flags.get("facts-key-file");
  const retention = flags.get("facts-retention");
  if (flags.has("no-facts")) {
    if (key_file === undefined && retention === undefined) return {};
    throw new UsageError("`--no-facts` records none: leave the other flags of facts out");
  }
  const text = retention ?? FACTS_RETENTION_DEFAULT;
  const days = /^([1-9]\d{0,2})d$/.exec(text)?.[1];
  if (days === undefined || Number(days) > FACTS_RETENTION_MAX_DAYS) {
    throw new UsageError(
      `flag \`--facts-retention\` cannot be \`${text}\`: expected 1d to ${FACTS_RETENTION_MAX_DAYS}d`,
    );
  }
  const retention_ms = Number(days) * DAY_MS;
  return { facts: { retention_ms, ...(key_file === undefined ? {} : { key_file }) } };
}

function pricingFrom(path: string | undefined): { readonly pricing?: string } {
  return path === undefined ? {} : { pricing: path };
}

function policyFrom(flags: ReadonlyMap<string, string>): PolicySource {
  const value = flags.get("policy");
  const writable = flags.has("policy-writable");
  if (value === "none" || value === "history") {
    if (!writable) return { kind: value };
    throw new UsageError(
      `\`--policy-writable\` is for a policy file or directory, not for \`--policy ${value}\`: leave it out`,
    );
  }
  if (writable && value === undefined) {
    throw new UsageError(
      "`--policy-writable` needs `--policy FILE|DIR`: the policies that come with this program are not to be written",
    );
  }
  return {
    kind: "path",
    path: value ?? DEFAULT_POLICY,
    defaulted: value === undefined,
    ...(writable ? { writable } : {}),
  };
}

/** A variable's name, and not one by which the runtime or a linker would do something else. */
const VARIABLE = /^(?!DENO_|LD_|DYLD_)[A-Z][A-Z0-9_]{0,127}$/;

function secretsKeyFrom(flags: ReadonlyMap<string, string>): SecretsKeySource {
  const path = flags.get("secrets-key-file");
  const name = flags.get("secrets-key-env");
  const program = flags.get("secrets-key-command");
  if ([path, name, program].filter((given) => given !== undefined).length > 1) {
    throw new UsageError(
      "the secrets key comes from one place: give one of `--secrets-key-file`, " +
        "`--secrets-key-env` and `--secrets-key-command`",
    );
  }
  if (path !== undefined) return { kind: "file", path };
  if (name !== undefined) {
    if (VARIABLE.test(name)) return { kind: "env", name };
    throw new UsageError(
      `flag \`--secrets-key-env\` cannot be \`${name}\`: expected the name of a variable, in upper case`,
    );
  }
  if (program === undefined) return { kind: "none" };
  if (program.startsWith("/")) return { kind: "command", program };
  throw new UsageError(
    `flag \`--secrets-key-command\` cannot be \`${program}\`: expected an absolute path, so that ` +
      "nothing but this program can be meant",
  );
}

function tlsFrom(flags: ReadonlyMap<string, string>): TlsFiles | undefined {
  const cert = flags.get("tls-cert");
  const key = flags.get("tls-key");
  const client_ca = flags.get("tls-client-ca");
  if (cert === undefined && key === undefined && client_ca === undefined) return undefined;
  if (cert === undefined || key === undefined) {
    throw new UsageError("TLS needs both `--tls-cert` and `--tls-key`");
  }
  return { cert, key, ...(client_ca === undefined ? {} : { client_ca }) };
}

function listenersFrom(flags: ReadonlyMap<string, string>, tls: boolean): ListenerConfig[] {
  const listeners: ListenerConfig[] = [];
  const socket = flags.get("socket");
  const listen = flags.get("listen") ?? (socket === undefined ? DEFAULT_LISTEN : undefined);
  if (listen === undefined && tls) {
    throw new UsageError("TLS flags need `--listen`: a Unix socket is served without TLS");
  }
  if (listen !== undefined) {
    const address = parseHostPort(listen);
    if (!tls && !isLoopback(address.hostname) && !flags.has("allow-remote-plaintext")) {
      throw new UsageError(
        `refusing to serve plaintext on \`${listen}\`: it is not a loopback address; ` +
          "give `--tls-cert` and `--tls-key`, or say `--allow-remote-plaintext`",
      );
    }
    listeners.push({ transport: tls ? "tls" : "tcp", ...address });
  }
  if (socket !== undefined) listeners.push({ transport: "unix", path: socket });
  return listeners;
}

/** Bounds of the web listener beyond those of the transport. */
export const WEB_LIMITS = {
  /** Origins whose pages may call one gateway. More: refused at start. */
  web_origins: 64,
} as const;

function webFrom(
  flags: ReadonlyMap<string, string>,
  tls: TlsFiles | undefined,
): { readonly web?: WebConfig } {
  const listen = flags.get("web-listen");
  const origins = flags.get("web-origin")?.split(",") ?? [];
  if (listen === undefined) {
    if (origins.length === 0) return {};
    throw new UsageError("`--web-origin` belongs to `--web-listen`: give both");
  }
  const address = parseHostPort(listen);
  if (tls?.client_ca !== undefined) {
    throw new UsageError(
      "`--web-listen` cannot ask for client certificates: leave it or `--tls-client-ca` out",
    );
  }
  if (tls === undefined && !isLoopback(address.hostname) && !flags.has("allow-remote-plaintext")) {
    throw new UsageError(
      `refusing to serve plaintext on \`${listen}\`: it is not a loopback address; ` +
        "give `--tls-cert` and `--tls-key`, or say `--allow-remote-plaintext`",
    );
  }
  const { web_origins } = WEB_LIMITS;
  if (origins.length > web_origins) {
    throw new UsageError(`\`--web-origin\` names ${origins.length}: at most ${web_origins}`);
  }
  for (const origin of origins) checkOrigin(origin);
  return { web: { ...address, tls: tls !== undefined, origins } };
}

function checkOrigin(text: string): void {
  const exact = URL.canParse(text) && /^https?:/.test(text) && new URL(text).origin === text;
  if (exact) return;
  throw new UsageError(
    `flag \`--web-origin\` cannot be \`${text}\`: expected scheme, host and port only, ` +
      "like `https://app.example`; there is no wildcard",
  );
}

/**
 * How many transport workers, where more than one can be safe: the system gives a port that several
 * sockets share to any process of the same user that asks for it.
 */
function transportWorkersFrom(
  flags: ReadonlyMap<string, string>,
  listeners: readonly ListenerConfig[],
): number {
  const count = integerIn(flags, "transport-workers", 0, TRANSPORT_WORKERS_MAX, 0);
  if (count === 0) return 0;
  const shared = listeners.find((listener) => listener.transport !== "unix");
  if (shared === undefined) {
    throw new UsageError("`--transport-workers` need `--listen`: a Unix socket is served without");
  }
  if (count === 1) return 1;
  if (shared.port === 0) {
    throw new UsageError("several transport workers share a port: `--listen` must name one, not 0");
  }
  if (shared.transport === "tcp" && !flags.has("allow-shared-port")) {
    throw new UsageError(
      "refusing to share a port without TLS: any process of the same user could take a share of the " +
        "connections; give `--tls-cert` and `--tls-key`, use one transport worker, or say " +
        "`--allow-shared-port`",
    );
  }
  return count;
}

/** Splits `host:port`, `[v6]:port`. Port 0 picks a free one. */
function parseHostPort(text: string): { hostname: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const hostname = match?.[1] ?? match?.[2];
  if (hostname === undefined || port > 65_535) {
    throw new UsageError(
      `cannot listen on \`${text}\`: expected HOST:PORT, e.g. ${DEFAULT_LISTEN}`,
    );
  }
  return { hostname, port };
}

/** Whether a listen host can only be reached from this machine. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" ||
    /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(hostname);
}

function oneOf<const T extends string>(
  flags: ReadonlyMap<string, string>,
  name: string,
  allowed: readonly T[],
  fallback: T,
): T {
  const value = flags.get(name);
  if (value === undefined) return fallback;
  const found = allowed.find((word) => word === value);
  if (found === undefined) {
    throw new UsageError(
      `flag \`--${name}\` cannot be \`${value}\`: expected ${allowed.join(" or ")}`,
    );
  }
  return found;
}

function integerIn(
  flags: ReadonlyMap<string, string>,
  name: string,
  min: number,
  max: number,
  fallback: number,
): number {
  const value = flags.get(name);
  if (value === undefined) return fallback;
  const number = /^\d{1,9}$/.test(value) ? Number(value) : NaN;
  if (!(number >= min && number <= max)) {
    throw new UsageError(`flag \`--${name}\` cannot be \`${value}\`: expected ${min} to ${max}`);
  }
  return number;
}
