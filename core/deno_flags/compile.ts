/**
 * A policy as Deno's own permissions: what the flags allow, the policy allows. What flags cannot
 * say is left out and named, never rounded up.
 *
 * The permission broker says more: it follows links, sees every decision's moment, waits for people
 * and puts each answer on record. The flags are for where no runtime can be.
 *
 * @module
 */
import { type Action, scannableText } from "../action.ts";
import type { Cascade } from "../policy/cascade.ts";
import { capabilityOf } from "../policy/capability.ts";
import type { CompiledDocument, PolicySet } from "../policy/compile.ts";
import { verbOf } from "../policy/filesystem.ts";
import type { Principal } from "../principal.ts";
import { hostGrant } from "./hosts.ts";
import { PROXY_VARIABLES } from "./proxy_variables.ts";
import {
  type DenoGrant,
  type DenoKind,
  type DenoPermissionSet,
  NEVER,
  NO_IMPORT,
  NOTHING,
} from "./permission_set.ts";

/** Flags and what they do not say. */
export interface DenoFlags {
  readonly permissions: DenoPermissionSet;
  /** One sentence each: what was left out and why, and what to know of what was not. */
  readonly notes: readonly string[];
}

/** How to compile. */
export interface DenoFlagsOptions {
  /**
   * What a rule makes of opening hours, rate limits, budgets and blocking secret scans, none of
   * which a flag can say. `strict` leaves out whatever they govern; `met` takes them for met.
   *
   * @default "strict"
   */
  readonly moving?: "strict" | "met";
}

/** The widest flags that are not wider than the policy is for this agent. */
export function denoFlags(
  policy: PolicySet,
  principal: Principal,
  options: DenoFlagsOptions = {},
): DenoFlags {
  return new Compiler(policy, principal, options.moving ?? "strict").compile();
}

/** Stand-ins: only the kind of an action, and a tool's name, decide which rules it meets. */
const READ: Action = { kind: "file_access", mode: "read", path: "/" };
const WRITE: Action = { kind: "file_access", mode: "write", path: "/" };
const DELETE: Action = { kind: "file_access", mode: "delete", path: "/" };
const CONNECT: Action = { kind: "network_request", url: "tcp://a.invalid:0", method: "CONNECT" };
const EXEC: Action = { kind: "process_exec", command: "a" };

function toolCall(tool: string): Action {
  return { kind: "tool_call", tool, args: "{}" };
}

/** What the rules that stand still say of an action: whether a whole kind may be allowed at all. */
type Standing =
  | { readonly state: "open"; readonly cascade: Cascade }
  /** Policy never allows it. */
  | { readonly state: "never"; readonly why: string }
  /** Policy sometimes allows it, in a way no flag can say. */
  | { readonly state: "left_out"; readonly why: string };

class Compiler {
  /** Kinds by what is said of them; a note on everything has none. */
  readonly #notes = new Map<string, Set<string>>();

  constructor(
    private readonly policy: PolicySet,
    private readonly principal: Principal,
    private readonly moving: "strict" | "met",
  ) {}

  compile(): DenoFlags {
    const read = this.#paths("read", [READ]);
    const write = this.#paths("write", [WRITE, DELETE]);
    const net = this.#net();
    const permissions = {
      read,
      write,
      net,
      import: this.#import(),
      run: this.#whole("run", [EXEC]),
      env: this.#env(net),
      sys: this.#whole("sys", [toolCall("deno.sys")]),
      ffi: this.#ffi(read),
    };
    this.#warn(permissions);
    const notes = [...this.#notes].map(([text, kinds]) =>
      kinds.size === 0 ? text : `${[...kinds].join(", ")}: ${text}`
    );
    return { permissions, notes };
  }

