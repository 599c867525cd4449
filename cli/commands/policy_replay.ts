/**
 * `aasm policy replay | simulate | learn`.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { learnPolicy } from "../../core/replay/learn.ts";
import { ReplayRun } from "../../core/replay/replay.ts";
import type { ReplayPolicy } from "../../core/replay/side.ts";
import { uncarriedLimits } from "../../core/replay/spend.ts";
import { explanationFromWire } from "../../proto/mapping.ts";
import { policy, replay } from "../../proto/mod.ts";
import { replayEvents } from "../../proto/replay.ts";
import { actionMessage } from "../action_message.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import type { Since } from "../arguments/values.ts";
import { CommandError, ExitCode } from "../exit_code.ts";
import { readFile, wordsOrFile } from "../files.ts";
import { withGateway } from "../gateway_connection.ts";
import { factsDirectoryOf, openFactsDirectory } from "../local_facts_directory.ts";
import { listPolicyFiles, loadPolicyPath } from "../policy_files.ts";
import { painter } from "../render/color.ts";
import { explanationData } from "../render/explanation.ts";
import { printable } from "../render/printable.ts";
import { replayData, replayText, type ReplayTold } from "../render/replay.ts";
import { type Data, writeReport } from "../render/report.ts";
import { verdictText } from "../render/verdict.ts";
import type { Session } from "../session.ts";
import { LIMITS } from "../../core/limits.ts";
import { resultContent } from "./result_content.ts";

/** `policy replay`: 0, or 7 with `--fail-on-flip` when anything differs or cannot be decided. */
export async function replayPolicy(
  command: CommandNamed<"policy replay">,
  session: Session,
): Promise<ExitCode> {
  const offline = factsDirectoryOf(command);
  const told = offline === undefined
    ? await replayRemotely(command, session)
    : await replayLocally(command, offline, session);
  writeReport(
    { data: replayData(told), table: (terminal) => replayText(told, terminal) },
    session.flags.output,
    session.terminal,
  );
  const { flipped, undecided } = told.summary;
  return command.fail_on_flip && flipped + undecided > 0n ? ExitCode.FOUND : ExitCode.OK;
}

async function replayRemotely(
  command: CommandNamed<"policy replay">,
  session: Session,
): Promise<ReplayTold> {
  const request = {
    proposed: await policyTexts(command.proposed),
    ...(command.base === undefined ? {} : { base: await policyTexts(command.base) }),
    sinceUnixMs: BigInt(sinceMs(command.since, session)),
    untilUnixMs: BigInt(command.until ?? 0),
  };
  return await withGateway(session, async (gateway) => {
    const told = new Telling();
    const stream = gateway.replay.replay(request, await gateway.operatorStream());
    for await (const event of stream) {
      told.hear(event);
      if (event.event.case === "progress" && session.terminal.interactive) {
        const { decided, flipped } = event.event.value;
        session.terminal.err(`\r${decided} decided, ${flipped} flips`);
      }
    }
    if (session.terminal.interactive) session.terminal.err("\r\x1b[K");
    return told.finished();
  });
}

const HOUR_MS = 3_600_000;

async function replayLocally(
  command: CommandNamed<"policy replay">,
  directory: NonNullable<ReturnType<typeof factsDirectoryOf>>,
  session: Session,
): Promise<ReplayTold> {
  const proposed = await loadPolicyPath(command.proposed);
  const base = await offlineBase(command.base);
  const notes = uncarriedLimits([...base.documents, ...proposed.documents]);
  const batches = await openFactsDirectory(directory, (note) => notes.push(note));
  const since_ms = sinceMs(command.since, session);
  const until_ms = command.until ?? session.now_ms() + 1;
  const run = new ReplayRun({ since_ms, until_ms, base, proposed });
  const carries = [...base.documents, ...proposed.documents].some((document) =>
    document.budget !== undefined || document.rate_limits !== undefined
  );
  const from_ms = since_ms - (carries ? 31 * 24 : 1) * HOUR_MS;
  const started_ms = performance.now();
  for await (const { facts, bytes } of batches(from_ms)) {
    session.signal.throwIfAborted();
    run.feed({ facts: facts.filter((fact) => fact.at_ms >= from_ms), bytes });
  }
  const seconds = Math.max(0.001, (performance.now() - started_ms) / 1_000);
  const told = new Telling();
  const report = run.report();
  for (const event of replayEvents(report, notes, 2 * run.decided / seconds)) told.hear(event);
  return told.finished();
}

