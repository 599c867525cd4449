/**
 * Kills a loaded gateway again and again, and looks for a lost acknowledgement.
 *
 * Run alone: `deno run … tests/faults/kill_gateway.ts 200`.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { Channel, createClient, Metadata } from "../../grpc/mod.ts";
import { verifyLog } from "../../core/audit/verify/mod.ts";
import { PolicyService } from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import { startGatewayProcess } from "../harness/gateway_process.ts";

/** What a run of kills found. */
export interface KillReport {
  readonly rounds: number;
  readonly acknowledged: number;
  /** Acknowledged answers whose entry is not in the log, or not at its index. */
  readonly lost: readonly string[];
  readonly entries: number;
  /** Empty when chain and tree are valid. */
  readonly damage: string;
}

const POLICY = `
tools:
  read_file: { allow: true }
  "*": { allow: false }
`;
const IN_FLIGHT = 16;

/**
 * Runs `rounds` rounds of: start, load with calls, SIGKILL at a random moment. Then starts once
 * more, stops gracefully and checks every acknowledgement against the log.
 *
 * @param directory Empty directory for state and audit log.
 */
export async function killGateway(
  rounds: number,
  directory: string,
  progress: (round: number, acknowledged: number) => void = () => {},
): Promise<KillReport> {
  await Deno.writeTextFile(`${directory}/policy.yaml`, POLICY);
  const flags = [
    "--policy",
    "policy.yaml",
    "--state-dir",
    "state",
    "--checkpoint-interval-ms",
    "50",
  ];
  const acknowledged = new Map<bigint, string>();
  for (let round = 0; round < rounds; round++) {
    const gateway = await startGatewayProcess(flags, directory);
    const load = loadUntilBroken(gateway.address, round, acknowledged);
    await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 300));
    await gateway.kill();
    await load;
    progress(round + 1, acknowledged.size);
  }
  const last = await startGatewayProcess(flags, directory);
  const verifier_key = / key (\S+)$/m.exec(last.log())?.[1] ?? "";
  await last.stop();
  return await inspect(rounds, `${directory}/state/audit`, verifier_key, acknowledged);
}

async function loadUntilBroken(
  address: string,
  round: number,
  acknowledged: Map<bigint, string>,
): Promise<void> {
  const channel = new Channel(address);
  const client = createClient(PolicyService, channel);
  let broken = false;
  const worker = async (lane: number) => {
    for (let call = 0; !broken; call++) {
      const traceId = `r${round}-l${lane}-c${call}`;
      try {
        await client.checkAction({
          agentId: { agentId: "agent-1" },
          traceId,
          actionType: 2,
          context: {
            action: { case: "toolCall", value: { toolName: lane % 2 ? "read_file" : "bash" } },
          },
        }, {
          timeout_ms: 5_000,
          onTrailers: (trailers: Metadata) => {
            acknowledged.set(BigInt(trailers.get("aasm-audit-index") ?? -1), traceId);
          },
        });
      } catch {
        broken = true;
      }
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, (_, lane) => worker(lane)));
  await channel.close();
}

async function inspect(
  rounds: number,
  audit: string,
  verifier_key: string,
  acknowledged: ReadonlyMap<bigint, string>,
): Promise<KillReport> {
  const lines = (await Deno.readTextFile(`${audit}/gateway-default.jsonl`)).trimEnd().split("\n");
  const lost: string[] = [];
  for (const [index, trace_id] of acknowledged) {
    const line = lines[Number(index)];
    const payload = line === undefined ? undefined : JSON.parse(JSON.parse(line).payload);
    if (payload?.trace_id !== trace_id) lost.push(`${index}: ${trace_id}`);
  }
  const report = await verifyLog({
    read: (name) => Deno.readFile(`${audit}/${name}`).catch(() => undefined),
  }, { verifier_key });
  return {
    rounds,
    acknowledged: acknowledged.size,
    lost,
    entries: lines.length,
    damage: report.ok
      ? ""
      : JSON.stringify(report, (_, value) => typeof value === "bigint" ? String(value) : value),
  };
}

if (import.meta.main) {
  const rounds = Number(Deno.args[0] ?? 200);
  const directory = await Deno.makeTempDir({ prefix: "aasm-kill-" });
  const report = await killGateway(rounds, directory, (round, acked) => {
    if (round % 10 === 0) console.error(`${round}/${rounds} kills, ${acked} acknowledged`);
  });
  console.log(
    `${report.rounds} kills: ${report.acknowledged} acknowledged, ${report.lost.length} lost, ` +
      `${report.entries} entries, chain and tree ${
        report.damage === "" ? "valid" : `DAMAGED: ${report.damage}`
      }`,
  );
  await Deno.remove(directory, { recursive: true });
  Deno.exit(report.lost.length === 0 && report.damage === "" && report.acknowledged > 0 ? 0 : 1);
}
