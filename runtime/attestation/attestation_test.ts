import assert from "node:assert/strict";
import fc from "fast-check";
import { Attestation, type Degradation } from "./attestation.ts";
import {
  assertsCoverage,
  type Basis,
  ceilingOf,
  COVERAGE_CLAIMS,
  FRESHNESS_WINDOW_MS,
  isFresh,
  type Outcome,
  termOf,
} from "./claims.ts";
import { detectLayers, layerBits, layerText, type Looks, parseLayers } from "./layers.ts";

const EVERYTHING: Looks = {
  os: "linux",
  kernel: () => "6.1.0-18-amd64",
  btf: () => "there",
  ebpf_socket: () => "there",
  proxy: () => "/usr/bin/aa-proxy",
};

const OUTCOMES: Outcome[] = [
  "blocked",
  "redacted",
  "held_for_approval",
  "advisory_decision",
  "flagged",
  "recorded",
  "inconclusive",
];

const basis: fc.Arbitrary<Basis> = fc.oneof(
  fc.constant<Basis>({ basis: "environment_override", variable: "AA_LAYERS" }),
  fc.constant<Basis>({ basis: "assumed_present" }),
  fc.constant<Basis>({ basis: "artifact_present", artifact: "x" }),
  fc.constant<Basis>({ basis: "absent_from_build", component: "x" }),
  fc.constant<Basis>({ basis: "platform_unsupported", platform: "x" }),
  fc.constant<Basis>({ basis: "prerequisite_unmet", requirement: "x" }),
  fc.constantFrom(...OUTCOMES).map((outcome): Basis => ({ basis: "adjudicated", outcome })),
);

Deno.test("each outcome carries the contract's term, and only a block asserts prevention", () => {
  const terms = OUTCOMES.map((outcome) => ceilingOf({ basis: "adjudicated", outcome }));
  assert.deepEqual(terms, [
    "denied_before_execution",
    "redacted",
    "approval_required",
    "evaluated",
    "detected",
    "observed",
    "unmeasured",
  ]);
});

Deno.test("no selection and no freshness ever raises a term above its basis", () => {
  const rank = (claim: ReturnType<typeof ceilingOf>) =>
    assertsCoverage(claim) ? COVERAGE_CLAIMS.length - COVERAGE_CLAIMS.indexOf(claim) : 0;
  fc.assert(
    fc.property(
      basis,
      fc.constantFrom("enabled", "disabled", "unset"),
      fc.boolean(),
      (one, mode, fresh) => {
        const term = termOf(one, mode, fresh);
        assert.ok(rank(term) <= rank(ceilingOf(one)));
        if (one.basis !== "adjudicated") assert.ok(!assertsCoverage(term));
        if (!fresh) assert.ok(!assertsCoverage(term));
      },
    ),
  );
});

Deno.test("the lowering rules: enabled without coverage, or stale, is degraded", () => {
  const blocked: Basis = { basis: "adjudicated", outcome: "blocked" };
  const artifact: Basis = { basis: "artifact_present", artifact: "x" };
  assert.equal(termOf(artifact, "enabled", true), "degraded");
  assert.equal(termOf(artifact, "unset", true), "unmeasured");
  assert.equal(termOf(blocked, "enabled", true), "denied_before_execution");
  assert.equal(termOf(blocked, "enabled", false), "degraded");
  assert.equal(termOf(blocked, "unset", false), "unmeasured");
  assert.equal(
    termOf({ basis: "platform_unsupported", platform: "x" }, "unset", true),
    "unsupported",
  );
});

