/**
 * The whole command line, parsed without touching anything: no file, no socket, no environment.
 * What a process may do is derived from this (see `permissions.ts`), and so is what it does.
 *
 * @module
 */
import { merge, object, or } from "@optique/core/constructs";
import { bash, fish, nu, pwsh, zsh } from "@optique/core/completion";
import { runParserSync } from "@optique/core/facade";
import { commandLine, message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import type { InferValue } from "@optique/core/parser";
import { command, constant, flag, option } from "@optique/core/primitives";
import { VERSION } from "../../core/version.ts";
import { action, claimant } from "./action.ts";
import { agent } from "./agent.ts";
import { alerts } from "./alerts.ts";
import { approvals } from "./approvals.ts";
import { audit } from "./audit.ts";
import { budget, cost } from "./budget.ts";
import { deno_flags, run } from "./deno.ts";
import { ops } from "./ops.ts";
import { iam } from "./iam.ts";
import { policy } from "./policy.ts";
import { secrets } from "./secrets.ts";
import { topology } from "./topology.ts";
import { refusalText } from "./refusal.ts";
import { type GatewayAddress, gatewayAddress, integer, name, oneOf, path } from "./values.ts";

/** Operator token the gateway writes at its first start. */
export const DEFAULT_TOKEN_FILE = ".aasm/operator.token";
const DEFAULT_GATEWAY: GatewayAddress = {
  kind: "tcp",
  host: "127.0.0.1",
  port: 50051,
  text: "127.0.0.1:50051",
};
const TIMEOUT_SECONDS_MAX = 3_600;

const global_flags = object("Global flags", {
  gateway: withDefault(
    option("--gateway", gatewayAddress(), { description: message`HOST:PORT or unix:/path.` }),
    DEFAULT_GATEWAY,
  ),
  tls_ca: optional(option("--tls-ca", path("FILE"), {
    description: message`Speak TLS; trust this authority (PEM).`,
  })),
  tls_cert: optional(option("--tls-cert", path("FILE"), {
    description: message`Client certificate (PEM).`,
  })),
  tls_key: optional(option("--tls-key", path("FILE"), {
    description: message`Key of the client certificate (PEM).`,
  })),
  token_file: withDefault(
    option("--token-file", path("FILE"), { description: message`File with the operator token.` }),
    DEFAULT_TOKEN_FILE,
  ),
  output: withDefault(
    option("--output", oneOf("FORM", ["table", "json", "yaml"]), {
      description: message`Form of the answer.`,
    }),
    "table",
  ),
  no_color: withDefault(
    flag("--no-color", { description: message`No colour, even on a terminal.` }),
    false,
  ),
  timeout_seconds: withDefault(
    option("--timeout", integer("SECONDS", 1, TIMEOUT_SECONDS_MAX), {
      description: message`Longest wait for one answer.`,
    }),
    10,
  ),
});

const status = command(
  "status",
  object({
    command: constant("status"),
    watch: withDefault(flag("--watch", { description: message`Again every 2 seconds.` }), false),
  }),
  {
    brief: message`Is the gateway enforcing, under which policy, with which record.`,
    footer: message`Example: aasm status --watch`,
  },
);

const check = command(
  "check",
  merge(
    object({
      command: constant("check"),
      dry_run: withDefault(
        flag("--dry-run", { description: message`Explain only; nothing is recorded or counted.` }),
        false,
      ),
      wait: withDefault(
        flag("--wait", {
          description:
            message`Wait, at most --timeout, for a person when one must agree; otherwise come back with a token.`,
        }),
        false,
      ),
      resume: optional(
        option("--resume", name("TOKEN|@FILE"), {
          description: message`Ask the same again, with the token that a pending answer gave.`,
        }),
      ),
    }),
    claimant,
    object({ action }),
  ),
  {
    brief: message`Ask the gateway whether one action may happen, and why.`,
    footer: message`Example: aasm check --agent researcher-1 tool search --args '{"query": "x"}'`,
  },
);

const version = command("version", object({ command: constant("version") }), {
  brief: message`Versions of this program and of the gateway.`,
  footer: message`Example: aasm version`,
});

const parser = merge(
  global_flags,
  object({
    run: or(
      status,
      check,
      policy,
      agent,
      approvals,
      alerts,
      budget,
      cost,
      topology,
      ops,
      secrets,
      audit,
      iam,
      or(run, deno_flags),
      version,
    ),
  }),
);

/** Everything a valid command line says. */
export type Invocation = InferValue<typeof parser>;
/** Flags of every command. */
export type GlobalFlags = Omit<Invocation, "run">;
/** One command with its own flags. */
export type Command = Invocation["run"];
/** The command of that name. */
export type CommandNamed<N extends Command["command"]> = Extract<Command, { command: N }>;

/** What a command line asks for. `print` is help, a version or a completion script. */
export type ParsedArguments =
  | { readonly kind: "run"; readonly invocation: Invocation }
  | { readonly kind: "print"; readonly text: string }
  | { readonly kind: "refuse"; readonly message: string };

/** How help is laid out. */
export interface HelpStyle {
  readonly colors: boolean;
  readonly width?: number;
}

class Printed extends Error {}
class Refused extends Error {}

/**
 * Parses a command line.
 *
 * @param argv Words after the program's name.
 * @param style Layout of help texts.
 */
export function parseArguments(
  argv: readonly string[],
  style: HelpStyle = { colors: false },
): ParsedArguments {
  const printed: string[] = [];
  try {
    const invocation = runParserSync(parser, "aasm", argv, {
      colors: style.colors,
      ...(style.width === undefined ? {} : { maxWidth: style.width }),
      termWidth: "auto",
      commandList: "top-level",
      showDefault: true,
      showChoices: true,
      aboveError: "none",
      brief: message`Operate an Agent Assembly gateway.`,
      usageLine: [{ type: "ellipsis" }],
      footer: EXIT_CODES,
      help: { option: { names: ["-h", "--help"] }, onShow: stopAfterPrinting },
      version: {
        value: `aasm ${VERSION}`,
        option: { names: ["-V", "--version"] },
        onShow: stopAfterPrinting,
      },
      completion: {
        command: { names: ["completion"] },
        shells: { bash, zsh, fish, nu, powershell: pwsh, pwsh },
        onShow: stopAfterPrinting,
      },
      stdout: (text) => printed.push(text),
      stderr: () => {},
      onError: (_code, error) => {
        throw new Refused(refusalText(error));
      },
    });
    const conflict = flagConflict(invocation);
    return conflict === undefined
      ? { kind: "run", invocation }
      : { kind: "refuse", message: conflict };
  } catch (error) {
    if (error instanceof Printed) return { kind: "print", text: printed.join("\n") };
    if (error instanceof Refused) return { kind: "refuse", message: error.message };
    throw error;
  }
}

function stopAfterPrinting(): never {
  throw new Printed();
}

/** Half a client certificate, or TLS flags that would not be used, are mistakes worth a word. */
function flagConflict({ tls_ca, tls_cert, tls_key }: Invocation): string | undefined {
  if ((tls_cert === undefined) !== (tls_key === undefined)) {
    return "--tls-cert and --tls-key belong together; give both or neither";
  }
  if (tls_cert !== undefined && tls_ca === undefined) {
    return "--tls-cert needs --tls-ca: name the authority of the gateway's certificate";
  }
  return undefined;
}

const EXIT_CODES = message`Exit codes: 0 ok, 1 failure, 2 wrong usage, 3 denied, 4 approval pending,
5 gateway unreachable, 6 verification failed, 7 differences or findings with --fail-on-flip or --strict.

Example: ${commandLine("aasm check --dry-run exec -- rm -rf /tmp/work")}`;
