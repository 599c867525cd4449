import assert from "node:assert/strict";
import fc from "fast-check";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { audit } from "../../proto/mod.ts";
import { eventOf } from "../pipeline/_pipeline_fixture.ts";
import type { PipelineItem } from "../pipeline/subscribers.ts";
import { Correlator, type Outcome } from "./correlator.ts";
import { announcedBy, keywordOfSyscall, keywords, seenIn } from "./keywords.ts";
import { CORRELATION_LIMITS } from "./limits.ts";
import { lineOf, ToldProcesses } from "./processes.ts";

const WINDOW_MS = 5_000;
const SETTLE_MS = 1_000;

type Init = MessageInitShape<typeof audit.AuditEventSchema>;

/** A correlator fed with events at given times. */
class Bench {
  readonly processes = new ToldProcesses();
  readonly correlator = new Correlator(WINDOW_MS, SETTLE_MS, this.processes);
  #sequence = 0;

  observe(source: "sdk" | "ebpf", pid: number | undefined, at_ms: number, init: Init): void {
    const sequence = ++this.#sequence;
    const item: PipelineItem = {
      event: eventOf({ eventId: `e${sequence}`, ...init }),
      enrichment: {
        received_at_ms: 0,
        source,
        connection_id: 0,
        ...(pid === undefined ? {} : { pid }),
        sequence,
        claimed_agent_id: "",
        forged_trust_markers: 0,
      },
      received_us: at_ms * 1_000,
      spool_seq: sequence,
    };
    this.correlator.observe(item);
  }

  tool(name: string, pid: number, at_ms: number): void {
    this.observe("sdk", pid, at_ms, { detail: { case: "toolCall", value: { toolName: name } } });
  }

  syscall(name: string, pid: number, at_ms: number): void {
    this.observe("ebpf", pid, at_ms, { labels: { "aa.syscall": name } });
  }

  kinds(now_ms: number): string[] {
    return this.correlator.judge(now_ms).map(({ kind }) => kind);
  }
}

Deno.test("trap R6: an announced act matches by keyword and real process, and is told once", () => {
  const bench = new Bench();
  bench.tool("delete_file", 100, 0);
  bench.syscall("unlinkat", 100, 1_250);
  const [first, ...rest] = bench.correlator.judge(2_250);
  assert.deepEqual(rest, []);
  assert.ok(first?.kind === "matched");
  assert.equal(first.intent.event_id, "e1");
  assert.equal(first.action.event_id, "e2");
  assert.equal(first.strength, 0.75);
  for (let now_ms = 3_000; now_ms < 30_000; now_ms += 1_000) {
    assert.deepEqual(bench.kinds(now_ms), [], "told once");
  }
  assert.deepEqual(bench.correlator.size, { intents: 0, actions: 0 });
});

Deno.test("trap R6: an act that nobody announced is unexpected; so is one of another process", () => {
  const bench = new Bench();
  bench.tool("delete_file", 100, 0);
  bench.syscall("unlink", 200, 10);
  bench.syscall("rename", 100, 10);
  assert.deepEqual(bench.kinds(1_500), [], "an intent may still come by another way");
  assert.deepEqual(bench.kinds(5_010), ["unexpected_action", "unexpected_action"]);
  assert.deepEqual(bench.kinds(10_001), ["intent_without_action"]);
  assert.deepEqual(bench.kinds(60_000), []);
});

Deno.test("a child's act belongs to its parent's intent, up to 64 generations and no cycle", () => {
  const bench = new Bench();
  for (let pid = 101; pid <= 164; pid++) bench.processes.tell(pid, pid - 1);
  bench.processes.tell(900, 901);
  bench.processes.tell(901, 900);
  bench.tool("bash", 100, 0);
  bench.syscall("execve", 164, 10);
  bench.syscall("execve", 900, 10);
  assert.deepEqual(bench.kinds(5_010), ["matched", "unexpected_action"]);
  assert.equal(lineOf(164, bench.processes).length, CORRELATION_LIMITS.ancestors + 1);
  bench.processes.tell(165, 164);
  assert.ok(!lineOf(165, bench.processes).includes(100));
});

Deno.test("an intent comes strictly before its act, within the window, and the nearest counts", () => {
  const late = new Bench();
  late.syscall("unlink", 1, 0);
  late.tool("delete", 1, 0);
  assert.deepEqual(late.kinds(5_000), ["unexpected_action"]);
  const early = new Bench();
  early.tool("delete", 1, 0);
  early.syscall("unlink", 1, 5_001);
  assert.ok(early.kinds(11_000).includes("unexpected_action"));
  const two = new Bench();
  two.tool("delete", 1, 0);
  two.tool("remove", 1, 1_000);
  two.syscall("unlink", 1, 1_500);
  const [matched] = two.correlator.judge(3_000);
  assert.ok(matched?.kind === "matched" && matched.intent.event_id === "e2");
});

Deno.test("one intent covers all acts it announced; a kernel that says nothing proves nothing", () => {
  const bench = new Bench();
  bench.tool("read_file", 1, 0);
  for (const at_ms of [10, 20, 30]) bench.syscall("read", 1, at_ms);
  assert.deepEqual(bench.kinds(2_000), ["matched", "matched", "matched"]);
  const silent = new Bench();
  silent.tool("read_file", 1, 0);
  assert.deepEqual(silent.kinds(20_000), []);
});

