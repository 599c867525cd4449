/**
 * The hosts that every allowlist of a cascade lets through, as Deno's `--allow-net` can say it.
 *
 * @module
 */
import type { CompiledDocument } from "../policy/compile.ts";
import { HostAllowlist, understandHost } from "../policy/network.ts";
import type { DenoGrant } from "./permission_set.ts";

/** Hosts as a grant, and entries that no flag can hold. */
export interface HostGrant {
  readonly grant: DenoGrant;
  /** Entries as written, with what is the matter. */
  readonly left_out: readonly string[];
}

/** A label no policy names: whoever lets a host below `x` with this label through lets all through. */
const ANY_LABEL = "any-host-whatever-00000000000000000000000000000000000000";

/** What Deno takes for a host in a flag: plain labels, or an address. */
const FLAG_HOST =
  /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/**
 * The hosts that all documents permit.
 *
 * Deno's `*.example.com` takes in `example.com` itself, a policy's does not: where policy does not
 * permit it, it is denied by name.
 *
 * @param documents Those with an allowlist; none: every host.
 */
export function hostGrant(documents: readonly CompiledDocument[]): HostGrant {
  const lists = documents.flatMap((by) => by.hosts ?? []);
  if (lists.every((list) => list.any)) return { grant: { allow: "all", deny: [] }, left_out: [] };
  const allow = new Set<string>();
  const deny = new Set<string>();
  const left_out = new Set<string>();
  for (const { document } of documents) {
    for (const { value } of document.network?.allowlist ?? []) {
      const entry = readEntry(value.trim());
      if (entry === undefined) continue;
      const { below, host, flag } = entry;
      if (!lists.every((list) => covers(list, below, host))) continue;
      if (flag === undefined) {
        left_out.add(`${value}: no flag can name it`);
        continue;
      }
      allow.add(below ? `*.${flag}` : flag);
      if (below && !lists.every((list) => permits(list, host))) deny.add(flag);
    }
  }
  return { grant: { allow: [...allow].sort(), deny: [...deny].sort() }, left_out: [...left_out] };
}

interface Entry {
  readonly below: boolean;
  /** As the host matcher holds it. */
  readonly host: string;
  /** As a flag names it; absent when none can. */
  readonly flag?: string;
}

/** An entry that names a host; `*` and entries that never match name none. */
function readEntry(entry: string): Entry | undefined {
  const below = entry.startsWith("*.");
  const name = below ? entry.slice(2) : entry;
  const bare_v6 = name.includes(":") && !name.startsWith("[");
  const understood = understandHost(`tcp://${bare_v6 ? `[${name}]` : name}`);
  if (understood.kind !== "host") return undefined;
  const { host, is_address } = understood;
  // The matcher has the last word on what an entry means.
  const own = new HostAllowlist([entry]);
  if (own.any || !covers(own, below, host)) return undefined;
  if (host.includes(":")) return { below, host, flag: `[${host}]` };
  return is_address || FLAG_HOST.test(host) ? { below, host, flag: host } : { below, host };
}

function covers(list: HostAllowlist, below: boolean, host: string): boolean {
  return permits(list, below ? `${ANY_LABEL}.${host}` : host);
}

function permits(list: HostAllowlist, host: string): boolean {
  const text = host.includes(":") ? `[${host}]` : host;
  return list.permits(understandHost(`tcp://${text}`));
}
