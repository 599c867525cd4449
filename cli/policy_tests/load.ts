/**
 * From the text of a policy test file to typed cases, or to every problem with its place.
 *
 * @module
 */
import { type Action, type FileMode, llmCall } from "../../core/action.ts";
import type { Located, PolicyProblem } from "../../core/policy/position.ts";
import { inTextOrder, Problems } from "../../core/policy/problems.ts";
import { readSourceText } from "../../core/policy/source_text.ts";
import { parseYaml } from "../../core/policy/yaml_source.ts";
import { RISK_TIERS } from "../../core/principal.ts";
import { principalOf } from "../principal.ts";
import {
  CASES_MAX,
  DEFAULT_NOW_MS,
  type PolicyTestCase,
  type PolicyTestFile,
  REPEAT_MAX,
} from "./case.ts";
import { type Field, NodeReader } from "./node_reader.ts";

/** A test file, or what is wrong with it. */
export type LoadedTestFile =
  | { readonly ok: true; readonly file: PolicyTestFile }
  | { readonly ok: false; readonly problems: readonly PolicyProblem[]; readonly omitted: number };

const CASE_KEYS = ["name", "agent", "at", "action", "repeat", "expect", "rule", "reason"];
const AGENT_KEYS = ["id", "org", "team", "level", "risk_tier", "depth", "status"];
const OUTCOMES = ["allow", "deny", "redact", "require_approval"] as const;
const STATUSES = ["active", "suspended", "deregistered", "stale"] as const;
const INT32_MAX = 2 ** 31 - 1;

/** Loads a policy test file. Never throws on any input. */
export function loadPolicyTests(source: Uint8Array | string): LoadedTestFile {
  const text = readSourceText(source);
  if (!text.ok) return { ok: false, problems: [text.problem], omitted: 0 };
  const problems = new Problems();
  const root = parseYaml(text.text, problems);
  const file = root === undefined ? undefined : readFile({ node: root, path: "" }, problems);
  if (root === undefined && problems.errors.length === 0) {
    problems.error("(document)", "is empty: a policy test file has `policy` and `cases`");
  }
  if (file !== undefined && problems.errors.length === 0) return { ok: true, file };
  return { ok: false, problems: inTextOrder(problems.errors), omitted: problems.omitted };
}

function readFile(root: Field, problems: Problems): PolicyTestFile | undefined {
  const read = new NodeReader(problems);
  const keys = read.keys(root, ["policy", "cases"]);
  if (keys === undefined || root.node.kind !== "mapping") return undefined;
  const policy = keys.get("policy");
  const cases = keys.get("cases");
  if (policy === undefined) {
    read.missing(root.node, "", "policy", "name the policy file under test");
  }
  if (cases === undefined) read.missing(root.node, "", "cases", "list at least one case");
  const policies = policy === undefined ? [] : readPolicies(read, policy);
  const items = cases === undefined ? [] : read.items(cases, "a list of cases") ?? [];
  if (cases?.node.kind === "sequence" && items.length === 0) {
    read.refuse(cases, "at least one case");
  }
  if (cases !== undefined && items.length > CASES_MAX) {
    problems.error("cases", `has ${items.length} cases, at most ${CASES_MAX}`, cases.node.at);
    return undefined;
  }
  const typed = items.map((item) => readCase(read, item));
  return { policies, cases: typed.filter((one) => one !== undefined) };
}

function readPolicies(read: NodeReader, field: Field): Located<string>[] {
  const fields = field.node.kind === "sequence"
    ? read.items(field, "a list of policy files") ?? []
    : [field];
  if (fields.length === 0) read.refuse(field, "at least one policy file");
  const policies: Located<string>[] = [];
  for (const one of fields) {
    const value = read.text(one, "the path of a policy file");
    if (value !== undefined) policies.push({ value, ...one.node.at });
  }
  return policies;
}

function readCase(read: NodeReader, field: Field): PolicyTestCase | undefined {
  const keys = read.keys(field, CASE_KEYS);
  if (keys === undefined || field.node.kind !== "mapping") return undefined;
  const mapping = field.node;
  const missing = (key: string, why: string) =>
    keys.has(key) ? undefined : read.missing(mapping, field.path, key, why);
  missing("name", "say what the policy promises");
  missing("action", "say what the agent does");
  missing("expect", `one of ${OUTCOMES.join(", ")}`);
  const name = read.text(keys.get("name"), "a text");
  const action = readAction(read, keys.get("action"));
  const expect = read.word(keys.get("expect"), OUTCOMES);
  const principal = readAgent(read, keys.get("agent"));
  const now_ms = read.time(keys.get("at")) ?? DEFAULT_NOW_MS;
  const repeat = read.integer(keys.get("repeat"), 1, REPEAT_MAX) ?? 1;
  const rule = read.text(keys.get("rule"), "the path of a rule such as tools.bash.allow");
  const reason = read.text(keys.get("reason"), "the exact reason");
  if (name === undefined || action === undefined || expect === undefined) return undefined;
  return {
    name,
    at: mapping.at,
    principal,
    now_ms,
    action,
    repeat,
    expect,
    ...(rule === undefined ? {} : { rule }),
    ...(reason === undefined ? {} : { reason }),
  };
}