Deno.test("keywords are the contract's table, and a tool's name says what it does", () => {
  const table: readonly [string, string | undefined][] = [
    ["unlink", "file_delete"],
    ["rmdir", "file_delete"],
    ["openat", "file_write"],
    ["creat", "file_write"],
    ["pread64", "file_read"],
    ["renameat2", "file_rename"],
    ["connect", "network_connect"],
    ["sendmsg", "network_send"],
    ["write", "network_send"],
    ["execve", "process_exec"],
    ["clone3", "process_spawn"],
    ["tgkill", "process_signal"],
    ["fchmodat", "file_permission"],
    ["lchown", "file_owner"],
    ["getpid", undefined],
  ];
  for (const [syscall, keyword] of table) assert.equal(keywordOfSyscall(syscall), keyword, syscall);
  const named = (toolName: string) =>
    announcedBy(eventOf({ detail: { case: "toolCall", value: { toolName } } }));
  assert.deepEqual(named("deleteFile"), ["file_delete"]);
  assert.deepEqual(named("fs.read-file"), ["file_read", "file_write"]);
  assert.deepEqual(named("weather"), []);
  assert.deepEqual(
    announcedBy(eventOf({ detail: { case: "llmCall", value: { model: "m" } } })),
    ["network_connect", "network_send"],
  );
  assert.deepEqual(
    announcedBy(eventOf({ labels: { "aa.intent": "file_delete, nonsense,process_exec" } })),
    ["file_delete", "process_exec"],
  );
  const verb = (operation: string) =>
    seenIn(eventOf({ detail: { case: "fileOp", value: { operation } } }));
  assert.equal(verb("create"), "file_write");
  assert.equal(verb("constructor"), undefined);
  assert.equal(seenIn(eventOf({ detail: { case: "process", value: { command: "" } } })), undefined);
});

Deno.test("memory is bounded on both sides, and what is forgotten is counted", () => {
  const bench = new Bench();
  for (let n = 0; n < CORRELATION_LIMITS.intents + 100; n++) bench.tool("delete", n + 1, 0);
  assert.equal(bench.correlator.size.intents, CORRELATION_LIMITS.intents);
  assert.equal(bench.correlator.forgotten, 100);
  for (let n = 0; n < CORRELATION_LIMITS.actions + 50; n++) bench.syscall("rename", 1, 1);
  assert.equal(bench.correlator.size.actions, CORRELATION_LIMITS.actions);
  assert.equal(bench.kinds(2).length, 50, "the oldest are judged early");
  for (let pid = 1; pid < CORRELATION_LIMITS.processes + 10; pid++) bench.processes.tell(pid, 1);
  assert.equal(bench.processes.parentOf(1), undefined);
});

Deno.test("an event without a process, or of a proxy, takes no part", () => {
  const bench = new Bench();
  bench.observe("sdk", undefined, 0, { labels: { "aa.intent": "file_delete" } });
  bench.observe("ebpf", undefined, 0, { labels: { "aa.syscall": "unlink" } });
  assert.deepEqual(bench.correlator.size, { intents: 0, actions: 0 });
});

Deno.test("whatever happens, each act has one outcome, each intent at most one of its own, all rightly", () => {
  const step = fc.record({
    side: fc.constantFrom("sdk" as const, "ebpf" as const, "judge" as const),
    keyword: fc.constantFrom(...keywords().slice(0, 3)),
    pid: fc.integer({ min: 1, max: 6 }),
    wait_ms: fc.integer({ min: 0, max: 3_000 }),
  });
  const syscalls: Readonly<Record<string, string>> = {
    file_delete: "unlink",
    file_write: "openat",
    file_read: "read",
  };
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const bench = new Bench();
    bench.processes.tell(3, 2);
    bench.processes.tell(2, 1);
    const outcomes: Outcome[] = [];
    let now_ms = 0;
    let acts = 0;
    for (const { side, keyword, pid, wait_ms } of steps) {
      now_ms += wait_ms;
      if (side === "judge") outcomes.push(...bench.correlator.judge(now_ms));
      else if (side === "sdk") {
        bench.observe("sdk", pid, now_ms, { labels: { "aa.intent": keyword } });
      } else {
        acts++;
        bench.syscall(syscalls[keyword] ?? "", pid, now_ms);
      }
    }
    outcomes.push(...bench.correlator.judge(now_ms + 2 * WINDOW_MS + 1));
    const judged = outcomes.flatMap((one) => "action" in one ? [one.action.event_id] : []);
    assert.equal(judged.length, acts);
    assert.equal(new Set(judged).size, acts);
    const alone = outcomes.flatMap((one) =>
      one.kind === "intent_without_action" ? [one.intent.event_id] : []
    );
    assert.equal(new Set(alone).size, alone.length);
    for (const one of outcomes) {
      if (one.kind !== "matched") continue;
      assert.equal(one.intent.keyword, one.action.keyword);
      assert.ok(one.intent.sequence < one.action.sequence);
      assert.ok(one.strength >= 0 && one.strength <= 1);
      assert.ok(lineOf(one.action.pid, bench.processes).includes(one.intent.pid));
      assert.ok(!alone.includes(one.intent.event_id));
    }
    assert.deepEqual(bench.correlator.size, { intents: 0, actions: 0 });
  }));
});
