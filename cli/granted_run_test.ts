import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { filesOf, sampleDraft, sampleLines, sampleSigner } from "../core/audit/_sample_log.ts";
import { admin, policy } from "../proto/mod.ts";
import { cliPermissions } from "./permissions.ts";
import { fakeGateway } from "./testing/fake_gateway.ts";

const MAIN = new URL("main.ts", import.meta.url).href;

/** Runs `aasm` as its own process under exactly the derived grant. */
async function granted(argv: readonly string[], cwd: string) {
  const output = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--no-remote",
      "--quiet",
      ...cliPermissions(argv, cwd),
      MAIN,
      ...argv,
    ],
    cwd,
    stdin: "null",
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code: output.code, out: text(output.stdout), err: text(output.stderr) };
}

Deno.test("every command that needs something runs under exactly the grant derived for it", async () => {
  const { signer, verifier_key } = sampleSigner();
  const lines = sampleLines([0, 1, 2].map(sampleDraft));
  const files = filesOf(lines, signer);
  await using gateway = await fakeGateway({
    admin: {
      getStatus: () =>
        create(admin.GetStatusResponseSchema, {
          version: "9.9.9",
          policy: { state: "enforced" },
          audit: { state: "durable" },
        }),
      getCheckpoint: () =>
        create(admin.GetCheckpointResponseSchema, {
          note: new TextDecoder().decode(files.get("log/checkpoint")),
          verifierKey: verifier_key,
        }),
      readLogResource: ({ path }) => {
        const content = files.get(`log/${path}`);
        return create(admin.ReadLogResourceResponseSchema, {
          content: content ?? new Uint8Array(),
          found: content !== undefined,
        });
      },
    },
    policy: {
      checkAction: () => create(policy.CheckActionResponseSchema, { decision: 1 }),
    },
  });
  const cwd = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${cwd}/p.yaml`, "tools:\n  x: { allow: true }\n");
    await Deno.writeTextFile(
      `${cwd}/p.test.yaml`,
      "policy: p.yaml\ncases:\n  - name: x\n    action: { tool: { name: x } }\n    expect: allow\n",
    );
    await Deno.writeTextFile(`${cwd}/result`, "text");
    for (
      const argv of [
        [...gateway.flags, "status"],
        [...gateway.flags, "version"],
        [...gateway.flags, "check", "result", "t", "--file", "result"],
        [...gateway.flags, "audit", "verify", "--remote", "--known-keys", "known"],
        [...gateway.flags, "audit", "verify", "--remote", "--known-keys", "known"],
        [...gateway.flags, "audit", "export", "--format", "jsonl", "--output-file", "out.jsonl"],
        ["audit", "verify-chain", "out.jsonl"],
        ["policy", "validate", "p.yaml"],
        ["policy", "explain", ".", "tool", "x"],
        ["policy", "test", "p.test.yaml", "--output", "yaml"],
        ["policy", "schema"],
        ["completion", "bash"],
        ["--help"],
      ]
    ) {
      const { code, out, err } = await granted(argv, cwd);
      assert.equal(code, 0, `${argv.join(" ")}\n${out}${err}`);
      assert.notEqual(out + err, "");
    }
    assert.equal(await Deno.readTextFile(`${cwd}/out.jsonl`), lines.map((l) => `${l}\n`).join(""));
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
});

Deno.test("the grant holds nothing more: a process started for one file cannot read another", async () => {
  const cwd = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${cwd}/a.yaml`, "tools: {}\n");
    await Deno.writeTextFile(`${cwd}/b.yaml`, "tools: {}\n");
    const flags = cliPermissions(["policy", "validate", "a.yaml"], cwd);
    const output = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        "--no-remote",
        "--quiet",
        ...flags,
        MAIN,
        "policy",
        "validate",
        "b.yaml",
      ],
      cwd,
      stdin: "null",
    }).output();
    assert.equal(output.code, 1);
    assert.match(new TextDecoder().decode(output.stderr), /was not granted it/);
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
});

Deno.test("wrong usage prints one line and a next step on standard error, exit code 2", async () => {
  const { code, out, err } = await granted(["stauts"], Deno.cwd());
  assert.equal(code, 2);
  assert.equal(out, "");
  assert.equal(
    err,
    "error: unexpected option or argument: `stauts`; did you mean status?\ntry `aasm --help`\n",
  );
});
