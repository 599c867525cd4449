/**
 * A scripted coding agent under the real gateway: it asks before each act, acts for real, and at
 * the end the world and the log are asked what happened.
 *
 * Permissions (`deno task demo`): net 127.0.0.1 for the gateway and the stand-ins; run this Deno
 * for the gateway, `sh` and `touch` for what the agent starts; read this repository and /etc/passwd;
 * read and write /tmp. So the agent could do all that it is denied: only the gateway's answers stop it.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { Channel } from "../../grpc/mod.ts";
import { type Claim, claim, claimsAboutTheRun, claimsAboutTheState, traceOf } from "./evidence.ts";
import { Gate } from "./gate.ts";
import { type GatewayProcess, startGateway } from "./gateway_process.ts";
import { register } from "./identity.ts";
import { Operator } from "./operator.ts";
import { JsonReporter, type Reporter, TextReporter } from "./report.ts";
import { type Outcome, walk } from "./run.ts";
import { modelAnswer, script } from "./steps.ts";
import { claimsAboutTheLog } from "./tamper.ts";
import { listTools } from "./tool_server.ts";
import { createWorld, type World } from "./world.ts";

const HELP = `coding agent demo: a scripted agent under the real gateway

usage: deno task demo [--output text|json] [--policy FILE] [--keep]

  --output text|json   one line a step, or one JSON document at the end (default text)
  --policy FILE        another policy, to see which expectations it breaks (default: the demo's own);
                       \`/workspace\` in it becomes the agent's checkout
  --keep               leave the demo's directory in place and say where: its log, facts and state can be
                       looked at with \`aasm\`, its gateway started again on them
  --help

example: deno task demo --policy policies/audit-only.yaml
exit:    0 every step and every claim was as expected, 1 not so, 2 wrong usage
`;

async function main(argv: readonly string[]): Promise<number> {
  const options = readArguments(argv);
  if (options === "help") {
    console.log(HELP.trimEnd());
    return 0;
  }
  if (typeof options === "string") {
    console.error(`error: ${options}; see --help`);
    return 2;
  }
  const { output, policy, keep } = options;
  const write = (text: string) => console.log(text);
  const reporter = output === "json"
    ? new JsonReporter(write)
    : new TextReporter(write, Deno.stdout.isTerminal() && !Deno.noColor);
  const root = await newDirectory();
  // The gateway ends by itself when this process does; the directory does not.
  Deno.addSignalListener("SIGINT", () => {
    Deno.removeSync(root, { recursive: true });
    Deno.exit(130);
  });
  try {
    return await demonstrate(root, policy, reporter) ? 0 : 1;
  } catch (error) {
    console.error(`error: the demo broke off\n  ${error instanceof Error ? error.message : error}`);
    return 1;
  } finally {
    Deno.chdir(new URL(".", import.meta.url));
    if (keep) console.error(`kept: ${root} (state: ${root}/state)`);
    else await Deno.remove(root, { recursive: true });
  }
}

/** Where the demo lives. A short name without random letters: long ones look like secrets. */
async function newDirectory(): Promise<string> {
  for (let attempt = 0;; attempt++) {
    const path = `/tmp/demo-${Deno.pid}-${attempt}`;
    try {
      await Deno.mkdir(path, { mode: 0o700 });
      return path;
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists) || attempt === 99) throw error;
    }
  }
}

interface Options {
  readonly output: "text" | "json";
  readonly policy: string | URL;
  /** Leave the directory in place. */
  readonly keep: boolean;
}

/** The options, `help`, or what is wrong with the command line. */
function readArguments(argv: readonly string[]): Options | string {
  let output: Options["output"] = "text";
  let policy: Options["policy"] = new URL("policy.yaml", import.meta.url);
  const keep = argv.includes("--keep");
  const words = argv.filter((word) => word !== "--keep")
    .flatMap((word) => /^--[a-z]+=/.test(word) ? splitOnce(word, "=") : [word]);
  for (let at = 0; at < words.length; at += 2) {
    const [flag, value] = words.slice(at, at + 2);
    if (flag === "--help" || flag === "-h") return "help";
    if (value === undefined) return `\`${flag}\` needs a value`;
    if (flag === "--output" && (value === "text" || value === "json")) output = value;
    else if (flag === "--policy") policy = value;
    else {return `cannot use \`${flag} ${value}\`: expected --output text|json, --policy FILE or --keep`;}
  }
  return { output, policy, keep };
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return [text.slice(0, at), text.slice(at + separator.length)];
}

