/**
 * What every adapter must do, whatever the framework: one table of tests, run once for each.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Guard } from "../adapters/guard.ts";
import { GovernedScript } from "./governed_script.ts";
import { AWAY, LABEL, LEAKED_KEY, NEXT_STEP, RULE } from "./scripted_guard.ts";
import { type Call, Toolbox } from "./toolbox.ts";

/** A framework under test. */
export interface Framework {
  readonly name: string;
  /**
   * Runs a real agent of the framework over the guarded tools. Its scripted model makes all `calls` in
   * one turn, reads the answers, and ends.
   *
   * @returns What the model read as the answer to each call, as text, in the order of the calls.
   */
  readonly run: (guard: Guard, toolbox: Toolbox, calls: readonly Call[]) => Promise<string[]>;
  /**
   * What becomes of a tool's failure that holds a secret: the model reads it with a label, or the run
   * ends because the framework lets nobody replace it.
   */
  readonly failure?: "redacted" | "ends";
  /** What a framework must be allowed to leave open in its own process: none unless it says so. */
  readonly sanitize?: { readonly sanitizeOps: boolean; readonly sanitizeResources: boolean };
}

const NOTE: Call = { tool: "note", args: { text: "round to cents", tags: ["price", "fix"] } };
const NOTED = { stored: "round to cents", tags: ["price", "fix"], at: { line: 3 } };

/** Registers the table for one framework. */
export function testBehaviours(framework: Framework): void {
  const test = (name: string, body: (guard: GovernedScript, tools: Toolbox) => Promise<void>) =>
    Deno.test({
      name: `${framework.name}: ${name}`,
      ...framework.sanitize,
      fn: () => body(new GovernedScript(), new Toolbox()),
    });
  const { run } = framework;

  test(
    "a forbidden tool does not run, and the model reads the rule and the next step",
    async (guard, tools) => {
      const [read = ""] = await run(guard, tools, [
        { tool: "delete_repository", args: { name: "till" } },
      ]);
      assert.deepEqual(tools.ran, []);
      assert.ok(read.includes(RULE), read);
      assert.ok(read.includes(NEXT_STEP), read);
    },
  );

  test("a leaked key in arguments arrives at the tool as a label", async (guard, tools) => {
    await run(guard, tools, [
      { tool: "note", args: { text: `use ${LEAKED_KEY}`, tags: ["deep", LEAKED_KEY] } },
    ]);
    assert.deepEqual(tools.ran, [
      { tool: "note", args: { text: `use ${LABEL}`, tags: ["deep", LABEL] } },
    ]);
  });

  test("a leaked key in a result is a label before the model reads it", async (guard, tools) => {
    const [read = ""] = await run(guard, tools, [
      { tool: "read_settings", args: { service: "till" } },
    ]);
    assert.equal(tools.ran.length, 1);
    assert.ok(read.includes(LABEL), read);
    assert.ok(read.includes("service=till"), read);
    assert.ok(!read.includes(LEAKED_KEY), read);
  });

  test(
    "a leaked key in a tool's failure does not reach the model",
    async (guard, tools) => {
      const [read = ""] = await run(guard, tools, [
        { tool: "connect", args: { host: "db.internal" } },
      ]);
      assert.equal(tools.ran.length, 1);
      assert.ok(!read.includes(LEAKED_KEY), read);
      if (framework.failure === "ends") assert.equal(read, "", "the model was called again");
      else assert.ok(read.includes(`db.internal refused ${LABEL}`), read);
    },
  );

  test("a held call waits and goes on after the grant", async (guard, tools) => {
    const running = run(guard, tools, [{ tool: "deploy", args: { environment: "production" } }]);
    const decided = guard.decide("granted");
    assert.deepEqual(tools.ran, [], "it ran before anybody decided");
    assert.equal(await decided, "deploy");
    const [read = ""] = await running;
    assert.equal(tools.ran.length, 1);
    assert.ok(read.includes("deployed to production"), read);
  });

  test(
    "a held call that is rejected does not run, and the model reads why",
    async (guard, tools) => {
      const running = run(guard, tools, [{ tool: "deploy", args: { environment: "production" } }]);
      await guard.decide("rejected");
      const [read = ""] = await running;
      assert.deepEqual(tools.ran, []);
      assert.ok(read.includes("rejected by ops: choose staging instead"), read);
    },
  );

  test(
    "a held call that nobody decides does not run, and the model reads so",
    async (guard, tools) => {
      const running = run(guard, tools, [{ tool: "deploy", args: { environment: "production" } }]);
      await guard.decide("expired");
      const [read = ""] = await running;
      assert.deepEqual(tools.ran, []);
      assert.match(read, /nobody decided within 300000 ms/);
    },
  );

  test("an allowed call passes unchanged, arguments and result", async (guard, tools) => {
    const [read = ""] = await run(guard, tools, [NOTE]);
    assert.deepEqual(tools.ran, [NOTE]);
    assert.deepEqual(JSON.parse(read), NOTED);
    assert.deepEqual(guard.calls.map(({ tool, args }) => ({ tool, args })), [NOTE]);
    assert.equal(guard.outcomes.length, 1);
  });

  test("with nobody to decide no tool runs", async (guard, tools) => {
    guard.away = true;
    const [read = ""] = await run(guard, tools, [NOTE]);
    assert.deepEqual(tools.ran, []);
    assert.ok(read.includes(AWAY), read);
  });

  test("calls made at once are judged one by one", async (guard, tools) => {
    const reads = await run(guard, tools, [
      NOTE,
      { tool: "delete_repository", args: { name: "till" } },
      { tool: "read_settings", args: { service: "till" } },
    ]);
    assert.deepEqual(tools.ran.map((call) => call.tool).sort(), ["note", "read_settings"]);
    assert.equal(guard.calls.length, 3);
    assert.equal(reads.length, 3);
    assert.deepEqual(JSON.parse(reads[0] ?? ""), NOTED);
    const [, refused = "", redacted = ""] = reads;
    assert.ok(refused.includes(RULE), refused);
    assert.ok(redacted.includes(LABEL) && !redacted.includes(LEAKED_KEY), redacted);
  });
}