Deno.test("evidence from the future is not fresh, and no issuer's window is longer than ours", () => {
  const now_ms = 1_000_000_000;
  assert.ok(isFresh(now_ms, now_ms, FRESHNESS_WINDOW_MS));
  assert.ok(isFresh(now_ms - 300_000, now_ms, FRESHNESS_WINDOW_MS));
  assert.ok(!isFresh(now_ms - 300_001, now_ms, FRESHNESS_WINDOW_MS));
  assert.ok(!isFresh(now_ms - 300_001, now_ms, 10 * FRESHNESS_WINDOW_MS), "a longer window");
  assert.ok(!isFresh(now_ms + 60_000, now_ms, FRESHNESS_WINDOW_MS), "a minute ahead");
  assert.ok(isFresh(now_ms + 2_000, now_ms, FRESHNESS_WINDOW_MS), "a clock that is a little ahead");
  assert.ok(!isFresh(NaN, now_ms, FRESHNESS_WINDOW_MS));
});

Deno.test("layers are found by looking, and each missing prerequisite is named", () => {
  const present = (looks: Partial<Looks>) =>
    detectLayers(undefined, { ...EVERYTHING, ...looks })
      .filter((layer) => layer.present).map((layer) => layer.name);
  assert.deepEqual(present({}), ["ebpf", "proxy", "sdk"]);
  assert.deepEqual(present({ kernel: () => "5.8.0" }), ["ebpf", "proxy", "sdk"]);
  for (const kernel of ["5.7.19", "4.19.0", "", "unknown"]) {
    assert.deepEqual(present({ kernel: () => kernel }), ["proxy", "sdk"], kernel);
  }
  assert.deepEqual(present({ btf: () => "absent" }), ["proxy", "sdk"]);
  assert.deepEqual(present({ ebpf_socket: () => "absent" }), ["proxy", "sdk"]);
  assert.deepEqual(present({ btf: () => "unknown" }), ["proxy", "sdk"]);
  assert.deepEqual(present({ os: "darwin" }), ["proxy", "sdk"]);
  assert.deepEqual(present({ proxy: () => undefined }), ["ebpf", "sdk"]);
  assert.deepEqual(present({ os: "freebsd" }), ["sdk"]);
});

Deno.test("what this process may not look at is not said to be missing", () => {
  const detail = (looks: Partial<Looks>) =>
    detectLayers(undefined, { ...EVERYTHING, ...looks })[0]?.detail ?? "";
  assert.equal(detail({ btf: () => "absent" }), "the kernel's BTF is not there");
  assert.match(detail({ btf: () => "unknown" }), /BTF is there is not known: .* may not look/);
  assert.match(detail({ ebpf_socket: () => "unknown" }), /socket is there is not known/);
});

Deno.test("an override replaces detection; an empty one is none", () => {
  assert.deepEqual(parseLayers(" EBPF , sdk,quantum"), ["ebpf", "sdk"]);
  for (const text of [undefined, "", ",", "quantum"]) assert.equal(parseLayers(text), undefined);
  const nothing: Looks = { ...EVERYTHING, os: "freebsd" };
  const found = detectLayers(["ebpf"], nothing);
  assert.deepEqual(found.map((layer) => layer.present), [true, false, false]);
  assert.ok(found.every((layer) => !assertsCoverage(ceilingOf(layer.basis))));
});

Deno.test("layers are shown and packed as the reference does", () => {
  assert.equal(layerText(["sdk", "ebpf"]), "ebpf+sdk");
  assert.equal(layerText([]), "none");
  assert.equal(layerBits(["ebpf", "proxy", "sdk"]), 0x7);
  assert.equal(layerBits(["proxy"]), 0x2);
});

interface Scene {
  readonly attestation: Attestation;
  readonly degradations: Degradation[];
  now_ms: number;
  looks: Looks;
  broker: { selected: boolean; serving: boolean };
}

function scene(override?: string): Scene {
  const degradations: Degradation[] = [];
  const state = {
    now_ms: 1_800_000_000_000,
    looks: EVERYTHING,
    broker: { selected: true, serving: true },
    degradations,
  };
  const attestation = new Attestation({
    looks: {
      os: "linux",
      kernel: () => state.looks.kernel(),
      btf: () => state.looks.btf(),
      ebpf_socket: () => state.looks.ebpf_socket(),
      proxy: () => state.looks.proxy(),
    },
    override: parseLayers(override),
    version: "0.4.7",
    platform: "x86_64-linux",
    now_ms: () => state.now_ms,
    broker: () => state.broker,
    onDegraded: (degradation) => degradations.push(degradation),
  });
  return Object.assign(state, { attestation });
}

