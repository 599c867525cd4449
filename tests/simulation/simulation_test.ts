import assert from "node:assert/strict";
import { parseArguments } from "./arguments.ts";
import { NoMachine, RealMachineError } from "./machine.ts";
import { Random } from "./random.ts";
import { run, type RunReport } from "./run.ts";
import { BREAKS } from "./violation.ts";

function told({ violation, seed, tail }: RunReport): string {
  return `seed ${seed}: ${JSON.stringify(violation)}\n${tail.slice(-20).join("\n")}`;
}

Deno.test("a seed replays exactly: every event, answer and hash the same twice", async () => {
  for (const seed of [1, 3, 24]) {
    const first = await run({ seed, steps: 2_000 });
    assert.equal(first.violation, undefined, told(first));
    assert.deepEqual(await run({ seed, steps: 2_000 }), first);
  }
});

Deno.test("seeds differ, and so do what they do to the gateway", async () => {
  const reports = [await run({ seed: 5, steps: 3_000 }), await run({ seed: 6, steps: 3_000 })];
  assert.ok(reports.some(({ crashes }) => crashes > 0), "it is interrupted");
  assert.equal(new Set(reports.map(({ digest }) => digest)).size, 2);
  for (const report of reports) {
    assert.equal(report.violation, undefined, told(report));
    assert.ok(report.decisions > 50 && report.allowed > 10, "the gateway is at work");
  }
});

for (const law of BREAKS) {
  Deno.test(`a gateway that breaks the law \`${law}\` is caught, and caught again by its seed`, async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const report = await run({ seed, steps: 8_000, broken: law });
      if (report.violation === undefined) continue;
      assert.equal(report.violation.law, law, told(report));
      const { step } = report.violation;
      const again = await run({ seed, steps: step, broken: law });
      assert.deepEqual(again.violation, report.violation);
      assert.equal(again.digest, report.digest);
      return;
    }
    assert.fail(`no seed noticed that \`${law}\` does not hold`);
  });
}

Deno.test("simulated code that reaches for the real machine is stopped, and the machine given back", async () => {
  const reached: (() => unknown)[] = [
    () => Date.now(),
    () => new Date(),
    () => performance.now(),
    () => Math.random(),
    () => setTimeout(() => {}, 0),
    () => setInterval(() => {}, 1),
    () => Deno.openSync("/etc/passwd"),
    () => Deno.readTextFileSync("/etc/passwd"),
    () => crypto.subtle.digest("SHA-256", new Uint8Array(1)),
    () => Temporal.Now.instant(),
    () => AbortSignal.timeout(1),
    () => fetch("http://127.0.0.1"),
  ];
  {
    using _machine = new NoMachine(new Random("test"));
    for (const reach of reached) assert.throws(reach, RealMachineError, String(reach));
    assert.equal(new Date(0).toISOString(), "1970-01-01T00:00:00.000Z");
    assert.match(crypto.randomUUID(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab]/);
  }
  assert.ok(Date.now() > 0);
  await new Promise((resolve) => setTimeout(resolve, 0));
});

Deno.test("a cancelled run stops and says how far it came", async () => {
  const report = await run({ seed: 1, steps: 1_000_000, signal: AbortSignal.abort() });
  assert.equal(report.steps, 0);
});

Deno.test("the command line takes seeds, ranges and fresh ones, and refuses nonsense by name", () => {
  const parse = (...args: string[]) => parseArguments(args, () => 77);
  assert.deepEqual(parse(), { seeds: [77], steps: 10_000, broken: undefined });
  assert.deepEqual(parse("--seed", "3..5", "--seed=fresh", "--steps", "20", "--break", "money"), {
    seeds: [3, 4, 5, 77],
    steps: 20,
    broken: "money",
  });
  for (
    const bad of [
      ["--seed", "5..3"],
      ["--seed", "x"],
      ["--seed"],
      ["--steps", "0"],
      [
        "--steps",
        "1e3",
      ],
      ["--break", "luck"],
      ["--what"],
    ]
  ) {
    const asked = parse(...bad);
    assert.ok("problem" in asked && asked.problem.includes(bad[0] ?? ""), bad.join(" "));
  }
});
