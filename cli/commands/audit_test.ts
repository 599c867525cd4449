import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { filesOf, sampleDraft, sampleLines, sampleSigner } from "../../core/audit/_sample_log.ts";
import type { EntryDraft } from "../../core/audit/entry.ts";
import { hash16 } from "../../core/audit/entry.ts";
import { formatProof } from "../../core/audit/proof.ts";
import { inclusionProof } from "../../core/audit/merkle.ts";
import { nodesFromTiles, tilePath } from "../../core/audit/tiles.ts";
import { admin } from "../../proto/mod.ts";
import { type AdminHandlers, fakeGateway } from "../testing/fake_gateway.ts";
import { runCli } from "../testing/run_cli.ts";

const { signer, verifier_key } = sampleSigner();

function logOf(count: number, from = 0): { lines: string[]; files: Map<string, Uint8Array> } {
  const drafts = Array.from({ length: count }, (_, index) => sampleDraft(index + from));
  const lines = sampleLines(drafts);
  return { lines, files: filesOf(lines, signer) };
}

/** A gateway that holds a log. */
function serving(log: { lines: string[]; files: Map<string, Uint8Array> }): AdminHandlers {
  const checkpoint = () => new TextDecoder().decode(log.files.get("log/checkpoint"));
  return {
    getCheckpoint: () =>
      create(admin.GetCheckpointResponseSchema, {
        note: checkpoint(),
        verifierKey: verifier_key,
      }),
    readLogResource: ({ path }) => {
      const content = log.files.get(`log/${path}`);
      return create(admin.ReadLogResourceResponseSchema, {
        content: content ?? new Uint8Array(),
        found: content !== undefined,
      });
    },
    proveEntry: async ({ index }) => {
      const read = nodesFromTiles(
        log.lines.length,
        (name) => Promise.resolve(log.files.get(`log/${tilePath(name)}`) ?? new Uint8Array()),
      );
      const path = await inclusionProof(Number(index), log.lines.length, read);
      return create(admin.ProveEntryResponseSchema, {
        proof: formatProof({ index, path, checkpoint: checkpoint() }),
        entry: { seq: index, json: log.lines[Number(index)] ?? "" },
        verifierKey: verifier_key,
      });
    },
    listAuditEntries: ({ limit }) =>
      create(admin.ListAuditEntriesResponseSchema, {
        entries: log.lines.map((json, seq) => ({ seq: BigInt(seq), json })).reverse()
          .slice(0, limit),
        scanLimitReached: true,
      }),
  };
}

interface Place extends AsyncDisposable {
  readonly path: string;
  readonly keys: string;
}

