/**
 * What may be said of each layer now (contract `interception` §1.1, trap R14): looked at again and
 * again, covered only where something was seen to be decided, and never longer than evidence keeps.
 *
 * @module
 */
import {
  assertsCoverage,
  type Basis,
  ceilingOf,
  type Claim,
  COVERAGE_CLAIMS,
  type CoverageClaim,
  FRESHNESS_WINDOW_MS,
  isFresh,
  type Outcome,
  type SelectedMode,
  termOf,
} from "./claims.ts";
import { detectLayers, type FoundLayer, type LayerName, layerText, type Looks } from "./layers.ts";

/** What is attested: the reference's three, and the layer that only Deno has. */
export type ComponentName = LayerName | "deno-broker";

/** What may be said of one component. */
export interface ComponentAttestation {
  readonly component: ComponentName;
  readonly selected_mode: SelectedMode;
  readonly basis: Basis;
  readonly detail: string;
  readonly observed_at_unix_secs: number;
  readonly term: Claim;
}

/** The whole statement. */
export interface AttestationReport {
  /** Shortened to its series: who reads it need not know the patch level. */
  readonly component_version: string;
  /** `arch-os`. */
  readonly platform: string;
  readonly generated_at_unix_secs: number;
  readonly freshness_window_secs: number;
  /** The reference's three, always all of them, each with a reason. */
  readonly components: readonly ComponentAttestation[];
  /** Ours. */
  readonly additional: readonly ComponentAttestation[];
}

/** A layer that was there and is not any more, or was not there at the start. */
export interface Degradation {
  readonly layer: ComponentName;
  readonly reason: string;
  readonly remaining_layers: readonly LayerName[];
  readonly at_ms: number;
}

/** What attestation is made of. */
export interface AttestationOptions {
  readonly looks: Looks;
  readonly override: readonly LayerName[] | undefined;
  readonly version: string;
  readonly platform: string;
  readonly now_ms: () => number;
  /** Whether the permission broker was asked for, and whether it serves now. */
  readonly broker: () => { readonly selected: boolean; readonly serving: boolean };
  readonly onDegraded: (degradation: Degradation) => void;
}

interface Witnessed {
  readonly outcome: Outcome;
  readonly at_ms: number;
}

/** Keeps what was seen. */
export class Attestation {
  readonly #options: AttestationOptions;
  /** The last time each kind of coverage was seen, for each component: at most six each. */
  readonly #seen = new Map<ComponentName, Map<CoverageClaim, Witnessed>>();
  #found: readonly FoundLayer[];
  #looked_at_ms: number;
  #broker_served = false;