async function offlineBase(path: string | undefined): Promise<ReplayPolicy> {
  if (path !== undefined) return await loadPolicyPath(path);
  throw new CommandError(
    "--base is missing: without a gateway nobody knows the policy in force",
    ExitCode.USAGE,
    "name the policy file or directory that was in force",
  );
}

/** Collects what a replay tells; one that ends without its summary did not finish. */
class Telling {
  readonly #flips: replay.ReplayDifference[] = [];
  readonly #undecidable: replay.ReplayDifference[] = [];
  readonly #notes: string[] = [];
  #summary: replay.ReplaySummary | undefined;

  hear({ event }: replay.ReplayEvent): void {
    switch (event.case) {
      case "flip":
        this.#flips.push(event.value);
        return;
      case "undecidable":
        this.#undecidable.push(event.value);
        return;
      case "note":
        this.#notes.push(event.value);
        return;
      case "summary":
        this.#summary = event.value;
    }
  }

  finished(): ReplayTold {
    const summary = this.#summary;
    if (summary === undefined) {
      throw new CommandError("the replay ended before its summary: nothing can be said of it");
    }
    const [flips, undecidable, notes] = [this.#flips, this.#undecidable, this.#notes];
    return { flips, undecidable, notes, summary };
  }
}

function sinceMs(since: Since, session: Session): number {
  return "at_ms" in since ? since.at_ms : Math.max(0, session.now_ms() - since.ago_ms);
}

/** The files of a policy as they stand, for the gateway to load; read whole, judged there. */
async function policyTexts(path: string): Promise<{
  readonly singleFile: boolean;
  readonly documents: { readonly file: string; readonly content: Uint8Array }[];
}> {
  const listing = await listPolicyFiles(path);
  const documents = [];
  for (const file of listing.paths) {
    documents.push({ file, content: await readFile(file, LIMITS.policy_file_bytes, "policy") });
  }
  if (documents.length === 0) throw new CommandError(`\`${path}\` holds no policy file`);
  return { singleFile: listing.mode === "single_file", documents };
}

/** `policy simulate`: 0 allow or redact, 3 deny, 4 approval. */
export async function simulatePolicy(
  command: CommandNamed<"policy simulate">,
  session: Session,
): Promise<ExitCode> {
  const { type, context } = actionMessage(command.action, await resultContent(command.action));
  const { agent, org, team } = command;
  const request = create(policy.CheckActionRequestSchema, {
    agentId: { agentId: agent ?? "", orgId: org ?? "", teamId: team ?? "" },
    credentialToken: command.token === undefined
      ? ""
      : await wordsOrFile(command.token, "credential token"),
    traceId: command.trace ?? "simulated",
    actionType: type,
    context,
  });
  const proposed = command.proposed === undefined ? undefined : await policyTexts(command.proposed);
  const answer = await withGateway(
    session,
    async (gateway) =>
      await gateway.replay.simulate(
        { request, ...(proposed === undefined ? {} : { proposed }) },
        await gateway.operator(),
      ),
  );
  const read = answer.explanation === undefined
    ? undefined
    : explanationFromWire(answer.explanation);
  const explanation = read?.ok === true ? read.explanation : undefined;
  const note = answer.state === "live"
    ? "with the spend and rate windows of this moment; nothing was taken"
    : "as a first call: nothing spent, every rate window full";
  writeReport(
    {
      data: {
        outcome: answer.outcome,
        reason: answer.reason,
        state: answer.state,
        explanation: explanation === undefined ? null : explanationData(explanation),
      },
      table: (terminal) =>
        verdictText({
          verdict: answer.outcome,
          reason: answer.reason,
          facts: [],
          explanation,
          notes: [note],
        }, terminal),
    },
    session.flags.output,
    session.terminal,
  );
  if (answer.outcome === "allow" || answer.outcome === "redact") return ExitCode.OK;
  return answer.outcome === "require_approval" ? ExitCode.PENDING : ExitCode.DENIED;
}

/** What learning gave, wherever it ran. */
interface Learned {
  readonly yaml: string;
  readonly left_out: readonly {
    readonly what: string;
    readonly count: bigint;
    readonly why: string;
  }[];
  readonly left_out_more: bigint;
  readonly covered: bigint;
  readonly facts: bigint;
  readonly notes: readonly string[];
}

/** `policy learn`: the policy on standard output, or in a file; the rest on standard error. */
export async function learnFromFacts(
  command: CommandNamed<"policy learn">,
  session: Session,
): Promise<ExitCode> {
  const offline = factsDirectoryOf(command);
  if (offline === undefined && command.base !== undefined) {
    throw new CommandError(
      "--base is for --facts: the gateway knows the policy in force",
      ExitCode.USAGE,
    );
  }
  const learned = offline === undefined
    ? await learnRemotely(command, session)
    : await learnLocally(command, offline, session);
  if (command.output_file !== undefined) await writeNew(command.output_file, learned.yaml);
  if (session.flags.output !== "table") {
    writeReport(
      { data: learnedData(learned), table: () => "" },
      session.flags.output,
      session.terminal,
    );
    return ExitCode.OK;
  }
  const { terminal } = session;
  if (command.output_file === undefined) terminal.out(learned.yaml);
  tellLeftOut(learned, session);
  return ExitCode.OK;
}

/** What goes with the policy and is not part of it: on standard error, so that a pipe gets the YAML. */
function tellLeftOut(learned: Learned, { terminal }: Session): void {
  const paint = painter(terminal.colors);
  terminal.err(`${learned.covered} of ${learned.facts} recorded actions are allowed by it\n`);
  for (const { what, count, why } of learned.left_out) {
    terminal.err(`${paint("caution", "left out:")} ${count} × ${printable(`${what}: ${why}`)}\n`);
  }
  if (learned.left_out_more > 0n) {
    terminal.err(`left out: ${learned.left_out_more} further kinds, not listed\n`);
  }
  for (const note of learned.notes) terminal.err(`note: ${printable(note)}\n`);
}

async function learnRemotely(
  command: CommandNamed<"policy learn">,
  session: Session,
): Promise<Learned> {
  const answer = await withGateway(
    session,
    async (gateway) =>
      await gateway.replay.learn({
        sinceUnixMs: BigInt(sinceMs(command.since, session)),
        untilUnixMs: BigInt(command.until ?? 0),
        agent: command.agent ?? "",
      }, await gateway.operatorStream()),
  );
  const { yaml, covered, facts, notes } = answer;
  return {
    yaml,
    covered,
    facts,
    notes,
    left_out: answer.leftOut,
    left_out_more: answer.leftOutMore,
  };
}

async function learnLocally(
  command: CommandNamed<"policy learn">,
  directory: NonNullable<ReturnType<typeof factsDirectoryOf>>,
  session: Session,
): Promise<Learned> {
  const base = await offlineBase(command.base);
  const notes: string[] = [];
  const batches = await openFactsDirectory(directory, (note) => notes.push(note));
  const since_ms = sinceMs(command.since, session);
  const learned = await learnPolicy({
    facts: () => batches(since_ms),
    since_ms,
    until_ms: command.until ?? session.now_ms() + 1,
    base,
    ...(command.agent === undefined ? {} : { agent: command.agent }),
    breathe: () => Promise.resolve(),
  });
  return {
    yaml: learned.yaml,
    left_out: learned.left_out.map((one) => ({ ...one, count: BigInt(one.count) })),
    left_out_more: BigInt(learned.left_out_more),
    covered: BigInt(learned.covered),
    facts: BigInt(learned.facts),
    notes: [...notes, ...learned.notes],
  };
}

function learnedData(learned: Learned): Data {
  const { yaml, left_out, left_out_more, covered, facts, notes } = learned;
  return {
    yaml,
    covered,
    facts,
    left_out: left_out.map(({ what, count, why }) => ({ what, count, why })),
    left_out_more,
    notes,
  };
}

async function writeNew(path: string, text: string): Promise<void> {
  try {
    await Deno.writeTextFile(path, text, { createNew: true, mode: 0o600 });
  } catch (error) {
    const why = error instanceof Deno.errors.AlreadyExists
      ? "it exists already"
      : error instanceof Error
      ? error.message
      : String(error);
    throw new CommandError(
      `cannot write \`${path}\`: ${why}`,
      ExitCode.FAILURE,
      "name another file with --out",
    );
  }
}