  /** What whoever starts a program under these flags should know of them. */
  #warn({ read, write, run, ffi }: DenoPermissionSet): void {
    if (run.allow === "all") {
      this.#note("run", "a program the agent starts is bound by none of these flags");
    }
    if (ffi.allow.length > 0) {
      this.#note("ffi", "a library the agent loads is bound by none of these flags");
    }
    for (const [kind, { allow }] of [["read", read], ["write", write]] as const) {
      if (allow === "all" || allow.length === 0) continue;
      this.#note(
        kind,
        "Deno follows links out of these directories; the permission broker judges where they lead",
      );
    }
  }

  #paths(kind: "read" | "write", actions: readonly Action[]): DenoGrant {
    const standing = this.#standing(actions);
    if (standing.state !== "open") return this.#closed(kind, standing);
    const mode = kind === "read" ? "read" : "write";
    const subtrees = standing.cascade.paths(verbOf(mode));
    if (subtrees === undefined) return { allow: "all", deny: [] };
    if (subtrees.paths.length === 0) return NEVER;
    const allow: string[] = [];
    for (const path of subtrees.paths) {
      if (path.includes(",")) {
        this.#note(kind, `\`${path}\` is left out: a flag cannot hold a comma`);
      } else allow.push(path);
    }
    return { allow, deny: [] };
  }

  #net(): DenoGrant {
    const standing = this.#standing([CONNECT]);
    if (standing.state !== "open") return this.#closed("net", standing);
    return this.#hosts("net", standing.cascade.networks) ?? NEVER;
  }

  /** An import is egress and code: both are asked. */
  #import(): DenoGrant {
    const standing = this.#standing([CONNECT, toolCall("deno.import")]);
    if (standing.state !== "open") {
      this.#closed("import", standing);
      return { allow: [NO_IMPORT], deny: [] };
    }
    const grant = this.#hosts("import", standing.cascade.networks);
    return grant === undefined || grant.allow.length === 0
      ? { allow: [NO_IMPORT], deny: [] }
      : grant;
  }

  /** `undefined` when policy permits no host. */
  #hosts(kind: DenoKind, documents: readonly CompiledDocument[]): DenoGrant | undefined {
    const { grant, left_out } = hostGrant(documents);
    for (const one of left_out) this.#note(kind, `allowlist entry ${one}`);
    return grant.allow.length === 0 && left_out.length === 0 ? undefined : grant;
  }

  /** A proxy variable reaches any host, so only who may reach any host may touch one. */
  #env(net: DenoGrant): DenoGrant {
    const env = this.#whole("env", [toolCall("deno.env")]);
    if (env.allow !== "all" || net.allow === "all") return env;
    this.#note("env", "variables that name a proxy are denied: they would reach any host");
    return { allow: "all", deny: PROXY_VARIABLES };
  }

  /** A library is read when it is loaded. */
  #ffi(read: DenoGrant): DenoGrant {
    const standing = this.#standing([READ, toolCall("deno.ffi")]);
    if (standing.state !== "open") return this.#closed("ffi", standing);
    return { allow: read.allow, deny: read.allow.length === 0 ? "all" : [] };
  }

  #whole(kind: DenoKind, actions: readonly Action[]): DenoGrant {
    const standing = this.#standing(actions);
    return standing.state === "open" ? { allow: "all", deny: [] } : this.#closed(kind, standing);
  }

  #closed(kind: DenoKind, standing: Exclude<Standing, { state: "open" }>): DenoGrant {
    this.#note(kind, standing.why);
    return standing.state === "never" ? NEVER : NOTHING;
  }

  /** The first action that is not open decides; the cascade is the first action's. */
  #standing(actions: readonly Action[]): Standing {
    let first: Standing | undefined;
    for (const action of actions) {
      const standing = this.#standingOf(action);
      if (standing.state !== "open") return standing;
      first ??= standing;
    }
    return first ?? { state: "never", why: "nothing was asked" };
  }

  #standingOf(action: Action): Standing {
    const { policy, principal } = this;
    if (policy.state !== "configured") return never("there is no policy");
    if (principal.status !== "active") return never(`the agent is ${principal.status}`);
    const cascade = policy.index.cascade(principal, action);
    if (cascade === undefined) return never("no policy applies to the agent");
    if (cascade.detection.documents.some((by) => by.unknown_locale_pack !== undefined)) {
      return never("a locale pack of the policy is unknown here");
    }
    return capabilityStanding(cascade, action) ?? toolStanding(cascade, action) ??
      this.#moving(cascade, action) ?? { state: "open", cascade };
  }

  #moving(cascade: Cascade, action: Action): Standing | undefined {
    const rules = movingRules(cascade, action);
    if (rules.length === 0) return undefined;
    const list = rules.join(", ");
    if (this.moving === "strict") {
      return { state: "left_out", why: `left out: flags cannot say ${list}` };
    }
    this.#note(undefined, `taken for met, and not in the flags: ${list}`);
    return undefined;
  }

  #note(kind: string | undefined, text: string): void {
    const kinds = this.#notes.get(text) ?? new Set();
    if (kind !== undefined) kinds.add(kind);
    this.#notes.set(text, kinds);
  }
}

function never(why: string): Standing {
  return { state: "never", why };
}

function capabilityStanding(cascade: Cascade, action: Action): Standing | undefined {
  const token = capabilityOf(action);
  if (token === undefined) return never("no capability governs it");
  const { verdict } = cascade.capabilities.check(token);
  if (verdict === "pass") return undefined;
  return never(
    verdict === "denied" ? `policy denies \`${token}\`` : `policy does not list \`${token}\``,
  );
}

function toolStanding(cascade: Cascade, action: Action): Standing | undefined {
  if (action.kind !== "tool_call") return undefined;
  const { tool } = action;
  const { denied, conditions } = cascade.tool(tool);
  if (denied !== undefined) return never(`policy does not permit the tool \`${tool}\``);
  if (conditions.length === 0) return undefined;
  return {
    state: "left_out",
    why: `left out: \`${tool}\` may need a person's approval, which flags cannot ask for`,
  };
}

/** Rules whose answer changes with time, use or text. */
function movingRules(cascade: Cascade, action: Action): string[] {
  const limited = action.kind === "tool_call" && cascade.tool(action.tool).limit !== undefined;
  return [
    ...(cascade.schedules.length > 0 ? ["opening hours"] : []),
    ...(limited || cascade.rates.some((rate) => rate.selects(action)) ? ["rate limits"] : []),
    ...(cascade.budgets.length > 0 ? ["budgets"] : []),
    ...(cascade.detection.action === "block" && scannableText(action) !== undefined
      ? ["what the secret scan blocks"]
      : []),
  ];
}
