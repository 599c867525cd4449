/**
 * Starts one program of the suite under exactly the permissions that its flags need.
 *
 * Permissions: `--allow-run=<this deno binary>` to start the program, and for gateway and runtime the
 * named variables that stand for flags. It opens no file and no socket. Usage: `launch/main.ts PROGRAM [flags]`.
 *
 * @module
 */
import { type GatewayConfig, parseArguments } from "../gateway/config.ts";
import { gatewayPermissions } from "../gateway/permissions.ts";
import { cliPermissions } from "../cli/permissions.ts";
import { parseArguments as parseRuntimeArguments } from "../runtime/config.ts";
import { withEnvironment } from "../runtime/environment.ts";
import { runtimePermissions } from "../runtime/permissions.ts";

/** A program start, ready to be spawned. */
export interface Launch {
  readonly entry: URL;
  readonly permissions: readonly string[];
  /** Flags of the engine, not of the program. */
  readonly runtime: readonly string[];
  readonly argv: readonly string[];
  /** The child ends when the launcher's end of its standard input closes. */
  readonly lifeline: boolean;
}

/** Environment variables of the reference that stand for gateway flags (contract `wire` §7.4). */
export const GATEWAY_VARIABLES: readonly (readonly [variable: string, flag: string])[] = [
  ["AA_POLICY", "--policy"],
  ["AA_AUDIT_DIR", "--audit-dir"],
  ["AA_GATEWAY_TENANCY_MODE", "--tenancy"],
  ["AA_GATEWAY_GRPC_TLS_CERT", "--tls-cert"],
  ["AA_GATEWAY_GRPC_TLS_KEY", "--tls-key"],
  ["AA_GATEWAY_GRPC_CLIENT_CA", "--tls-client-ca"],
];

/**
 * A young generation that holds a few thousand decisions: at the default size a loaded gateway spends
 * a fifth of its time copying what is about to die (measured in `bench/`).
 */
const YOUNG_GENERATION = "--v8-flags=--min-semi-space-size=16,--max-semi-space-size=32";

/** Lets the gateway start its transport workers with fewer permissions than it has itself. */
const WORKER_PERMISSIONS = "--unstable-worker-options";

/**
 * A web request's signal then tells of callers who went away and of nothing else; without it the
 * runtime prints a page of advice at the first call that lasts.
 */
const DISCONNECTS_ONLY = "--unstable-no-legacy-abort";

/**
 * Plans the start of a program.
 *
 * @param program `gateway`, `runtime` or `aasm`.
 * @param argv The program's own flags.
 * @param cwd Absolute directory that relative paths start from.
 * @param variable Reads one environment variable.
 * @throws {Error} when the program is unknown.
 */
export function planLaunch(
  program: string,
  argv: readonly string[],
  cwd: string,
  variable: (name: string) => string | undefined,
): Launch {
  switch (program) {
    case "gateway":
      return planGateway(argv, cwd, variable);
    case "runtime":
      return planRuntime(argv, cwd, variable);
    case "aasm":
      return {
        entry: new URL("../cli/main.ts", import.meta.url),
        permissions: cliPermissions(argv, cwd),
        runtime: [],
        argv,
        lifeline: false,
      };
    default:
      throw new Error(`unknown program \`${program}\`: expected gateway, runtime or aasm`);
  }
}

function planGateway(
  argv: readonly string[],
  cwd: string,
  variable: (name: string) => string | undefined,
): Launch {
  const full = [...argv];
  for (const [name, flag] of GATEWAY_VARIABLES) {
    const value = variable(name);
    const given = argv.some((word) => word === flag || word.startsWith(`${flag}=`));
    if (value !== undefined && value !== "" && !given) full.push(`${flag}=${value}`);
  }
  const parsed = parseArguments(full);
  const config: GatewayConfig | undefined = parsed.action === "run" ? parsed.config : undefined;
  return {
    entry: new URL("../gateway/main.ts", import.meta.url),
    permissions: config === undefined ? [] : gatewayPermissions(config, cwd),
    runtime: [
      YOUNG_GENERATION,
      ...config !== undefined && config.transport_workers > 0 ? [WORKER_PERMISSIONS] : [],
      ...config?.web === undefined ? [] : [DISCONNECTS_ONLY],
    ],
    ...held(full, config !== undefined),
  };
}

function planRuntime(
  argv: readonly string[],
  cwd: string,
  variable: (name: string) => string | undefined,
): Launch {
  // The runtime may not read the directory it was started in, not even its name.
  const full = [...withEnvironment(argv, variable), `--base-dir=${cwd}`];
  const parsed = parseRuntimeArguments(full);
  const config = parsed.action === "run" ? parsed.config : undefined;
  return {
    entry: new URL("../runtime/main.ts", import.meta.url),
    permissions: config === undefined ? [] : runtimePermissions(config, cwd, Deno.build),
    runtime: [YOUNG_GENERATION],
    ...held(full, config !== undefined),
  };
}

/** Ends the program with its standard input. */
const STOP_ON_STDIN_END = "--stop-on-stdin-end";

/**
 * How long a program lives: as long as its launcher, or, where whoever started the launcher says so,
 * as long as that: then both have one standard input.
 */
function held(argv: readonly string[], starts: boolean): Pick<Launch, "argv" | "lifeline"> {
  return starts && !argv.includes(STOP_ON_STDIN_END)
    ? { argv: [...argv, STOP_ON_STDIN_END], lifeline: true }
    : { argv, lifeline: false };
}

async function run(launch: Launch): Promise<number> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--no-remote",
      "--quiet",
      ...launch.runtime,
      ...launch.permissions,
      launch.entry.href,
      ...launch.argv,
    ],
    stdin: launch.lifeline ? "piped" : "inherit",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  // Held open for as long as the launcher lives, whatever ends it: see `--stop-on-stdin-end`.
  const lifeline = launch.lifeline ? child.stdin : undefined;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => forward(child, signal));
  }
  const status = await child.status;
  await lifeline?.abort().catch(() => {});
  return status.code;
}

function forward(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch {
    // The child ended between the signal and here; its status is already on its way.
  }
}

if (import.meta.main) {
  const [program = "", ...argv] = Deno.args;
  try {
    const launch = planLaunch(program, argv, Deno.cwd(), (name) => Deno.env.get(name));
    Deno.exit(await run(launch));
  } catch (error) {
    // deno-lint-ignore no-console
    console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
    Deno.exit(2);
  }
}
