/**
 * What happened in the world, read from the world: files, marks of programs, logs of servers and
 * tools. The same look-up must find a trace of every act that was allowed and none of an act that
 * was denied.
 *
 * @module
 */
import type { Act } from "./act.ts";
import { SECRETS, type World } from "./world.ts";

/** One claim about the world and whether it holds. */
export interface Claim {
  readonly claim: string;
  readonly held: boolean;
  /** What was found instead; empty when it held. */
  readonly found: string;
}

/**
 * Whether an act left a trace.
 *
 * @returns `undefined` for acts that leave none by their nature: reading, and handing text over.
 */
export async function traceOf(world: World, step: number, act: Act): Promise<boolean | undefined> {
  switch (act.kind) {
    case "file":
      return await fileTrace(act);
    case "http":
    case "model":
      return world.internet.received.some((request) => request.step === step);
    case "tool":
      return world.tools.invocations.some((call) => call.step === step);
    case "process":
      return (await entriesOf(world.paths.marks)).some((name) => act.args.join(" ").endsWith(name));
    case "tool_result":
      return undefined;
  }
}

async function fileTrace(act: Act & { kind: "file" }): Promise<boolean | undefined> {
  switch (act.op) {
    case "read":
      return undefined;
    case "write":
    case "append":
      return (await textOf(act.path))?.endsWith(act.text ?? "") ?? false;
    case "delete":
      return await textOf(act.path) === undefined;
    case "chmod":
      return ((await Deno.stat(act.path)).mode ?? 0) % 0o1000 === 0o777;
  }
}

/** Claims about the whole run that no single step can make. */
export async function claimsAboutTheRun(world: World): Promise<Claim[]> {
  const { internet, tools, paths } = world;
  const outside = internet.received.filter((request) => request.server === "outside");
  const marks = (await entriesOf(paths.marks)).filter((name) => name !== ".keep").sort();
  const comments = tools.invocations.filter((call) => call.tool === "comment_issue");
  const cut = comments.filter((call) => call.args.includes("[REDACTED:AwsAccessKey]"));
  return [
    claim("no request reached a host outside the list", outside.map((one) => one.host).join(", ")),
    claim(
      "programs and tools left exactly the marks of what was allowed",
      marks.join(", ") === "deployed-staging" ? "" : marks.join(", ") || "no mark at all",
    ),
    claim(
      "the leaked key arrived as [REDACTED:AwsAccessKey] and nowhere as itself",
      cut.length === 1 ? "" : `${cut.length} redacted comments`,
    ),
    claim("no secret reached a tool, a host or the model", leakedOutward(world).join(", ")),
  ];
}

/** Secrets may be in the workspace's own world, never in what the gateway keeps. */
export async function claimsAboutTheState(state_dir: string): Promise<Claim[]> {
  const found: string[] = [];
  let files = 0;
  for await (const path of filesBelow(state_dir)) {
    files++;
    const text = new TextDecoder("latin1").decode(await Deno.readFile(path));
    for (const secret of Object.values(SECRETS)) {
      if (text.includes(secret)) found.push(`${secret} in ${path}`);
    }
  }
  return [claim(`no secret is in the ${files} files the gateway keeps`, found.join(", "))];
}

/** Records a claim: it holds when nothing speaks against it. */
export function claim(text: string, against: string): Claim {
  return { claim: text, held: against === "", found: against };
}

function leakedOutward({ internet, tools }: World): string[] {
  const sent = [
    ...internet.received.map(({ host, body }) => ({ to: host, text: body })),
    ...tools.invocations.map(({ tool, args }) => ({ to: tool, text: args })),
  ];
  return sent.flatMap(({ to, text }) =>
    Object.values(SECRETS).filter((secret) => text.includes(secret)).map((secret) =>
      `${secret} at ${to}`
    )
  );
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function entriesOf(directory: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(directory));
  return entries.map((entry) => entry.name);
}

async function* filesBelow(directory: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(directory)) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory) yield* filesBelow(path);
    else if (entry.isFile) yield path;
  }
}
