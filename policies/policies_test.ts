/**
 * Every ready policy loads without a word of warning and keeps what its test file promises.
 *
 * @module
 */
import assert from "node:assert/strict";
import { loadPolicyTests } from "../cli/policy_tests/load.ts";
import { runCase } from "../cli/policy_tests/run.ts";
import { compilePolicySet } from "../core/policy/compile.ts";
import type { PolicyDocument } from "../core/policy/document.ts";
import { loadPolicy } from "../core/policy/load.ts";
import { formatProblem } from "../core/policy/position.ts";

const HERE = new URL(".", import.meta.url);
/** The demo's own policy is held to the same. */
const DEMO = new URL("../examples/coding_agent/", import.meta.url);
const CASES_MIN = 12;

/** Rules behind another rule that refuses the same: either may go and nothing opens. */
const SECOND_LOCKS: Readonly<Record<string, readonly string[]>> = {
  // The scanner knows an IBAN by its check digits since; the pattern stays for the reference's gateway.
  "customer-support.yaml": [
    "without pattern \\b[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){3,7}(?: ?[0-9A-Z]{1,3})?\\b",
  ],
  // Behind the denial of `file_write`, and behind the capability allow list.
  "strict.yaml": ["without filesystem.write", "* allowed"],
};

const SHIPPED = [...Deno.readDirSync(HERE)]
  .map((entry) => entry.name)
  .filter((name) => name.endsWith(".yaml") && !name.endsWith(".test.yaml"))
  .sort();

Deno.test("these policies are shipped, each beside its test file", () => {
  assert.deepEqual(SHIPPED, [
    "audit-only.yaml",
    "balanced.yaml",
    "coding-agent.yaml",
    "customer-support.yaml",
    "data-analyst.yaml",
    "strict.yaml",
  ]);
});

for (const url of [...SHIPPED.map((name) => new URL(name, HERE)), new URL("policy.yaml", DEMO)]) {
  const name = url.pathname.slice(url.pathname.lastIndexOf("/") + 1);

  Deno.test(`${name} loads without errors and without warnings`, () => {
    const document = load(url);
    assert.equal(document.scope.tier, "global");
    assert.deepEqual(compilePolicySet([document], { mode: "single_file" }).warnings, []);
  });

  Deno.test(`${name} names itself and has no budget, which would deny model calls here`, () => {
    const document = load(url);
    assert.equal(document.form, "envelope");
    assert.ok(document.name !== undefined && document.policy_version !== undefined);
    assert.equal(document.budget, undefined);
  });
}

for (const name of SHIPPED) {
  const tests = loadTests(new URL(name.replace(".yaml", ".test.yaml"), HERE));

  Deno.test(`${name} is tested by its own file, in at least ${CASES_MIN} cases`, () => {
    assert.deepEqual(tests.policies.map((policy) => policy.value), [`./${name}`]);
    assert.ok(tests.cases.length >= CASES_MIN, `${tests.cases.length} cases`);
    const names = tests.cases.map((one) => one.name);
    assert.equal(new Set(names).size, names.length, "two cases have the same name");
  });

  Deno.test(`${name} keeps each of its ${tests.cases.length} promises`, () => {
    const policy = compilePolicySet([load(new URL(name, HERE))], { mode: "single_file" });
    const broken = tests.cases.flatMap((one) => {
      const result = runCase(one, policy);
      if (result.passed) return [];
      return [`line ${one.at.line}: ${one.name}: ${result.differences.join(", ")}`];
    });
    assert.deepEqual(broken, []);
  });
}

for (const name of SHIPPED.filter((name) => name !== "audit-only.yaml")) {
  const tests = loadTests(new URL(name.replace(".yaml", ".test.yaml"), HERE));

  Deno.test(`no rule of ${name} can be loosened without a case turning red`, () => {
    const unnoticed: string[] = [];
    for (const [what, document] of loosened(load(new URL(name, HERE)))) {
      const policy = compilePolicySet([document], { mode: "single_file" });
      if (tests.cases.every((one) => runCase(one, policy).passed)) unnoticed.push(what);
    }
    assert.deepEqual(unnoticed, SECOND_LOCKS[name] ?? []);
  });
}