/** A directory with the log's files. */
async function placed(files: ReadonlyMap<string, Uint8Array>): Promise<Place> {
  const path = await Deno.makeTempDir();
  for (const [name, bytes] of files) {
    const full = `${path}/${name}`;
    await Deno.mkdir(full.slice(0, full.lastIndexOf("/")), { recursive: true });
    await Deno.writeFile(full, bytes);
  }
  return {
    path,
    keys: `${path}/known_logs`,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

Deno.test("verify: a whole log under a pinned key is exit code 0", async () => {
  await using place = await placed(logOf(300).files);
  const argv = ["audit", "verify", place.path, "--key", verifier_key];
  const { code, out } = await runCli(argv);
  assert.equal(code, 0, out);
  assert.match(out, /^OK: 300 entries verified$/m);
  assert.match(out, /^signature {9}valid$/m);
  assert.match(out, /^note: key pinned by --key$/m);
});

Deno.test("verify: without any key the signature is unchecked, which is not success", async () => {
  await using place = await placed(logOf(5).files);
  const { code, out } = await runCli(["audit", "verify", place.path, "--known-keys", place.keys]);
  assert.equal(code, 6);
  assert.match(out, /signature was not checked: no verifier key is known for this log/);
});

Deno.test("verify: another key, an edited entry, a cut file, a missing tile are exit code 6", async () => {
  const damages: ((files: Map<string, Uint8Array>) => void)[] = [
    (files) => {
      const text = new TextDecoder().decode(files.get("gateway-default.jsonl"));
      files.set(
        "gateway-default.jsonl",
        new TextEncoder().encode(text.replace("step 3", "step 4")),
      );
    },
    (files) => {
      const bytes = files.get("gateway-default.jsonl") ?? new Uint8Array();
      files.set("gateway-default.jsonl", bytes.subarray(0, bytes.length >> 1));
    },
    (files) => files.delete("log/tile/0/000.p/20"),
    (files) => files.delete("log/checkpoint"),
    (files) => files.set("gateway-default.jsonl", new Uint8Array()),
  ];
  for (const [index, damage] of damages.entries()) {
    const { files } = logOf(20);
    damage(files);
    await using place = await placed(files);
    const { code } = await runCli(["audit", "verify", place.path, "--key", verifier_key]);
    assert.equal(code, 6, `damage ${index}`);
  }
  await using place = await placed(logOf(20).files);
  const other = sampleSigner(9).verifier_key;
  assert.equal((await runCli(["audit", "verify", place.path, "--key", other])).code, 6);
});

Deno.test("verify --remote: the key seen first is remembered, and a later change is refused", async () => {
  await using place = await placed(new Map());
  {
    await using gateway = await fakeGateway({ admin: serving(logOf(3)) });
    const argv = [...gateway.flags, "audit", "verify", "--remote", "--known-keys", place.keys];
    const first = await runCli(argv);
    assert.equal(first.code, 0, first.out + first.err);
    assert.match(first.out, /seen for the first time and now remembered/);
    assert.equal((await Deno.readTextFile(place.keys)).split(" ")[0], verifier_key);
    assert.match((await runCli(argv)).out, /key remembered in .*; extends the 3 entries/);
  }
  const impostor = sampleSigner(9);
  const log = logOf(3);
  const files = filesOf(log.lines, impostor.signer);
  const handlers = serving({ lines: log.lines, files });
  await using gateway = await fakeGateway({
    admin: {
      ...handlers,
      getCheckpoint: () =>
        create(admin.GetCheckpointResponseSchema, {
          note: new TextDecoder().decode(files.get("log/checkpoint")),
          verifierKey: impostor.verifier_key,
        }),
    },
  });
  const argv = [...gateway.flags, "audit", "verify", "--remote", "--known-keys", place.keys];
  const { code, err } = await runCli(argv);
  assert.equal(code, 6);
  assert.match(err, /the key of log `example\.test\/log` changed/);
});

Deno.test("verify: a log that grew is followed; one that shrank or was rewritten is refused", async () => {
  await using memory = await placed(new Map());
  const verify = async (files: ReadonlyMap<string, Uint8Array>) => {
    await using place = await placed(files);
    return await runCli(["audit", "verify", place.path, "--known-keys", memory.keys]);
  };
  await Deno.writeTextFile(memory.keys, `${verifier_key}\n`);
  assert.equal((await verify(logOf(200).files)).code, 0);
  const grown = await verify(logOf(700).files);
  assert.equal(grown.code, 0, grown.err);
  assert.match(grown.out, /extends the 200 entries verified before/);
  const shrunk = await verify(logOf(500).files);
  assert.equal(shrunk.code, 6);
  assert.match(shrunk.err, /was rolled back: it had 700 entries when last verified, now 500/);
  const rewritten = await verify(logOf(900, 1).files);
  assert.equal(rewritten.code, 6);
  assert.match(rewritten.err, /its first 700 entries are not those verified before/);
  assert.equal((await verify(logOf(700).files)).code, 0, "the same log again");
});

Deno.test("a damaged memory of keys is an error, not a first use", async () => {
  await using place = await placed(logOf(3).files);
  for (
    const line of ["garbage", `${verifier_key} x y`, `${verifier_key} 3`, `${verifier_key} 3 AA==`]
  ) {
    await Deno.writeTextFile(place.keys, `${line}\n`);
    const { code, err } = await runCli(["audit", "verify", place.path, "--known-keys", place.keys]);
    assert.equal(code, 1, line);
    assert.match(err, /known_logs/);
  }
});

Deno.test("checkpoint: a good one is shown, a forged one is exit code 6", async () => {
  await using place = await placed(new Map());
  const log = logOf(4);
  await using gateway = await fakeGateway({ admin: serving(log) });
  const argv = [...gateway.flags, "audit", "checkpoint", "--known-keys", place.keys];
  const { code, out } = await runCli(argv);
  assert.equal(code, 0);
  assert.match(out, /^entries {4}4$/m);
  assert.match(out, /^signature {2}valid$/m);
  const forged = new TextDecoder().decode(log.files.get("log/checkpoint")).replace(
    "\n4\n",
    "\n9\n",
  );
  log.files.set("log/checkpoint", new TextEncoder().encode(forged));
  const second = await runCli(argv);
  assert.equal(second.code, 6);
  assert.match(second.err, /bad signature/);
});

Deno.test("prove: the proof is checked here before it is handed out", async () => {
  await using place = await placed(new Map());
  const log = logOf(11);
  const handlers = serving(log);
  await using gateway = await fakeGateway({ admin: handlers });
  const argv = [...gateway.flags, "audit", "prove", "7", "--key", verifier_key];
  const { code, out, err } = await runCli(argv);
  assert.equal(code, 0, err);
  assert.match(out, /^c2sp\.org\/tlog-proof@v1\nindex 7\n/);
  assert.match(err, /^entry {3}7 of 11$/m);
  const file = `${place.path}/proof`;
  await runCli([...argv, "--output-file", file]);
  assert.equal(await Deno.readTextFile(file), out);
  const [first = ""] = log.lines;
  log.lines[7] = first;
  const forged = await runCli(argv);
  assert.equal(forged.code, 6);
  assert.equal(forged.out, "");
  assert.match(forged.err, /the proof of entry 7 does not hold/);
});

Deno.test("verify-chain: a good file passes; trap: an empty one does not, nor a broken one", async () => {
  await using place = await placed(logOf(6).files);
  const file = `${place.path}/gateway-default.jsonl`;
  const good = await runCli(["audit", "verify-chain", file]);
  assert.equal(good.code, 0);
  assert.match(good.out, /^OK — 6 entries verified$/m);
  const lines = (await Deno.readTextFile(file)).trimEnd().split("\n");
  await Deno.writeTextFile(file, `${lines.toSpliced(2, 1).join("\n")}\n`);
  assert.equal((await runCli(["audit", "verify-chain", file])).code, 6);
  await Deno.writeTextFile(file, "");
  assert.equal((await runCli(["audit", "verify-chain", file])).code, 6);
  const missing = await runCli(["audit", "verify-chain", `${file}.no`]);
  assert.equal(missing.code, 1);
  assert.match(missing.err, /cannot read log file `.*`: no such file/);
});

const DENIAL: EntryDraft = {
  event_type: "PolicyViolation",
  timestamp_ns: 1_767_787_200_123_456_789n,
  agent_id: hash16("=cmd()"),
  session_id: hash16("t"),
  payload: JSON.stringify({
    action: "tool_call",
    agent_id_claimed: "=cmd()",
    decision: 2,
    reason: 'no, "never"\u001b[2J',
    resource: "bash",
    rule: "tools.bash.allow",
    rule_at: "p.yaml:3:1",
    trace_id: "t",
  }),
};

Deno.test("list: a row says who, what, the decision and the rule's place", async () => {
  const lines = sampleLines([DENIAL]);
  await using gateway = await fakeGateway({
    admin: serving({ lines, files: filesOf(lines, signer) }),
  });
  const { out, err } = await runCli([...gateway.flags, "audit", "list"]);
  assert.equal(
    out.split("\n")[1],
    "  0  2026-01-07T12:00:00.123Z  PolicyViolation  =cmd()  tool_call  bash      deny      " +
      'no, "never"\\u001b[2J  p.yaml:3:1',
  );
  assert.match(err, /scan limit/);
});

Deno.test("trap: list as JSON gives every entry byte for byte as logged", async () => {
  const { lines, files } = logOf(5);
  await using gateway = await fakeGateway({ admin: serving({ lines, files }) });
  const { out } = await runCli([...gateway.flags, "--output", "json", "audit", "list"]);
  assert.equal(out, `[\n${lines.toReversed().join(",\n")}\n]\n`);
  assert.equal(JSON.parse(out).length, 5);
});

Deno.test("an entry that is none is shown as such, not dropped", async () => {
  const lines = ['{"seq":0,"nonsense":true}'];
  await using gateway = await fakeGateway({
    admin: serving({ lines, files: filesOf(lines, signer) }),
  });
  const { out } = await runCli([...gateway.flags, "audit", "list"]);
  assert.match(out, /not an audit entry/);
});

Deno.test("export: csv, jsonl and json hold every entry under the checkpoint, over bundle borders", async () => {
  const { lines, files } = logOf(600);
  await using gateway = await fakeGateway({ admin: serving({ lines, files }) });
  const run = async (...more: string[]) =>
    await runCli([...gateway.flags, "audit", "export", "--format", ...more]);
  assert.equal((await run("jsonl")).out, lines.map((line) => `${line}\n`).join(""));
  assert.equal(JSON.parse((await run("json")).out).length, 600);
  const csv = (await run("csv")).out.trimEnd().split("\r\n");
  assert.equal(csv.length, 601);
  assert.match(csv[0] ?? "", /^seq,time,event_type,agent,/);
  assert.equal((await run("jsonl", "--limit", "3")).out.trimEnd().split("\n").length, 3);
});

Deno.test("export: a cell that a spreadsheet would run is defused", async () => {
  const lines = sampleLines([DENIAL]);
  await using gateway = await fakeGateway({
    admin: serving({ lines, files: filesOf(lines, signer) }),
  });
  const { out } = await runCli([...gateway.flags, "audit", "export", "--format", "csv"]);
  assert(out.includes(",'=cmd(),"), out);
  assert(out.includes(`,"no, ""never""`), out);
});

Deno.test("export: filters choose by agent, event, decision and time", async () => {
  const lines = sampleLines([DENIAL, ...[0, 1, 2].map(sampleDraft)]);
  await using gateway = await fakeGateway({
    admin: serving({ lines, files: filesOf(lines, signer) }),
  });
  const count = async (...filters: string[]) => {
    const argv = ["audit", "export", "--format", "jsonl", ...filters];
    return (await runCli([...gateway.flags, ...argv])).out.split("\n").length - 1;
  };
  assert.equal(await count("--agent==cmd()"), 1);
  assert.equal(await count("--agent", hash16("agent-1").toHex()), 1);
  assert.equal(await count("--decision", "deny"), 1);
  assert.equal(await count("--event-type", "violation"), 3);
  assert.equal(await count("--since", "2026-01-07"), 1);
  assert.equal(await count("--until", "2026-01-07"), 3);
});

Deno.test("export: entries that the gateway holds back are an error, and a file written before stays", async () => {
  await using place = await placed(new Map());
  const { lines, files } = logOf(600);
  files.delete("log/tile/entries/001");
  await using gateway = await fakeGateway({ admin: serving({ lines, files }) });
  const argv = ["audit", "export", "--format", "jsonl"];
  const { code, err } = await runCli([...gateway.flags, ...argv]);
  assert.equal(code, 6);
  assert.match(err, /the export is incomplete: the gateway gave 256 of 600 entries/);
  const file = `${place.path}/old`;
  await Deno.writeTextFile(file, "old");
  const lost = ["--gateway", "127.0.0.1:1", "--token-file", "/nowhere", ...argv];
  assert.equal((await runCli([...lost, "--output-file", file])).code, 1);
  assert.equal(await Deno.readTextFile(file), "old");
});

Deno.test("tail: shows entries as they come and ends well at Ctrl-C", async () => {
  const { lines } = logOf(3);
  const interrupt = new AbortController();
  await using gateway = await fakeGateway({
    admin: {
      tailAudit: async function* ({ backlog }, context) {
        assert.equal(backlog, 2);
        for (const [seq, json] of lines.entries()) {
          yield create(admin.AuditEntrySchema, { seq: BigInt(seq), json });
        }
        await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
      },
    },
  });
  const argv = [...gateway.flags, "audit", "tail", "--backlog", "2", "--output", "json"];
  let shown = 0;
  const { code, out } = await runCli(argv, {
    signal: interrupt.signal,
    onOut: () => {
      if (++shown === lines.length) interrupt.abort();
    },
  });
  assert.equal(code, 0);
  assert.equal(out, lines.map((line) => `${line}\n`).join(""));
});
