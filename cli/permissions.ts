/**
 * The narrowest permission list under which one invocation of `aasm` can do what it was asked.
 * The launcher grants exactly this list.
 *
 * @module
 */
import { dirname, resolve } from "node:path";
import type { ActionWords } from "./arguments/action.ts";
import { type Command, type Invocation, parseArguments } from "./arguments/parse.ts";
import { stateDirectory } from "./run_deno/plan.ts";

/** What an invocation touches; paths as given. */
interface Needs {
  readonly gateway: boolean;
  /** The operator token goes with calls of the admin service only. */
  readonly operator: boolean;
  readonly read: readonly string[];
  readonly write: readonly string[];
  /** Starts Deno: the suite's programs by their launcher, and the agent. */
  readonly starts?: true;
  /** A Unix socket that is asked. */
  readonly socket?: string;
}

/**
 * Deno permission flags for one command line: the gateway's address when it is asked, the files
 * that the flags name, and nothing for help, completion and usage errors. No environment, no FFI, no
 * system information, never a bare flag; a subprocess only for `run deno`, and only this Deno.
 *
 * @param argv Words after the program's name.
 * @param cwd Absolute directory that relative paths start from.
 * @param deno Absolute path of the Deno that may be started, where one may.
 * @throws {Error} when `cwd` cannot stand in a permission list.
 */
export function cliPermissions(
  argv: readonly string[],
  cwd: string,
  deno: string = Deno.execPath(),
): string[] {
  const parsed = parseArguments(argv);
  if (parsed.kind !== "run") return [];
  const { invocation } = parsed;
  const needs = needsOf(invocation.run);
  const net = new Set<string>();
  const read = new Set(needs.read.map((path) => absolute(cwd, path)));
  const write = new Set(needs.write.map((path) => absolute(cwd, path)));
  if (needs.gateway) {
    const { gateway } = invocation;
    if (gateway.kind === "unix") {
      const path = absolute(cwd, gateway.path);
      net.add(`unix:${path}`);
      read.add(path);
      write.add(path);
    } else {
      const host = gateway.host.includes(":") ? `[${gateway.host}]` : gateway.host;
      net.add(`${host}:${gateway.port}`);
    }
    for (const file of tlsFiles(invocation)) read.add(absolute(cwd, file));
    if (needs.operator) read.add(absolute(cwd, invocation.token_file));
  }
  if (needs.socket !== undefined) {
    const path = absolute(cwd, needs.socket);
    net.add(`unix:${path}`);
    read.add(path);
    write.add(path);
  }
  const run = new Set(needs.starts === true ? [absolute(cwd, deno)] : []);
  return [flag("net", net), flag("read", read), flag("write", write), flag("run", run)].flat();
}

/** An empty list would be a bare flag, which grants everything. */
function flag(name: string, values: ReadonlySet<string>): string[] {
  return values.size === 0 ? [] : [`--allow-${name}=${[...values].join(",")}`];
}

function absolute(cwd: string, path: string): string {
  const full = resolve(cwd, path);
  if (full.includes(",")) {
    throw new Error(
      `cannot grant access to \`${full}\`: the runtime's permission lists cannot quote a comma; ` +
        "start from another directory",
    );
  }
  return full;
}

function tlsFiles({ tls_ca, tls_cert, tls_key }: Invocation): string[] {
  return [tls_ca, tls_cert, tls_key].filter((path) => path !== undefined);
}

const LOCAL = { gateway: false, operator: false, write: [] } as const;
const OPERATOR = { gateway: true, operator: true, read: [], write: [] } as const;

