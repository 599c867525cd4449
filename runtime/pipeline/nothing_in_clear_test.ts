import assert from "node:assert/strict";
import fc from "fast-check";
import { GENESIS } from "../../core/audit/chain.ts";
import { audit } from "../../proto/mod.ts";
import { ManualTimers, SeenMetrics, withFolder } from "../_fixture.ts";
import { chainEntries } from "../nats/entry_chain.ts";
import { openSpool } from "../spool/spool.ts";
import { arbitraryMessage } from "./_message_arbitrary.ts";
import { fromClient } from "./_pipeline_fixture.ts";
import { openPipeline } from "./pipeline.ts";

/** What is planted, and the part of it that must be nowhere. */
const SECRETS: readonly (readonly [planted: string, part: string])[] = [
  ["ghp_16C7e42F292c6912E7710c838347Ae178B4a", "42F292c6912E7710c838347Ae178"],
  ["AKIAIOSFODNN7EXAMPLE", "IOSFODNN7EXAMPLE"],
  ["postgres://user:hunter2hunter2@db.internal:5432/app", "hunter2hunter2"],
  ["sk-ant-api03-Zq3vTt8yLwPn5Rk1XhBd7Mf2Gc9Js4Ua", "Zq3vTt8yLwPn5Rk1"],
  ["xoxb-2345678901-AbCdEfGhIjKlMnOp", "AbCdEfGhIjKlMnOp"],
  ["4532015112830366", "4532015112830366"],
];

const AGENT = { agent_id: "agent-1", team_id: "red", org_id: "acme" };

Deno.test("whatever an agent reports, no planted secret is in the spool's files, an entry, or what is said", async () => {
  const planted = fc.constantFrom(...SECRETS).chain(([secret]) =>
    fc.oneof(
      fc.constant(secret),
      fc.constant(`before ${secret} after`),
      fc.constant(`{"note":"${secret}"}`),
      fc.string({ unit: "grapheme", maxLength: 6 }),
    )
  );
  const encoder = new TextEncoder();
  const bytes = fc.oneof(
    planted.map((text) => encoder.encode(text)),
    planted.map((text) => new Uint8Array([0xff, ...encoder.encode(` ${text} `)])),
  );
  const events = fc.array(arbitraryMessage(audit.AuditEventSchema, planted, bytes), {
    minLength: 1,
    maxLength: 12,
  });
  await fc.assert(
    fc.asyncProperty(events, async (reported) => {
      await withFolder(async (folder) => {
        const said: string[] = [];
        const spool = await openSpool({
          path: `${folder}/spool.db`,
          uid: Deno.uid(),
          readers: [{ name: "nats", role: "mirror" }],
          timers: new ManualTimers(),
          newId: () => crypto.randomUUID(),
        });
        const metrics = new SeenMetrics();
        const pipeline = openPipeline({
          agent: AGENT,
          spool,
          clients: {
            violation: (_id, { policyRule, blockedAction, reason }) =>
              said.push(policyRule, blockedAction, reason),
            approvalDecided: () => {},
          },
          metrics,
          timers: new ManualTimers(),
          newId: () => crypto.randomUUID(),
        });
        for (const event of reported) await pipeline.report(event, fromClient());
        const records = await spool.reader("nats").pending(100);
        for (const { line, subject } of chainEntries(records, GENESIS, AGENT).entries) {
          said.push(line, subject);
        }
        said.push(JSON.stringify(pipeline.status), JSON.stringify(spool.status));
        said.push(...metrics.counters.keys());
        await pipeline.close();
        // The log that was not yet merged is a file, too.
        for (const name of ["spool.db", "spool.db-wal"]) {
          const content = await Deno.readFile(`${folder}/${name}`).catch(() => new Uint8Array());
          said.push(new TextDecoder("latin1").decode(content));
        }
        await spool.close();
        said.push(new TextDecoder("latin1").decode(await Deno.readFile(`${folder}/spool.db`)));
        for (const text of said) {
          for (const [, part] of SECRETS) {
            const at = text.indexOf(part);
            assert.equal(at, -1, `\`${text.slice(Math.max(0, at - 40), at + 60)}\``);
          }
        }
      });
    }),
    { numRuns: 25 },
  );
});