  constructor(options: AttestationOptions) {
    this.#options = options;
    this.#found = detectLayers(options.override, options.looks);
    this.#looked_at_ms = options.now_ms();
    for (const layer of this.#found) if (!layer.present) this.#degraded(layer.name, layer.detail);
  }

  /** The reference's layers that are there, in its order. */
  get active(): readonly LayerName[] {
    return this.#found.filter((layer) => layer.present).map((layer) => layer.name);
  }

  /** Layers that are not there, and ours when it was asked for and does not serve. */
  get degraded(): readonly ComponentName[] {
    const missing: ComponentName[] = this.#found.filter((layer) => !layer.present)
      .map((layer) => layer.name);
    const { selected, serving } = this.#options.broker();
    return selected && !serving ? [...missing, "deno-broker"] : missing;
  }

  /** As the reference shows it. */
  get text(): string {
    return layerText(this.active);
  }

  /**
   * Something was seen to happen to one act. The only way to a claim of coverage: nothing that is
   * found at start ever makes one.
   */
  witness(component: ComponentName, outcome: Outcome): void {
    const claim = ceilingOf({ basis: "adjudicated", outcome });
    if (!assertsCoverage(claim)) return;
    const seen = this.#seen.get(component) ?? new Map<CoverageClaim, Witnessed>();
    seen.set(claim, { outcome, at_ms: this.#options.now_ms() });
    this.#seen.set(component, seen);
  }

  /** Looks again, and says which layers are gone. */
  reprobe(): void {
    const before = this.#found;
    this.#found = detectLayers(this.#options.override, this.#options.looks);
    this.#looked_at_ms = this.#options.now_ms();
    for (const layer of this.#found) {
      const was = before.find((earlier) => earlier.name === layer.name);
      if (was?.present === true && !layer.present) this.#degraded(layer.name, layer.detail);
    }
    const { selected, serving } = this.#options.broker();
    if (selected && this.#broker_served && !serving) {
      this.#degraded("deno-broker", "the permission broker serves no longer");
    }
    this.#broker_served = serving;
  }

  /** What may be said now. */
  report(): AttestationReport {
    const { version, platform, now_ms } = this.#options;
    const at_ms = now_ms();
    return {
      component_version: version.split(".").slice(0, 2).join("."),
      platform,
      generated_at_unix_secs: seconds(at_ms),
      freshness_window_secs: seconds(FRESHNESS_WINDOW_MS),
      components: this.#found.map((layer) =>
        this.#component(layer.name, this.#modeOf(layer), layer.basis, layer.detail, at_ms)
      ),
      additional: [this.#brokerComponent(at_ms)],
    };
  }

  /** Terms of coverage that hold now, strongest first. */
  verifiedStates(): readonly CoverageClaim[] {
    const at_ms = this.#options.now_ms();
    const fresh = new Set<CoverageClaim>();
    for (const seen of this.#seen.values()) {
      for (const [claim, { at_ms: seen_at_ms }] of seen) {
        if (isFresh(seen_at_ms, at_ms, FRESHNESS_WINDOW_MS)) fresh.add(claim);
      }
    }
    return COVERAGE_CLAIMS.filter((claim) => fresh.has(claim));
  }

  #modeOf(layer: FoundLayer): SelectedMode {
    if (this.#options.override === undefined) return "unset";
    return layer.present ? "enabled" : "disabled";
  }

  #brokerComponent(at_ms: number): ComponentAttestation {
    const { selected, serving } = this.#options.broker();
    const basis: Basis = serving
      ? { basis: "artifact_present", artifact: "broker socket" }
      : { basis: "prerequisite_unmet", requirement: "--broker-socket" };
    const detail = serving
      ? "the broker's socket is served; whether an agent was started behind it is not known from that"
      : selected
      ? "the broker was asked for and does not serve"
      : "the broker was not asked for";
    return this.#component("deno-broker", selected ? "enabled" : "unset", basis, detail, at_ms);
  }

  #component(
    component: ComponentName,
    selected_mode: SelectedMode,
    found: Basis,
    detail: string,
    now_ms: number,
  ): ComponentAttestation {
    const witnessed = this.#strongest(component, now_ms);
    const basis: Basis = witnessed === undefined
      ? found
      : { basis: "adjudicated", outcome: witnessed.outcome };
    const observed_at_ms = witnessed?.at_ms ?? this.#looked_at_ms;
    const fresh = isFresh(observed_at_ms, now_ms, FRESHNESS_WINDOW_MS);
    return {
      component,
      selected_mode,
      basis,
      detail: witnessed === undefined ? detail : `seen to happen: ${witnessed.outcome}`,
      observed_at_unix_secs: seconds(observed_at_ms),
      term: termOf(basis, selected_mode, fresh),
    };
  }

  /** The strongest that is fresh; with none fresh, the one seen last, which is then stale. */
  #strongest(component: ComponentName, now_ms: number): Witnessed | undefined {
    const seen = this.#seen.get(component);
    if (seen === undefined) return undefined;
    for (const claim of COVERAGE_CLAIMS) {
      const one = seen.get(claim);
      if (one !== undefined && isFresh(one.at_ms, now_ms, FRESHNESS_WINDOW_MS)) return one;
    }
    return [...seen.values()].toSorted((a, b) => b.at_ms - a.at_ms)[0];
  }

  #degraded(layer: ComponentName, reason: string): void {
    this.#options.onDegraded({
      layer,
      reason,
      remaining_layers: this.active,
      at_ms: this.#options.now_ms(),
    });
  }
}

function seconds(ms: number): number {
  return Math.floor(ms / 1_000);
}
