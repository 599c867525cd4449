/**
 * The variables of the reference as flags (contract `interception` §1.2). Read by the launcher, so
 * that the runtime itself needs no environment.
 *
 * A variable of the reference that is zero or not a number falls back to the default, as there, but
 * not in silence; a flag of ours that makes no sense is refused.
 *
 * @module
 */

/** How a variable becomes words of the command line. */
type Rule =
  /** The text as it is. */
  | { readonly kind: "text"; readonly flag: string }
  /** A whole number in a range; anything else is ignored with a warning. */
  | { readonly kind: "number"; readonly flag: string; readonly min: number; readonly max: number }
  | { readonly kind: "fail_closed" }
  | { readonly kind: "policy" }
  | { readonly kind: "log" }
  | { readonly kind: "path_list" }
  /** Understood, but nothing to set here; a warning says why. */
  | { readonly kind: "without_effect"; readonly why: string };

const number = (flag: string, max: number): Rule => ({ kind: "number", flag, min: 1, max });
const DEVINT = "the developer-integration socket is not part of this runtime";
const EBPF = "eBPF programs are loaded by their own daemon, not by this runtime";

const RULES: Readonly<Record<string, Rule>> = {
  AA_AGENT_ID: { kind: "text", flag: "agent-id" },
  AA_AGENT_TEAM_ID: { kind: "text", flag: "team-id" },
  AA_AGENT_ORG_ID: { kind: "text", flag: "org-id" },
  AA_RUNTIME_SOCKET: { kind: "text", flag: "socket" },
  AA_RUNTIME_WORKER_THREADS: { kind: "without_effect", why: "one thread decides" },
  AA_RUNTIME_SHUTDOWN_TIMEOUT_SECS: number("shutdown-timeout-secs", 3_600),
  AA_IPC_MAX_CONNECTIONS: number("max-connections", 1_024),
  AA_PIPELINE_INPUT_BUFFER: number("pipeline-input-buffer", 1_000_000),
  AA_PIPELINE_BATCH_SIZE: number("pipeline-batch-size", 10_000),
  AA_PIPELINE_FLUSH_INTERVAL_MS: number("pipeline-flush-interval-ms", 60_000),
  AA_PIPELINE_BROADCAST_CAPACITY: number("pipeline-broadcast-capacity", 1_000_000),
  AA_METRICS_ADDR: { kind: "text", flag: "metrics-listen" },
  AA_POLICY_PATH: { kind: "policy" },
  AA_GATEWAY_ENDPOINT: { kind: "text", flag: "gateway" },
  AA_GATEWAY_FAIL_CLOSED: { kind: "fail_closed" },
  AA_GATEWAY_TIMEOUT_MS: number("gateway-timeout-ms", 600_000),
  AA_CORRELATION_WINDOW_MS: number("correlation-window-ms", 600_000),
  AA_CORRELATION_INTERVAL_MS: number("correlation-interval-ms", 600_000),
  AA_NATS_CONFIG_PATH: { kind: "text", flag: "nats-config" },
  AA_AUDIT_BUFFER_PATH: { kind: "text", flag: "spool" },
  AA_ENFORCEMENT_MAX_FIELD_BYTES: number("field-bytes-max", 8_388_608),
  AA_LAYERS: { kind: "text", flag: "layers" },
  AA_EBPF_LOADERD_SOCK: { kind: "text", flag: "ebpf-socket" },
  AA_DEVINT_ENABLED: { kind: "without_effect", why: DEVINT },
  AA_EBPF_POLICY_PATH: { kind: "without_effect", why: EBPF },
  AA_EBPF_CONFINE_PID: { kind: "without_effect", why: EBPF },
  AA_EBPF_INPROCESS_LOAD: { kind: "without_effect", why: EBPF },
  AA_EBPF_LOADERD_TIMEOUT_MS: { kind: "without_effect", why: EBPF },
  RUST_LOG: { kind: "log" },
  PATH: { kind: "path_list" },
};

/** Every variable that the launcher reads for the runtime, and no other. */
export const RUNTIME_VARIABLES: readonly string[] = Object.keys(RULES);

/** Most directories of `PATH` that are looked through for the proxy. */
const SEARCHED_DIRECTORIES_MAX = 64;

/**
 * The command line that says what variables and flags say together. A flag wins over its variable.
 *
 * @param argv The flags as given.
 * @param variable Reads one environment variable.
 */
export function withEnvironment(
  argv: readonly string[],
  variable: (name: string) => string | undefined,
): string[] {
  const given = new Set(argv.map((word) => /^--([a-z-]+)/.exec(word)?.[1] ?? ""));
  const words = [...argv];
  for (const [name, rule] of Object.entries(RULES)) {
    const value = variable(name);
    if (value !== undefined) words.push(...wordsOf(name, rule, value, given));
  }
  return words;
}

function wordsOf(name: string, rule: Rule, value: string, given: ReadonlySet<string>): string[] {
  switch (rule.kind) {
    case "text":
      return value === "" || given.has(rule.flag) ? [] : [`--${rule.flag}=${value}`];
    case "number":
      return given.has(rule.flag) ? [] : numberWords(name, rule, value);
    case "fail_closed":
      // Only the four words that the reference knows open it; a typing error leaves it closed.
      return /^(false|0|no|off)$/i.test(value.trim()) ? ["--gateway-fail-open"] : [];
    case "policy":
      if (given.has("local-policy") || given.has("no-local-policy")) return [];
      return [value === "" ? "--no-local-policy" : `--local-policy=${value}`];
    case "log": {
      const level = /^(debug|info|warn|error)$/i.exec(value.trim())?.[1]?.toLowerCase();
      return level === undefined || given.has("log-level") ? [] : [`--log-level=${level}`];
    }
    case "path_list":
      return value.split(":").filter((directory) => /^\/[^,\0]*$/.test(directory))
        .slice(0, SEARCHED_DIRECTORIES_MAX)
        .map((directory) => `--proxy-candidate=${directory.replace(/\/+$/, "")}/aa-proxy`);
    case "without_effect":
      return /^(|0|false|no|off)$/i.test(value.trim())
        ? []
        : [warning(`${name} has no effect: ${rule.why}`)];
  }
}

function numberWords(
  name: string,
  rule: Extract<Rule, { kind: "number" }>,
  value: string,
): string[] {
  const text = value.trim();
  const parsed = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (parsed >= rule.min && parsed <= rule.max) return [`--${rule.flag}=${parsed}`];
  if (value === "") return [];
  return [
    warning(`${name} is not a whole number from ${rule.min} to ${rule.max}: the default is used`),
  ];
}

function warning(text: string): string {
  return `--warning=${text}`;
}