function readAgent(read: NodeReader, field: Field | undefined) {
  const keys = field === undefined ? undefined : read.keys(field, AGENT_KEYS);
  if (keys === undefined) return principalOf({});
  return principalOf({
    agent: read.text(keys.get("id")),
    org: read.text(keys.get("org")),
    team: read.text(keys.get("team")),
    level: read.integer(keys.get("level"), 0, 3),
    risk_tier: read.word(keys.get("risk_tier"), RISK_TIERS),
    depth: read.integer(keys.get("depth"), 0, 9),
    status: read.word(keys.get("status"), STATUSES),
  });
}

const ACTION_KINDS = ["tool", "tool_result", "file", "network", "exec", "llm", "message"];
const FILE_OPERATIONS = ["read", "write", "create", "append", "delete"] as const;

function readAction(read: NodeReader, field: Field | undefined): Action | undefined {
  if (field === undefined) return undefined;
  const kinds = read.keys(field, ACTION_KINDS);
  if (kinds === undefined) return undefined;
  const [first, second] = [...kinds];
  if (first === undefined || second !== undefined) {
    return read.refuse(field, `exactly one of ${ACTION_KINDS.join(", ")}`);
  }
  const [kind, of] = first;
  switch (kind) {
    case "tool":
      return readTool(read, of);
    case "tool_result":
      return readToolResult(read, of);
    case "file":
      return readFileAccess(read, of);
    case "network":
      return readNetwork(read, of);
    case "exec":
      return readExec(read, of);
    case "llm":
      return readModelCall(read, of);
    default:
      return readMessage(read, of);
  }
}

/** A key of an action that must be there. */
function required<T>(
  read: NodeReader,
  of: Field,
  keys: ReadonlyMap<string, Field>,
  key: string,
  value: (field: Field) => T | undefined,
): T | undefined {
  const field = keys.get(key);
  if (field !== undefined) return value(field);
  if (of.node.kind !== "mapping") return undefined;
  return read.missing(of.node, of.path, key, "this action needs it");
}

function readTool(read: NodeReader, of: Field): Action | undefined {
  const keys = read.keys(of, ["name", "args"]);
  if (keys === undefined) return undefined;
  const tool = required(read, of, keys, "name", (field) => read.text(field));
  const args = read.json(keys.get("args")) ?? "{}";
  return tool === undefined ? undefined : { kind: "tool_call", tool, args };
}

function readToolResult(read: NodeReader, of: Field): Action | undefined {
  const keys = read.keys(of, ["name", "result"]);
  if (keys === undefined) return undefined;
  const tool = required(read, of, keys, "name", (field) => read.text(field));
  const result = required(read, of, keys, "result", (field) => read.json(field));
  if (tool === undefined || result === undefined) return undefined;
  return { kind: "tool_result", tool, result };
}

function readFileAccess(read: NodeReader, of: Field): Action | undefined {
  const keys = read.keys(of, ["op", "path"]);
  if (keys === undefined) return undefined;
  const operation = required(read, of, keys, "op", (field) => read.word(field, FILE_OPERATIONS));
  const path = required(read, of, keys, "path", (field) => read.text(field));
  if (operation === undefined || path === undefined) return undefined;
  const mode: FileMode = operation === "create" ? "write" : operation;
  return { kind: "file_access", path, mode };
}

function readNetwork(read: NodeReader, of: Field): Action | undefined {
  const keys = read.keys(of, ["url", "method"]);
  if (keys === undefined) return undefined;
  const url = required(read, of, keys, "url", (field) => read.text(field));
  const method = read.text(keys.get("method")) ?? "CONNECT";
  return url === undefined ? undefined : { kind: "network_request", url, method };
}

function readExec(read: NodeReader, of: Field): Action | undefined {
  const keys = read.keys(of, ["command"]);
  if (keys === undefined) return undefined;
  const command = required(read, of, keys, "command", (field) => read.text(field));
  return command === undefined ? undefined : { kind: "process_exec", command };
}

function readModelCall(read: NodeReader, of: Field): Action | undefined {
  const keys = read.keys(of, ["model", "prompt_tokens"]);
  if (keys === undefined) return undefined;
  const model = required(read, of, keys, "model", (field) => read.text(field));
  const prompt_tokens = read.integer(keys.get("prompt_tokens"), 0, INT32_MAX) ?? 0;
  return model === undefined ? undefined : llmCall(model, prompt_tokens, false);
}

function readMessage(read: NodeReader, of: Field): Action | undefined {
  const keys = read.keys(of, ["source_team_id", "target_team_id", "channel_id"]);
  if (keys === undefined) return undefined;
  const source_team_id = read.text(keys.get("source_team_id"));
  const target_team_id = read.text(keys.get("target_team_id"));
  const channel_id = read.text(keys.get("channel_id"));
  return {
    kind: "send_message",
    ...(source_team_id === undefined ? {} : { source_team_id }),
    ...(target_team_id === undefined ? {} : { target_team_id }),
    ...(channel_id === undefined ? {} : { channel_id }),
  };
}
