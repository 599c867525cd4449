/**
 * The pages of `docs/` and the README, held to the code.
 */
import assert from "node:assert/strict";
import { limitsPage } from "../docs/generate_limits.ts";

const ROOT = new URL("..", import.meta.url).pathname;

Deno.test("docs/limits.md lists every named bound with its present value", async () => {
  assert.equal(await Deno.readTextFile(`${ROOT}docs/limits.md`), await limitsPage());
});

Deno.test("every task and file that the README and docs name exists", async () => {
  const tasks = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`)).tasks;
  const docs = [
    "adapters",
    "agents",
    "anomalies",
    "approvals",
    "architecture",
    "compliance",
    "detectors",
    "not-yet",
    "permission-broker",
    "runtime",
  ];
  for (const page of ["README.md", "bench/README.md", ...docs.map((name) => `docs/${name}.md`)]) {
    const text = await Deno.readTextFile(`${ROOT}${page}`);
    for (const [, task = ""] of text.matchAll(/(?:deno|deno@2\.9\.6) task ([a-z]+)/g)) {
      assert.ok(task in tasks, `${page} names the task ${task}`);
    }
    for (const [, link = ""] of text.matchAll(/\]\((?!https?:)([^)#]+)\)/g)) {
      const base = new URL(page, `file://${ROOT}`);
      await assert.doesNotReject(Deno.stat(new URL(link, base)), `${page} links to ${link}`);
    }
  }
});