/** Runs everything in `root`; true when all was as expected. */
async function demonstrate(
  root: string,
  policy: string | URL,
  reporter: Reporter,
): Promise<boolean> {
  const policy_text = await Deno.readTextFile(policy);
  const world = await createWorld(root, modelAnswer);
  let gateway: GatewayProcess | undefined;
  try {
    const { paths } = world;
    await Deno.writeTextFile(paths.policy, policy_text.replaceAll("/workspace", paths.workspace));
    // Where an agent stands: a relative path means a file of the checkout.
    Deno.chdir(paths.workspace);
    gateway = await startGateway(world.paths.policy, world.paths.state);
    const { outcomes, agent, verifier_key } = await runAgent(world, gateway, reporter);
    const exit_code = await gateway.stop();
    const claims = [
      ...await claimsAboutSteps(world, outcomes),
      ...await claimsAboutTheRun(world),
      claim("the gateway stopped cleanly", exit_code === 0 ? "" : `exit code ${exit_code}`),
      ...await claimsAboutTheState(world.paths.state),
      ...await claimsAboutTheLog(
        `${world.paths.state}/audit`,
        `${root}/copies`,
        verifier_key,
        entryToForge(outcomes),
      ),
    ];
    for (const one of claims) reporter.claim(one);
    const ok = claims.every((one) => one.held) &&
      outcomes.every((outcome) => outcome.problems.length === 0);
    const { address, permissions } = gateway;
    reporter.end({ gateway: { address, permissions }, agent, outcomes, claims, ok });
    return ok;
  } finally {
    await gateway?.kill();
    await world.stop();
  }
}

async function runAgent(
  world: World,
  { address, permissions }: GatewayProcess,
  reporter: Reporter,
): Promise<{ outcomes: Outcome[]; agent: string; verifier_key: string }> {
  const channel = new Channel(address);
  try {
    const agent = await register(channel, "coding agent", await listTools(world.tools));
    const operator = await Operator.signIn(channel, world.paths.state);
    const { agentId } = agent.triple;
    reporter.start({ address, permissions }, agentId, world.paths.root);
    const gate = new Gate(channel, agent, "demo-session");
    const onOutcome = (outcome: Outcome) => reporter.step(outcome);
    const outcomes = await walk({ world, gate, operator, onOutcome }, script(world.paths));
    return { outcomes, agent: agentId, verifier_key: await operator.verifierKey() };
  } finally {
    await channel.close();
  }
}

/** Looked up after the last step, so that nothing has time to hide. */
async function claimsAboutSteps(world: World, outcomes: readonly Outcome[]): Promise<Claim[]> {
  const stopped = outcomes.filter((outcome) => outcome.act !== undefined && !outcome.acted);
  const traces: string[] = [];
  let looked_up = 0;
  for (const { number, act } of stopped) {
    const trace = act === undefined ? undefined : await traceOf(world, number, act);
    if (trace !== undefined) looked_up++;
    if (trace === true) traces.push(`step ${number}`);
  }
  return [claim(
    `${stopped.length} acts were stopped; none of the ${looked_up} that would leave a trace left one`,
    traces.join(", "),
  )];
}

/** The denial that a forger would want to be gone: sending a file to a stranger. */
function entryToForge(outcomes: readonly Outcome[]): number | undefined {
  const denied = outcomes.findLast(({ act, answer }) =>
    act?.kind === "http" && answer?.verdict === "deny"
  );
  const index = denied?.answer?.audit_index;
  return index === undefined ? undefined : Number(index);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
