/**
 * From what Deno asks to what a policy is asked. Pure.
 *
 * A request stands for one or more policy questions, all of which must be allowed: Deno has one
 * permission for writing and deleting, a policy has two; a remote import is egress and code.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { PROXY_HOST, PROXY_VARIABLES } from "../../core/deno_flags/proxy_variables.ts";
import { policy } from "../../proto/mod.ts";
import { BROKER_LIMITS } from "./limits.ts";
import type { PermissionRequest } from "./protocol.ts";

/** One policy question, before it is known who asks. */
export interface Act {
  /** Names the question within one agent: equal keys are the same question. */
  readonly key: string;
  /** Number of `common.v1.ActionType`. */
  readonly action_type: number;
  /** Built only when it is asked: most questions are answered from what was said before. */
  readonly context: () => policy.ActionContext;
}

/** A path that a request names, before links and the working directory are looked at. */
export interface PathUse {
  readonly mode: "read" | "write";
  /** Absolute, or relative to the asking process's working directory. */
  readonly path: string;
}

/** What a request asks of policy. */
export type Plan =
  /** No policy can allow it: it names nothing that a rule could speak of. */
  | { readonly kind: "refuse"; readonly reason: string }
  | { readonly kind: "ask"; readonly acts: readonly Act[]; readonly paths: readonly PathUse[] };

/** Tools under which what has no action of its own is governed; rules are written for these names. */
export const BROKER_TOOLS = ["deno.env", "deno.sys", "deno.ffi", "deno.import"] as const;

const TOOL_CALL = 2;
/** Number of `common.v1.ActionType` for files. */
export const FILE_OPERATION = 3;
const NETWORK_CALL = 4;
const PROCESS_EXEC = 5;

/** Deno's word for the directory of temporary files, which it asks for without naming it. */
const TEMPORARY = "<TMP>";

/** In a tool's arguments: everything of the kind at once. */
const EVERYTHING = "*";

/**
 * The plan of one request.
 *
 * @param temp_directory Where the process makes temporary files.
 */
export function planOf(request: PermissionRequest, temp_directory: string): Plan {
  const { permission, value } = request;
  if (value !== undefined && value.length > BROKER_LIMITS.value_chars) {
    return refuse(
      `a ${permission} request names ${value.length} characters, at most ` +
        `${BROKER_LIMITS.value_chars} are judged`,
    );
  }
  switch (permission) {
    case "read":
    case "write":
      // Everything at once is the whole tree: allowed exactly where a policy allows `/`.
      return ask([], [{ mode: permission, path: pathOf(value ?? "/", temp_directory) }]);
    case "net":
      return netPlan(value);
    case "import":
      return importPlan(value);
    case "run":
      return runPlan(value);
    case "env":
      return envPlan(value);
    case "sys":
      return ask([tool("deno.sys", { kind: value ?? EVERYTHING })]);
    case "ffi":
      return ask(
        [tool("deno.ffi", { path: value ?? EVERYTHING })],
        value === undefined ? [] : [{ mode: "read", path: value }],
      );
  }
}

function pathOf(value: string, temp_directory: string): string {
  return value === TEMPORARY ? temp_directory : value;
}

function netPlan(value: string | undefined): Plan {
  if (value === undefined) {
    return refuse("every host at once was asked for; no rule names that");
  }
  if (value.startsWith("unix:")) {
    const path = value.slice("unix:".length);
    if (path === "" || path.includes("\0")) {
      return refuse("a Unix socket without a path was asked for; no rule can name it");
    }
    // This machine: an allowlist that is to permit it lists `localhost`.
    return ask([network("unix", "localhost", 0)], [{ mode: "write", path }]);
  }
  if (value.startsWith("vsock:")) {
    return refuse("a vsock was asked for; no rule can name it");
  }
  const host = hostOf(value);
  if (host === undefined) return refuse("the host that was asked for is none");
  return ask([network("tcp", host.name, host.port)]);
}

function importPlan(value: string | undefined): Plan {
  const host = value === undefined ? undefined : hostOf(value);
  if (host === undefined) return refuse("code was to be imported from no single host");
  return ask([
    network("https", host.name, host.port),
    tool("deno.import", { host: value }),
  ]);
}

function runPlan(value: string | undefined): Plan {
  if (value === undefined) {
    // Before every start Deno asks for all programs at once; refused, it asks for the one.
    return refuse(
      "every program at once was asked for: to signal another process, or to start one with " +
        "LD_* variables; no rule allows that",
    );
  }
  return ask([processExec(value)]);
}

/** Touching a proxy variable is reaching whatever it names: Deno never asks about that host. */
function envPlan(value: string | undefined): Plan {
  const asked = tool("deno.env", { name: value ?? EVERYTHING });
  return value !== undefined && PROXY_VARIABLES.includes(value)
    ? ask([asked, network("tcp", PROXY_HOST, 0)])
    : ask([asked]);
}

/** `name`, `name:port`, `[v6]:port`; the decision judges what the name is. */
function hostOf(value: string): { readonly name: string; readonly port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(value);
  if (match === null) return undefined;
  const port = Number(match[3] ?? "0");
  const name = match[1] ?? match[2] ?? "";
  return port > 65_535 ? undefined : { name, port };
}

function refuse(reason: string): Plan {
  return { kind: "refuse", reason };
}

function ask(acts: readonly Act[], paths: readonly PathUse[] = []): Plan {
  return { kind: "ask", acts, paths };
}

/** The questions of one path; writing is also deleting, because Deno does not tell them apart. */
export function pathActs(mode: PathUse["mode"], path: string): readonly Act[] {
  return mode === "read"
    ? [fileOperation("read", path)]
    : [fileOperation("write", path), fileOperation("delete", path)];
}

function fileOperation(operation: "read" | "write" | "delete", path: string): Act {
  return {
    key: `${operation}\0${path}`,
    action_type: FILE_OPERATION,
    context: () =>
      create(policy.ActionContextSchema, {
        action: { case: "fileOp", value: { operation, path } },
      }),
  };
}

function network(protocol: string, host: string, port: number): Act {
  return {
    key: `net\0${protocol}\0${host}\0${port}`,
    action_type: NETWORK_CALL,
    context: () =>
      create(policy.ActionContextSchema, {
        action: { case: "networkCall", value: { protocol, host, port } },
      }),
  };
}

function processExec(command: string): Act {
  return {
    key: `run\0${command}`,
    action_type: PROCESS_EXEC,
    context: () =>
      create(policy.ActionContextSchema, {
        action: { case: "processExec", value: { command } },
      }),
  };
}

function tool(toolName: typeof BROKER_TOOLS[number], args: Readonly<Record<string, unknown>>): Act {
  const text = JSON.stringify(args);
  return {
    key: `tool\0${toolName}\0${text}`,
    action_type: TOOL_CALL,
    context: () =>
      create(policy.ActionContextSchema, {
        action: {
          case: "toolCall",
          value: { toolName, argsJson: new TextEncoder().encode(text) },
        },
      }),
  };
}