Deno.test("at start nothing is covered, whatever is installed or overridden", () => {
  for (const override of [undefined, "ebpf,proxy,sdk"]) {
    const { attestation } = scene(override);
    const report = attestation.report();
    assert.deepEqual(report.components.map((one) => one.component), ["ebpf", "proxy", "sdk"]);
    for (const one of [...report.components, ...report.additional]) {
      assert.ok(!assertsCoverage(one.term), `${one.component}: ${one.term}`);
      assert.notEqual(one.detail, "");
    }
    assert.deepEqual(attestation.verifiedStates(), []);
    assert.equal(report.component_version, "0.4");
  }
});

Deno.test("what was seen is said, the strongest first, for as long as it is fresh", () => {
  const state = scene();
  const term = (name: string) => {
    const { components, additional } = state.attestation.report();
    return [...components, ...additional].find((one) => one.component === name)?.term;
  };
  state.attestation.witness("sdk", "recorded");
  assert.equal(term("sdk"), "observed");
  state.now_ms += 200_000;
  state.attestation.witness("sdk", "advisory_decision");
  assert.equal(term("sdk"), "evaluated");
  state.attestation.witness("deno-broker", "blocked");
  assert.deepEqual(state.attestation.verifiedStates(), [
    "denied_before_execution",
    "evaluated",
    "observed",
  ]);
  state.now_ms += 200_000;
  assert.deepEqual(state.attestation.verifiedStates(), ["denied_before_execution", "evaluated"]);
  state.now_ms += 200_000;
  assert.equal(term("sdk"), "unmeasured", "nobody selected it");
  assert.equal(term("deno-broker"), "degraded", "it was selected");
  assert.deepEqual(state.attestation.verifiedStates(), []);
});

Deno.test("a clock set back takes a claim away instead of keeping it", () => {
  const state = scene();
  state.attestation.witness("sdk", "blocked");
  state.now_ms -= 3_600_000;
  assert.deepEqual(state.attestation.verifiedStates(), []);
});

Deno.test("an inconclusive outcome claims nothing", () => {
  const state = scene();
  state.attestation.witness("sdk", "inconclusive");
  assert.deepEqual(state.attestation.verifiedStates(), []);
});

Deno.test("trap R14: layers are looked at again; one that goes is a degradation, once", () => {
  const state = scene();
  assert.equal(state.degradations.length, 0);
  state.looks = { ...EVERYTHING, ebpf_socket: () => "absent" };
  state.attestation.reprobe();
  state.attestation.reprobe();
  assert.equal(state.degradations.length, 1);
  assert.equal(state.degradations[0]?.layer, "ebpf");
  assert.deepEqual(state.degradations[0]?.remaining_layers, ["proxy", "sdk"]);
  assert.deepEqual(state.attestation.degraded, ["ebpf"]);
  state.looks = EVERYTHING;
  state.attestation.reprobe();
  assert.deepEqual(state.attestation.degraded, []);
  assert.equal(state.attestation.text, "ebpf+proxy+sdk");
});

Deno.test("the layer that only Deno has is beside the three and changes none of their bits", () => {
  const state = scene();
  state.attestation.reprobe();
  assert.equal(layerBits(state.attestation.active), 0x7);
  assert.deepEqual(state.attestation.report().additional.map((one) => one.component), [
    "deno-broker",
  ]);
  state.broker = { selected: true, serving: false };
  state.attestation.reprobe();
  assert.equal(state.degradations.at(-1)?.layer, "deno-broker");
  assert.deepEqual(state.attestation.degraded, ["deno-broker"]);
  assert.equal(layerBits(state.attestation.active), 0x7);
});
