/**
 * One word for what an agent says it will do and for what the kernel saw (contract `interception`
 * §1.8): an intent and an act match only under the same word.
 *
 * @module
 */
import { audit, common } from "../../proto/mod.ts";

/** What is done. */
export type Keyword =
  | "file_delete"
  | "file_write"
  | "file_read"
  | "file_rename"
  | "network_connect"
  | "network_send"
  | "process_exec"
  | "process_spawn"
  | "process_signal"
  | "file_permission"
  | "file_owner";

const SYSCALLS: Readonly<Record<Keyword, readonly string[]>> = {
  file_delete: ["unlink", "unlinkat", "rmdir"],
  file_write: ["openat", "open", "creat"],
  file_read: ["read", "readv", "pread64"],
  file_rename: ["rename", "renameat", "renameat2"],
  network_connect: ["connect"],
  network_send: ["sendto", "sendmsg", "write"],
  process_exec: ["execve", "execveat"],
  process_spawn: ["fork", "clone", "clone3"],
  process_signal: ["kill", "tkill", "tgkill"],
  file_permission: ["chmod", "fchmod", "fchmodat"],
  file_owner: ["chown", "fchown", "lchown", "fchownat"],
};

const BY_SYSCALL: ReadonlyMap<string, Keyword> = new Map(
  keywords().flatMap((word) => SYSCALLS[word].map((name) => [name, word] as const)),
);

/** Verbs of file events whose source names no system call (contract `interception` §1.9). */
const BY_VERB: Readonly<Record<string, Keyword>> = {
  create: "file_write",
  write: "file_write",
  append: "file_write",
  read: "file_read",
  delete: "file_delete",
  rename: "file_rename",
};

/** Words in a tool's name, and what a tool with such a name does. */
const BY_WORD: readonly (readonly [RegExp, readonly Keyword[]])[] = [
  [/^(?:delete|remove|unlink|rm|rmdir|erase)$/, ["file_delete"]],
  [/^(?:write|edit|create|append|save|patch|update|mkdir|touch)$/, ["file_write"]],
  [/^(?:read|open|cat|view|load|grep|glob|ls|list|find)$/, ["file_read", "file_write"]],
  [/^(?:rename|move|mv)$/, ["file_rename"]],
  [
    /^(?:fetch|http|https|request|search|browse|browser|curl|download|upload|web|url|api|send|email)$/,
    ["network_connect", "network_send"],
  ],
  [
    /^(?:exec|execute|run|shell|bash|sh|command|terminal|python|process|spawn|script)$/,
    ["process_exec", "process_spawn"],
  ],
  [/^(?:kill|stop|signal|terminate)$/, ["process_signal"]],
  [/^chmod$/, ["file_permission"]],
  [/^chown$/, ["file_owner"]],
];

/** Label by which a client says what a call will do: keywords, separated by commas. */
export const INTENT_LABEL = "aa.intent";
/** Label by which a kernel observer names the system call. */
export const SYSCALL_LABEL = "aa.syscall";
const TOOL_NAME_CHARS_MAX = 256;

/** All keywords. */
export function keywords(): Keyword[] {
  return Object.keys(SYSCALLS) as Keyword[];
}

/** The keyword of a system call; `undefined` for one that is no act of its own. */
export function keywordOfSyscall(name: string): Keyword | undefined {
  return BY_SYSCALL.get(name);
}

/** What an event of a client announces; empty when it announces nothing that the kernel would see. */
export function announcedBy(event: audit.AuditEvent): readonly Keyword[] {
  const said = event.labels[INTENT_LABEL];
  if (said !== undefined) {
    const words = said.split(",", 32).map((word) => word.trim());
    return keywords().filter((word) => words.includes(word));
  }
  if (event.detail.case === "llmCall" || event.actionType === common.ActionType.LLM_CALL) {
    return ["network_connect", "network_send"];
  }
  if (event.detail.case !== "toolCall") return [];
  const found = new Set<Keyword>();
  for (const word of wordsIn(event.detail.value.toolName)) {
    for (const [pattern, meant] of BY_WORD) {
      if (pattern.test(word)) { for (const one of meant) found.add(one); }
    }
  }
  return [...found];
}

/** What the kernel saw; `undefined` when it is no act that is announced. */
export function seenIn(event: audit.AuditEvent): Keyword | undefined {
  const syscall = event.labels[SYSCALL_LABEL];
  if (syscall !== undefined) return keywordOfSyscall(syscall);
  const { detail } = event;
  if (detail.case === "fileOp") {
    const verb = detail.value.operation;
    return Object.hasOwn(BY_VERB, verb) ? BY_VERB[verb] : undefined;
  }
  if (detail.case === "network") return "network_connect";
  // An exit is told with an empty command.
  if (detail.case === "process") return detail.value.command === "" ? undefined : "process_exec";
  return undefined;
}

/** `readFile`, `read_file`, `fs.read-file` → `read`, `file`. */
function wordsIn(name: string): string[] {
  return name.slice(0, TOOL_NAME_CHARS_MAX).replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toLowerCase().split(/[^a-z0-9]+/);
}
