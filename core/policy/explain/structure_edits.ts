/**
 * Edits for refusals by the structure of a policy: network, capability, filesystem and tool. For
 * each the narrowest edit comes first.
 *
 * @module
 */
import { capabilityOf } from "../capability.ts";
import { toolEntry } from "../compiled_document.ts";
import { normalizePath, pathProblem, verbOf } from "../filesystem.ts";
import { understandHost } from "../network.ts";
import { ruleAt } from "../stage.ts";
import type { Quote } from "./quote.ts";
import { documentEdit, type Edit, type Place, type World } from "./world.ts";

/** Let a host through one allowlist. */
export function networkEdits(world: World, place: Place, quote: Quote): Edit[] {
  const { action } = world;
  if (action.kind !== "network_request") return [];
  const understood = understandHost(action.url);
  if (understood.kind === "host") return [addHost(place, understood.host, quote)];
  const readable = readableUrl(action.url);
  const edits: Edit[] = [];
  if (readable !== undefined) {
    edits.push({
      change: { text: `send the URL as ${quote.text(readable)}`, who: "agent" },
      apply: (tried) => ({ ...tried, action: { ...action, url: readable } }),
    });
  }
  if (understood.kind === "none") edits.push(addHost(place, "*", quote));
  edits.push(removeNetwork(place));
  return edits;
}

function addHost(place: Place, host: string, quote: Quote): Edit {
  const { document } = place;
  const at = document.network?.at ?? { line: 1, column: 1 };
  const count = document.network?.allowlist.length ?? 0;
  const change = {
    text: `add ${quote.text(host)} to \`network.allowlist\``,
    rule: ruleAt(document, at, `network.allowlist[${count}]`),
    ...quote.yaml(host),
  };
  return documentEdit(place, change, (edited) => ({
    ...edited,
    network: { at, allowlist: [...edited.network?.allowlist ?? [], { ...at, value: host }] },
  }));
}

/** Last resort for a URL nobody can read: no entry of any allowlist can match it. */
function removeNetwork(place: Place): Edit {
  const { document } = place;
  const change = {
    text: "send an absolute URL such as `https://host/path`; as sent, only removing `network` " +
      "would let the request through",
    rule: ruleAt(document, document.network?.at ?? { line: 1, column: 1 }, "network"),
  };
  return documentEdit(place, change, ({ network: _removed, ...rest }) => rest);
}

/** The URL with what made it disputed taken out, when a host remains. */
function readableUrl(url: string): string | undefined {
  const separator = url.indexOf("://");
  const scheme = separator < 0 ? "https" : url.slice(0, separator).trim();
  const rest = separator < 0 ? url : url.slice(separator + 3);
  const authority = rest.trim().split(/[/?#\\]/)[0] ?? "";
  const candidate = `${scheme}://${authority.slice(authority.lastIndexOf("@") + 1)}`;
  return understandHost(candidate).kind === "host" ? candidate : undefined;
}

/** Take a token off a deny list, or put one on an allow list. */
export function capabilityEdits(
  world: World,
  place: Place,
  path: string,
  quote: Quote,
): Edit[] {
  const { document } = place;
  const { capabilities } = document;
  const needed = capabilityOf(world.action);
  if (capabilities === undefined || needed === undefined) return [];
  const token = capabilities.deny.find((_, at) => path === `capabilities.deny[${at}]`);
  if (token !== undefined) {
    const change = {
      text: `remove \`${token.text}\` from \`capabilities.deny\``,
      rule: ruleAt(document, token, path),
    };
    return [documentEdit(place, change, (edited) => {
      const deny = edited.capabilities?.deny.filter((entry) => entry.text !== token.text) ?? [];
      return { ...edited, capabilities: { ...capabilities, ...edited.capabilities, deny } };
    })];
  }
  const change = {
    text: `add ${quote.text(needed)} to \`capabilities.allow\``,
    rule: ruleAt(document, capabilities.at, `capabilities.allow[${capabilities.allow.length}]`),
    ...quote.yaml(needed),
  };
  return [documentEdit(place, change, (edited) => {
    const allow = [...edited.capabilities?.allow ?? [], { ...capabilities.at, text: needed }];
    return { ...edited, capabilities: { ...capabilities, ...edited.capabilities, allow } };
  })];
}

/** Let one path through, or have the agent name it plainly. */
export function filesystemEdits(world: World, place: Place, quote: Quote): Edit[] {
  const { action } = world;
  const { document } = place;
  if (action.kind !== "file_access") return [];
  const verb = verbOf(action.mode);
  const rules = document.filesystem?.[verb];
  if (rules === undefined) return [];
  const list = `filesystem.${verb}.allow`;
  if (pathProblem(action.path) === undefined) {
    const value = normalizePath(action.path);
    const change = {
      text: `add ${quote.text(value)} to \`${list}\``,
      rule: ruleAt(document, rules.at, `${list}[${rules.allow.length}]`),
      ...quote.yaml(value),
    };
    return [documentEdit(place, change, (edited) => {
      const allow = [...edited.filesystem?.[verb]?.allow ?? [], { ...rules.at, value }];
      const at = edited.filesystem?.at ?? rules.at;
      return { ...edited, filesystem: { ...edited.filesystem, at, [verb]: { at, allow } } };
    })];
  }
  const edits: Edit[] = [];
  const resolved = resolvedPath(action.path);
  if (resolved !== undefined) {
    edits.push({
      change: { text: `name the path without \`..\`: ${quote.text(resolved)}`, who: "agent" },
      apply: (tried) => ({ ...tried, action: { ...action, path: resolved } }),
    });
  }
  const change = {
    text: `send an absolute path without \`..\`; as sent, only removing \`filesystem.${verb}\` ` +
      "would let the access through",
    rule: ruleAt(document, rules.at, `filesystem.${verb}`),
  };
  edits.push(documentEdit(place, change, (edited) => {
    if (edited.filesystem === undefined) return edited;
    const { [verb]: _removed, ...filesystem } = edited.filesystem;
    return { ...edited, filesystem };
  }));
  return edits;
}

/** `..` resolved lexically; `undefined` for a path that would still have a problem. */
function resolvedPath(path: string): string | undefined {
  if (!path.startsWith("/") || path.includes("\0")) return undefined;
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

/** Permit one tool: its own entry, else a new one beside `*` that keeps the limits of `*`. */
export function toolEdits(world: World, place: Place, quote: Quote): Edit[] {
  const { action } = world;
  const { document } = place;
  if (action.kind !== "tool_call") return [];
  const { tool } = action;
  const entry = toolEntry(document, tool);
  if (entry === undefined) return [];
  const { name, rule } = entry;
  const own = name === tool;
  const at = rule.allow_at ?? rule.at;
  const change = own
    ? {
      text: `set \`tools.${name}.allow\` to \`true\``,
      rule: ruleAt(document, at, `tools.${name}.allow`),
      yaml: "true",
    }
    : {
      text:
        `add an entry for ${
          quote.text(tool)
        } to \`tools\` that permits it and keeps the limit and ` +
        "condition of `*`",
      rule: ruleAt(document, rule.at, `tools.${quote.plain(tool)}`),
      yaml: JSON.stringify({
        allow: true,
        limit_per_hour: rule.limit_per_hour?.value,
        requires_approval_if: rule.requires_approval_if?.text,
      }),
    };
  return [documentEdit(place, change, (edited) => {
    const present = own ? edited.tools.get(tool) : rule;
    return present === undefined ? edited : {
      ...edited,
      tools: new Map(edited.tools).set(tool, { ...present, allow: true, allow_at: at }),
    };
  })];
}
