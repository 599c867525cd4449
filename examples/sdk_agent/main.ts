/**
 * An agent of the Vercel AI SDK, with a scripted model, governed by the SDK under the real gateway:
 * blocked, redacted, held for a person, cut off from its gateway, and back again.
 *
 * Permissions (`deno task demo:sdk`): net 127.0.0.1 for the gateway, and the runtime's socket; run this
 * Deno for both; read this repository, the package cache and /tmp; write /tmp; its own user and the machine's name, which
 * the framework wants. No environment variable.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { Channel } from "../../grpc/mod.ts";
import type { Notice } from "../../sdk/mod.ts";
import { type GatewayProcess, startGateway } from "../coding_agent/gateway_process.ts";
import { connect, type Way } from "./connection.ts";
import { checkTheLog, untilArrived } from "./evidence.ts";
import { Person } from "./governance.ts";
import { type Check, tell } from "./story.ts";

const HELP = `SDK demo: an agent of a real framework, governed by the SDK

usage: deno task demo:sdk [--output text|json] [--policy FILE] [--through runtime|gateway] --directory DIR

  --output text|json   a line a claim, or one JSON document at the end (default text)
  --policy FILE        another policy, to see which claims it breaks (default: the demo's own)
  --through WAY        the agent asks a runtime beside it, or the gateway itself (default runtime)
  --directory DIR      an empty directory to work in, removed at the end (the task makes one); where the
                       runtime's socket is must be granted when the demo starts
  --help

example: deno task demo:sdk --output json
exit:    0 every claim held, 1 not so, 2 wrong usage
`;

async function main(argv: readonly string[]): Promise<number> {
  const options = optionsOf(argv);
  if (options === "help") {
    console.log(HELP.trimEnd());
    return 0;
  }
  if (options === undefined) {
    console.error(
      `error: cannot use \`${
        argv.join(" ")
      }\`: expected --directory DIR and, if any, --output text|json, --policy FILE, --through runtime|gateway; see --help`,
    );
    return 2;
  }
  const { output, directory } = options;
  const checks: Check[] = [];
  const show = output === "json" ? () => {} : printer(Deno.stdout.isTerminal() && !Deno.noColor);
  try {
    await demonstrate(directory, options, (check) => {
      checks.push(check);
      show(check);
    });
  } catch (error) {
    console.error(`error: the demo broke off\n  ${error instanceof Error ? error.message : error}`);
    return 1;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  const failed = checks.filter(({ held }) => !held).length;
  if (output === "json") console.log(JSON.stringify({ ok: failed === 0, checks }, null, 2));
  else console.log(failed === 0 ? "\nevery claim held" : `\n${failed} claims did not hold`);
  return failed === 0 ? 0 : 1;
}

interface Options {
  readonly output: "text" | "json";
  readonly policy: string;
  readonly through: Way;
  readonly directory: string;
}

/** The options, `help`, or nothing when the command line is not understood. */
function optionsOf(argv: readonly string[]): Options | "help" | undefined {
  let output: Options["output"] = "text";
  let policy = new URL("policy.yaml", import.meta.url).pathname;
  let through: Way = "runtime";
  let directory: string | undefined;
  const words = argv.flatMap((word) => word.split("=", 2));
  for (let at = 0; at < words.length; at += 2) {
    const [flag, value] = words.slice(at, at + 2);
    if (flag === "--help" || flag === "-h") return "help";
    if (flag === "--output" && (value === "text" || value === "json")) output = value;
    else if (flag === "--policy" && value !== undefined) policy = value;
    else if (flag === "--directory" && value !== undefined) directory = value;
    else if (flag === "--through" && (value === "runtime" || value === "gateway")) through = value;
    else return undefined;
  }
  return directory === undefined ? undefined : { output, policy, through, directory };
}

async function demonstrate(
  directory: string,
  { policy, through }: Options,
  onCheck: (check: Check) => void,
): Promise<void> {
  const state_dir = `${directory}/state`;
  const world = `${directory}/world`;
  await Deno.mkdir(world);
  let gateway: GatewayProcess = await startGateway(policy, state_dir);
  const channel = new Channel(gateway.address);
  try {
    let onNotice: (notice: Notice) => void = () => {};
    const tools = ["get_issue", "comment_issue", "read_settings", "deploy", "delete_repository"];
    const { agent, runtime } = await connect(
      ...[through, gateway.address, directory, tools] as const,
      (notice) => onNotice(notice),
    );
    await using _ends = agent;
    const person = await Person.signIn(channel, state_dir);
    const verifier_key = await person.verifierKey();
    const stage = {
      ...{ directory: world, policy, state_dir, agent, person, gateway, onCheck },
      listen: (listener: typeof onNotice) => void (onNotice = listener),
    };
    try {
      const told = await tell(stage);
      // Events that were kept while the gateway was away are delivered before the agent ends.
      await agent.shutdown();
      await untilArrived(state_dir, told);
      await runtime?.stop();
      await stage.gateway.stop();
      const kept_in = [state_dir, ...through === "runtime" ? [`${directory}/runtime`] : []];
      for (const check of await checkTheLog(state_dir, verifier_key, told, kept_in)) onCheck(check);
    } finally {
      gateway = stage.gateway;
      await runtime?.kill();
    }
  } finally {
    await channel.close();
    await gateway.kill();
  }
}

/** Controls, line separators and text-direction marks: what a model or tool wrote must not steer. */
const STEERING = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/gu;
const SEEN_CHARS_MAX = 200;

function printer(colours: boolean): (check: Check) => void {
  const paint = (code: number, text: string) => colours ? `\x1b[${code}m${text}\x1b[0m` : text;
  let last = "";
  return ({ chapter, claim, held, seen }) => {
    if (chapter !== last) console.log(`${last === "" ? "" : "\n"}${paint(1, chapter)}`);
    last = chapter;
    console.log(`  ${held ? paint(32, "✓") : paint(31, "✗")} ${claim}`);
    console.log(paint(2, `      ${seen.replaceAll(STEERING, "·").slice(0, SEEN_CHARS_MAX)}`));
  };
}

if (import.meta.main) {
  const code = await main(Deno.args);
  // The task makes the directory before it is known what for.
  const at = Deno.args.indexOf("--directory");
  if (at >= 0) await Deno.remove(Deno.args[at + 1] ?? "").catch(() => {});
  Deno.exit(code);
}
