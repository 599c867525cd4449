/**
 * Whether a destination is an address that must not be reached from inside: loopback, private,
 * link-local with the cloud metadata service, and every other special-purpose range (contract
 * `policy-and-gateway` §5.2; IANA special-purpose address registries, RFC 6890).
 *
 * @module
 */

/** A host name is `unknown`: resolve it and ask again for each address before connecting. */
export type SsrfVerdict = "blocked" | "public" | "unknown";

/** Blocked IPv4 ranges. */
const BLOCKED_V4: readonly (readonly [network: string, bits: number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
];

/** Blocked IPv6 ranges. Mapped IPv4 is judged by the address inside. */
const BLOCKED_V6: readonly (readonly [network: string, bits: number])[] = [
  ["::", 96],
  ["64:ff9b::", 96],
  ["64:ff9b:1::", 48],
  ["100::", 64],
  ["2001::", 32],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
  ["fc00::", 7],
  ["fe80::", 10],
  ["fec0::", 10],
  ["ff00::", 8],
];

const V4_RANGES = BLOCKED_V4.map(([network, bits]) => {
  const size = 2 ** (32 - bits);
  return { size, block: Math.floor(dottedQuad(network) / size) };
});

const V6_RANGES = BLOCKED_V6.map(([network, bits]) => {
  const shift = BigInt(128 - bits);
  return { shift, block: parseV6(network) >> shift };
});

/** A name of letters, digits, hyphens and underscores; the last label is no number. */
const NAME = /^(?:[a-z0-9_](?:[a-z0-9_-]{0,62})\.)*[a-z_](?:[a-z0-9_-]{0,62})$/;

/**
 * Judges a host or address text: bare, in brackets, with a zone, or in the decimal, octal and hex
 * spellings of IPv4 that some resolvers accept. A spelling that readers take for different
 * addresses is blocked when any reading is; a text that is neither address nor name is blocked.
 *
 * @param host_or_ip Host without port, e.g. `example.com`, `10.0.0.1`, `[fe80::1%eth0]`.
 */
export function ssrfVerdict(host_or_ip: string): SsrfVerdict {
  let text = host_or_ip.toLowerCase();
  if (text.length > 1_024) return "blocked";
  const bracketed = text.startsWith("[") && text.endsWith("]");
  if (bracketed) text = text.slice(1, -1);
  if (text.includes(":")) return v6Verdict(text);
  if (bracketed) return "blocked";
  if (text.endsWith(".")) text = text.slice(0, -1);
  const readings = v4Readings(text);
  if (readings !== undefined) {
    return readings.length === 0 || readings.some(isBlockedV4) ? "blocked" : "public";
  }
  return nameVerdict(text);
}

function nameVerdict(text: string): SsrfVerdict {
  let name = text;
  // Full-width digits and dots become plain ones in every resolver that maps IDN.
  // deno-lint-ignore no-control-regex -- the question is whether any character is not ASCII
  if (/[^\u0000-\u007f]/.test(text)) {
    try {
      name = new URL(`http://${text}/`).hostname;
    } catch {
      return "blocked";
    }
    if (v4Readings(name) !== undefined) return ssrfVerdict(name);
  }
  if (!NAME.test(name) || name.length > 253) return "blocked";
  // RFC 6761 §6.3: these names always mean the loopback address.
  return name === "localhost" || name.endsWith(".localhost") ? "blocked" : "unknown";
}

function isBlockedV4(address: number): boolean {
  return V4_RANGES.some(({ size, block }) => Math.floor(address / size) === block);
}

function v6Verdict(text: string): SsrfVerdict {
  const zone = text.indexOf("%");
  let address: bigint;
  try {
    address = parseV6(zone < 0 ? text : text.slice(0, zone));
  } catch {
    return "blocked";
  }
  if (address >> 32n === 0xffffn) {
    return isBlockedV4(Number(address & 0xffff_ffffn)) ? "blocked" : "public";
  }
  const blocked = V6_RANGES.some(({ shift, block }) => address >> shift === block);
  return blocked ? "blocked" : "public";
}

/** The 128 bits of an IPv6 address text; throws for any other text. */
function parseV6(text: string): bigint {
  const [head = "", tail, more] = text.split("::");
  if (more !== undefined) throw new SyntaxError("two gaps");
  const front = groupsOf(head);
  const back = tail === undefined ? [] : groupsOf(tail);
  const gap = 8 - front.length - back.length;
  if (tail === undefined ? gap !== 0 : gap < 1) throw new SyntaxError("not eight groups");
  let address = 0n;
  for (const group of [...front, ...new Array<number>(gap).fill(0), ...back]) {
    address = (address << 16n) | BigInt(group);
  }
  return address;
}

function groupsOf(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group, at, all) => {
    if (at === all.length - 1 && group.includes(".")) {
      const quad = dottedQuad(group);
      return [Math.floor(quad / 65_536), quad % 65_536];
    }
    if (!/^[0-9a-f]{1,4}$/.test(group)) throw new SyntaxError("not a group");
    return [Number.parseInt(group, 16)];
  });
}

function dottedQuad(text: string): number {
  const parts = text.split(".");
  if (parts.length !== 4) throw new SyntaxError("not four octets");
  return parts.reduce((sum, part) => {
    if (!/^(?:0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) {
      throw new SyntaxError("not an octet");
    }
    return sum * 256 + Number(part);
  }, 0);
}

/**
 * Every address the text may be read as: parts in decimal, hex (`0x`) or octal (leading zero),
 * one to four of them, the last filling the rest (`inet_aton`). `undefined` when it is no number;
 * empty when it looks like one and is none.
 */
function v4Readings(text: string): readonly number[] | undefined {
  const parts = text.split(".");
  if (!/^(?:[0-9]+|0x[0-9a-f]*)$/.test(parts.at(-1) ?? "")) return undefined;
  if (parts.length > 4) return [];
  const readings = new Set<number>();
  for (const leading_zero of ["octal", "decimal"] as const) {
    const values = parts.map((part) => partValue(part, leading_zero));
    const address = assemble(values);
    if (address !== undefined) readings.add(address);
  }
  return [...readings];
}

function partValue(part: string, leading_zero: "octal" | "decimal"): number {
  if (/^0x[0-9a-f]*$/.test(part)) return part === "0x" ? 0 : Number.parseInt(part, 16);
  if (!/^[0-9]+$/.test(part)) return NaN;
  if (leading_zero === "octal" && part.length > 1 && part.startsWith("0")) {
    return /^[0-7]+$/.test(part) ? Number.parseInt(part, 8) : NaN;
  }
  return Number(part);
}

function assemble(values: readonly number[]): number | undefined {
  const last = values.at(-1) ?? NaN;
  const room = 256 ** (5 - values.length);
  if (!(last < room)) return undefined;
  let address = last;
  for (const [at, value] of values.slice(0, -1).entries()) {
    if (!(value <= 255)) return undefined;
    address += value * 256 ** (3 - at);
  }
  return address;
}
