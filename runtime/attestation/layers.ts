/**
 * Which protection layers are there: found by looking, or said by the operator (contract
 * `interception` §1.1). Presence is not coverage; what may be claimed is another matter
 * (`claims.ts`).
 *
 * @module
 */
import type { Basis } from "./claims.ts";

/** The reference's three layers, in its order of names. */
export const LAYER_NAMES = ["ebpf", "proxy", "sdk"] as const;

/** One of the reference's layers. */
export type LayerName = typeof LAYER_NAMES[number];

const BITS: Readonly<Record<LayerName, number>> = { ebpf: 0x1, proxy: 0x2, sdk: 0x4 };

/** The layers as the reference's one byte. */
export function layerBits(layers: Iterable<LayerName>): number {
  let bits = 0;
  for (const layer of layers) bits |= BITS[layer];
  return bits;
}

/** As the reference shows them: `ebpf+sdk`, or `none`. */
export function layerText(layers: readonly LayerName[]): string {
  return LAYER_NAMES.filter((name) => layers.includes(name)).join("+") || "none";
}

/**
 * Reads an override.
 *
 * @param text Comma list; case and unknown words are ignored.
 * @returns `undefined` when nothing is left of it: then layers are looked for.
 */
export function parseLayers(text: string | undefined): readonly LayerName[] | undefined {
  if (text === undefined) return undefined;
  const words = new Set(text.split(",").map((word) => word.trim().toLowerCase()));
  const named = LAYER_NAMES.filter((name) => words.has(name));
  return named.length === 0 ? undefined : named;
}

/** Whether something is there; `unknown` where this process may not look. */
export type Presence = "there" | "absent" | "unknown";

/** What detection looks at, each look a fresh one. */
export interface Looks {
  readonly os: string;
  /** `uname -r`, e.g. `6.1.0-18-amd64`. */
  readonly kernel: () => string;
  readonly btf: () => Presence;
  readonly ebpf_socket: () => Presence;
  /** Where an executable `aa-proxy` lies; `undefined` when nowhere. */
  readonly proxy: () => string | undefined;
}

/** One layer as it was found. */
export interface FoundLayer {
  readonly name: LayerName;
  readonly present: boolean;
  readonly basis: Basis;
  readonly detail: string;
}

/** Looks for every layer. */
export function detectLayers(
  override: readonly LayerName[] | undefined,
  looks: Looks,
): readonly FoundLayer[] {
  if (override !== undefined) {
    return LAYER_NAMES.map((name): FoundLayer => ({
      name,
      present: override.includes(name),
      basis: { basis: "environment_override", variable: "AA_LAYERS" },
      detail: override.includes(name) ? "named by the override" : "left out by the override",
    }));
  }
  return [detectEbpf(looks), detectProxy(looks), {
    name: "sdk",
    present: true,
    basis: { basis: "assumed_present" },
    detail: "assumed until a client has asked or reported",
  }];
}

function detectEbpf(looks: Looks): FoundLayer {
  const missing = (basis: Basis, detail: string): FoundLayer => ({
    name: "ebpf",
    present: false,
    basis,
    detail,
  });
  if (looks.os !== "linux") {
    return missing({ basis: "platform_unsupported", platform: looks.os }, "Linux only");
  }
  const kernel = looks.kernel();
  if (!atLeast(kernel, 5, 8)) {
    return missing(
      { basis: "prerequisite_unmet", requirement: "kernel 5.8" },
      "the kernel is older than 5.8, or does not say",
    );
  }
  const unmet = (requirement: string, what: string, presence: "absent" | "unknown") =>
    missing(
      { basis: "prerequisite_unmet", requirement },
      presence === "absent"
        ? `${what} is not there`
        : `whether ${what} is there is not known: this process may not look`,
    );
  const btf = looks.btf();
  if (btf !== "there") return unmet("BTF", "the kernel's BTF", btf);
  const socket = looks.ebpf_socket();
  if (socket !== "there") return unmet("loader socket", "the loader's socket", socket);
  return {
    name: "ebpf",
    present: true,
    basis: { basis: "artifact_present", artifact: "loader socket" },
    detail: "the loader's socket is there; whether it loads is not known from that",
  };
}

function detectProxy(looks: Looks): FoundLayer {
  if (looks.os !== "linux" && looks.os !== "darwin") {
    return {
      name: "proxy",
      present: false,
      basis: { basis: "platform_unsupported", platform: looks.os },
      detail: "Linux and macOS only",
    };
  }
  const path = looks.proxy();
  return path === undefined
    ? {
      name: "proxy",
      present: false,
      basis: { basis: "prerequisite_unmet", requirement: "aa-proxy on PATH" },
      detail: "no executable `aa-proxy` is on PATH",
    }
    : {
      name: "proxy",
      present: true,
      basis: { basis: "artifact_present", artifact: "aa-proxy" },
      detail: "`aa-proxy` is on PATH; whether it runs is not known from that",
    };
}

/** Compares major and minor of `uname -r`. */
function atLeast(kernel: string, major: number, minor: number): boolean {
  const match = /^(\d{1,4})\.(\d{1,4})/.exec(kernel);
  if (match === null) return false;
  const [found_major, found_minor] = [Number(match[1]), Number(match[2])];
  return found_major > major || (found_major === major && found_minor >= minor);
}
