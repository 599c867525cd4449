/**
 * A real log in memory, for tests: the files an audit directory would hold.
 *
 * @module
 */
import { createPrivateKey, type KeyObject } from "node:crypto";
import { type ChainHead, GENESIS, seal } from "./chain.ts";
import { formatVerifierKey, type NoteSigner, rawPublicKey, signTreeHead } from "./checkpoint.ts";
import { checkDraft, type EntryDraft, EVENT_TYPES, hash16 } from "./entry.ts";
import { TileBuilder } from "./tile_builder.ts";

/** An Ed25519 key from a seed byte: the same in every run. */
export function sampleKey(seed: number): KeyObject {
  const pkcs8 = new Uint8Array([
    ...Uint8Array.fromHex("302e020100300506032b657004220420"),
    ...new Uint8Array(32).fill(seed),
  ]);
  const pem = `-----BEGIN PRIVATE KEY-----\n${pkcs8.toBase64()}\n-----END PRIVATE KEY-----\n`;
  return createPrivateKey(pem);
}

/** A signer and the verifier key text that belongs to it. */
export function sampleSigner(
  seed = 7,
  name = "example.test/log",
): { signer: NoteSigner; verifier_key: string } {
  const signer = { name, private_key: sampleKey(seed) };
  const public_key = rawPublicKey(signer.private_key);
  return { signer, verifier_key: formatVerifierKey({ name, public_key }) };
}

/** A draft with every kind of field now and then. */
export function sampleDraft(i: number): EntryDraft {
  return {
    event_type: EVENT_TYPES[i % EVENT_TYPES.length] ?? "PolicyViolation",
    timestamp_ns: 1_714_222_134_000_000_000n + BigInt(i),
    agent_id: hash16(`agent-${i % 5}`),
    session_id: hash16(`trace-${i}`),
    payload: JSON.stringify({ action_type: i % 6, reason: `step ${i} "é"`, latency_us: i }),
    ...(i % 3 === 0 ? { team_id: `team-${i}`, org_id: "acme", depth: i % 4 } : {}),
    ...(i % 4 === 1 ? { root_agent_id: hash16("root"), parent_agent_id: hash16("parent") } : {}),
    ...(i % 5 === 2 ? { delegation_reason: "why", spawned_by_tool: "spawner" } : {}),
    ...(i % 7 === 3
      ? {
        credential_findings: [{
          kind: "AwsAccessKey",
          offset: BigInt(i),
          matched: "[REDACTED:AwsAccessKey]",
        }],
      }
      : {}),
    ...(i % 2 === 0 ? { policy_doc_id: `sha256:${"ab".repeat(32)}` } : {}),
  };
}

/** Lines of consecutive entries. */
export function sampleLines(drafts: readonly EntryDraft[], head: ChainHead = GENESIS): string[] {
  let at = head;
  return drafts.map((draft) => {
    const sealed = seal(checkDraft(draft), at);
    at = sealed.next;
    return sealed.line;
  });
}

/** Files of a log over given lines, by name, with a checkpoint over the first `covered`. */
export function filesOf(
  lines: readonly string[],
  signer: NoteSigner,
  covered = lines.length,
): Map<string, Uint8Array> {
  const encoder = new TextEncoder();
  const files = new Map<string, Uint8Array>();
  files.set("gateway-default.jsonl", encoder.encode(lines.map((line) => `${line}\n`).join("")));
  const builder = new TileBuilder();
  for (const line of lines.slice(0, covered)) builder.push(encoder.encode(line));
  for (const file of [...builder.takeComplete(), ...builder.partials()]) {
    files.set(`log/${file.path}`, file.bytes);
  }
  const head = { origin: signer.name, size: covered, root: builder.root() };
  files.set("log/checkpoint", encoder.encode(signTreeHead(head, signer)));
  return files;
}