function needsOf(command: Command): Needs {
  switch (command.command) {
    case "status":
    case "version":
    case "agent list":
    case "agent inspect":
    case "agent suspend":
    case "agent resume":
    case "agent kill":
    case "agent deregister":
    case "agent revoke-token":
    case "agent set-level":
    case "agent set-tier":
    case "agent reparent":
    case "agent enrol create":
    case "agent enrol list":
    case "agent enrol revoke":
    case "topology tree":
    case "topology lineage":
    case "topology team":
    case "topology edges":
    case "topology cycles":
    case "approvals list":
    case "approvals get":
    case "approvals approve":
    case "approvals reject":
    case "approvals forward":
    case "approvals revoke":
    case "approvals watch":
    case "alerts list":
    case "alerts get":
    case "alerts ack":
    case "alerts resolve":
    case "alerts silence":
    case "alerts watch":
    case "alerts detectors":
    case "alerts baseline":
    case "alerts reset-baseline":
    case "alerts rule list":
    case "alerts rule set":
    case "alerts rule delete":
    case "iam whoami":
    case "iam roles":
    case "iam operators list":
    case "iam operators create":
    case "iam operators revoke":
    case "iam rotate-token":
    case "iam keys list":
    case "iam keys create":
    case "iam keys rotate":
    case "iam keys revoke":
    case "agent enforcement-mode":
    case "policy history":
    case "policy get":
    case "policy diff":
    case "policy rollback":
    case "policy proposals":
    case "policy confirm":
    case "policy reject":
    case "budget summary":
    case "budget forecast":
    case "budget tree":
    case "budget pricing":
    case "cost summary":
    case "cost forecast":
    case "cost tree":
    case "ops list":
    case "ops pause":
    case "ops resume":
    case "ops terminate":
    case "ops halt-all":
    case "ops lift":
    case "secrets set":
    case "secrets list":
    case "secrets delete":
    case "secrets rotate-key":
    case "audit list":
    case "audit tail":
      return OPERATOR;
    case "secrets scan":
      return { ...OPERATOR, read: [command.file] };
    case "policy apply":
      return { ...OPERATOR, read: command.paths };
    case "policy bundle verify":
    case "policy bundle import":
      return { ...OPERATOR, read: [command.file] };
    case "policy bundle export":
      return { ...OPERATOR, write: given(command.output_file) };
    case "agent rotate-token":
      return { gateway: true, operator: false, read: wordFile(command.token), write: [] };
    case "check":
      return {
        gateway: true,
        operator: command.dry_run,
        read: [...actionFiles(command.action), ...wordFile(command.token)],
        write: [],
      };
    case "policy schema":
      return { ...LOCAL, read: [] };
    case "policy validate":
      return { ...LOCAL, read: command.paths };
    case "policy explain":
      return { ...LOCAL, read: [command.path, ...actionFiles(command.action)] };
    case "policy analyze":
      return { ...LOCAL, read: [command.path] };
    case "run deno": {
      if (command.broker !== undefined) {
        return { ...LOCAL, read: [], socket: command.broker, starts: true };
      }
      const kept = stateDirectory(command);
      const needs: Needs = { ...LOCAL, read: [kept], write: [kept], starts: true };
      return command.policy === undefined ? needs : { ...needs, socket: `${kept}/gateway.sock` };
    }
    case "deno-flags":
      return { ...LOCAL, read: [command.policy] };
    case "policy replay":
      return factsNeeds(command, [command.proposed], []);
    case "policy learn":
      return factsNeeds(command, [], given(command.output_file));
    case "policy simulate":
      return {
        ...OPERATOR,
        read: [
          ...given(command.proposed),
          ...actionFiles(command.action),
          ...wordFile(command.token),
        ],
      };
    case "policy test":
      return { ...LOCAL, read: command.paths.map(testDirectory) };
    case "audit verify-chain":
      return { ...LOCAL, read: [command.file] };
    case "audit verify": {
      const trust = trustNeeds(command);
      if (command.remote) return { ...OPERATOR, ...trust };
      return { ...LOCAL, read: [command.directory, ...trust.read], write: trust.write };
    }
    case "audit checkpoint":
      return { ...OPERATOR, ...trustNeeds(command) };
    case "audit prove": {
      const trust = trustNeeds(command);
      return { ...OPERATOR, ...trust, write: [...trust.write, ...given(command.output_file)] };
    }
    case "audit compliance-export": {
      const trust = trustNeeds(command);
      const write = [...trust.write, ...given(command.output_file)];
      return command.input === undefined
        ? { ...OPERATOR, ...trust, write }
        : { ...LOCAL, read: [command.input, ...trust.read], write };
    }
    case "audit export":
      return { ...OPERATOR, write: given(command.output_file) };
  }
}

/** With a copy of the facts no gateway is asked. */
function factsNeeds(
  command: {
    readonly facts?: string | undefined;
    readonly facts_key?: string | undefined;
    readonly base?: string | undefined;
  },
  policies: readonly string[],
  write: readonly string[],
): Needs {
  const read = [...policies, ...given(command.base)];
  const { facts, facts_key } = command;
  if (facts === undefined || facts_key === undefined) return { ...OPERATOR, read, write };
  return { ...LOCAL, read: [...read, facts, facts_key], write };
}

/** A pinned key is only read; without one the file of remembered keys is read and added to. */
function trustNeeds(
  trust: { readonly key?: string | undefined; readonly known_keys: string },
): { readonly read: readonly string[]; readonly write: readonly string[] } {
  if (trust.key !== undefined) return { read: wordFile(trust.key), write: [] };
  return { read: [trust.known_keys], write: [trust.known_keys] };
}

function actionFiles(action: ActionWords): string[] {
  return action.kind === "result" && action.content.from === "file" ? [action.content.path] : [];
}

function wordFile(words: string | undefined): string[] {
  return words?.startsWith("@") === true ? [words.slice(1)] : [];
}

function given(path: string | undefined): string[] {
  return path === undefined ? [] : [path];
}

/** Policies under test stand beside their test file or below it. */
function testDirectory(path: string): string {
  return /\.ya?ml$/.test(path) ? dirname(path) : path;
}