Deno.test("audit-only really restricts nothing: whatever another policy refuses, it allows", () => {
  const open = compilePolicySet([load(new URL("audit-only.yaml", HERE))], { mode: "single_file" });
  for (const name of SHIPPED) {
    for (const one of loadTests(new URL(name.replace(".yaml", ".test.yaml"), HERE)).cases) {
      if (one.principal.status !== "active") continue;
      const result = runCase(
        { name: one.name, at: one.at, ...question(one), expect: "allow" },
        open,
      );
      assert.ok(result.passed, `${name}: ${one.name}`);
    }
  }
});

/** The document with one rule weaker, for every rule that can be weakened. */
function* loosened(document: PolicyDocument): Generator<[string, PolicyDocument]> {
  for (const section of ["network", "schedule", "data", "capabilities", "filesystem"] as const) {
    const { [section]: removed, ...rest } = document;
    if (removed !== undefined) yield [`without ${section}`, rest];
  }
  yield* loosenedLists(document);
  const { data } = document;
  if (data !== undefined) {
    yield ["data.credential_action: alert_only", {
      ...document,
      data: { ...data, credential_action: "alert_only" },
    }];
    for (const pattern of data.sensitive_patterns) {
      const sensitive_patterns = data.sensitive_patterns.filter((one) => one !== pattern);
      yield [`without pattern ${pattern.value}`, {
        ...document,
        data: { ...data, sensitive_patterns },
      }];
    }
  }
  yield* loosenedTools(document);
}

function* loosenedLists(document: PolicyDocument): Generator<[string, PolicyDocument]> {
  const { network, filesystem, capabilities } = document;
  if (network !== undefined) {
    const allowlist = [...network.allowlist, { value: "*", line: 1, column: 1 }];
    yield ["network.allowlist with `*`", { ...document, network: { ...network, allowlist } }];
  }
  for (const verb of ["read", "write"] as const) {
    if (filesystem?.[verb] === undefined) continue;
    const { [verb]: _removed, ...rest } = filesystem;
    yield [`without filesystem.${verb}`, { ...document, filesystem: rest }];
  }
  if (capabilities === undefined) return;
  for (const token of capabilities.deny) {
    const deny = capabilities.deny.filter((one) => one !== token);
    // An allow list that lacks the token refuses it as well: then only the rule cited differs.
    yield [`without the denial of ${token.text}`, {
      ...document,
      capabilities: { ...capabilities, deny },
    }];
  }
  if (capabilities.allow.length > 0) {
    yield ["without capabilities.allow", {
      ...document,
      capabilities: { ...capabilities, allow: [] },
    }];
  }
}

function* loosenedTools(document: PolicyDocument): Generator<[string, PolicyDocument]> {
  const withTools = (tools: PolicyDocument["tools"]) => ({ ...document, tools });
  for (const [name, rule] of document.tools) {
    const others = [...document.tools].filter(([other]) => other !== name);
    if (!rule.allow) {
      yield [`${name} allowed`, withTools(new Map([...others, [name, { ...rule, allow: true }]]))];
    }
    const { requires_approval_if, ...unconditional } = rule;
    if (requires_approval_if !== undefined) {
      yield [`${name} unconditional`, withTools(new Map([...others, [name, unconditional]]))];
    }
  }
  const unlimited = [...document.tools].map(([name, { limit_per_hour: _limit, ...rule }]) =>
    [name, rule] as const
  );
  yield ["without limits", withTools(new Map(unlimited))];
}

function question(one: ReturnType<typeof loadTests>["cases"][number]) {
  const { principal, now_ms, action, repeat } = one;
  return { principal, now_ms, action, repeat };
}

function load(url: URL): PolicyDocument {
  const name = url.pathname.slice(url.pathname.lastIndexOf("/") + 1);
  const result = loadPolicy(name, Deno.readFileSync(url), { reject_blank: true });
  if (!result.ok) {
    assert.fail(result.problems.map((problem) => formatProblem(name, problem)).join("\n"));
  }
  assert.deepEqual(result.warnings.map((warning) => formatProblem(name, warning)), []);
  return result.document;
}

function loadTests(url: URL) {
  const result = loadPolicyTests(Deno.readFileSync(url));
  if (!result.ok) {
    assert.fail(result.problems.map((problem) => formatProblem(url.pathname, problem)).join("\n"));
  }
  return result.file;
}
