/**
 * `aasm policy test`: runs policy test files and says, for each broken promise, why.
 *
 * @module
 */
import { dirname, relative, resolve, sep } from "node:path";
import { LIMITS } from "../../core/limits.ts";
import { compilePolicySet, type PolicySet } from "../../core/policy/compile.ts";
import { formatProblem, type PolicyProblem } from "../../core/policy/position.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { CommandError, ExitCode } from "../exit_code.ts";
import { readFile } from "../files.ts";
import { loadPolicyFiles, loadPolicyPath } from "../policy_files.ts";
import type { PolicyTestFile } from "../policy_tests/case.ts";
import { loadPolicyTests } from "../policy_tests/load.ts";
import { type CaseResult, runCase } from "../policy_tests/run.ts";
import { painter } from "../render/color.ts";
import { explanationData, explanationText } from "../render/explanation.ts";
import { printable } from "../render/printable.ts";
import { type Data, writeReport } from "../render/report.ts";
import type { Session } from "../session.ts";
import type { Terminal } from "../terminal.ts";

/** What became of one file: its cases, or why none could run. */
type FileResult =
  | { readonly path: string; readonly results: readonly CaseResult[] }
  | { readonly path: string; readonly problems: readonly string[] };

/** `policy test`: 1 when any case fails, any file is bad, or there was nothing to run. */
export async function testPolicies(
  command: CommandNamed<"policy test">,
  session: Session,
): Promise<ExitCode> {
  const paths: string[] = [];
  for (const path of command.paths) paths.push(...await testFiles(path));
  if (paths.length === 0) {
    throw new CommandError(
      `no policy test in \`${command.paths.join(" ")}\``,
      ExitCode.FAILURE,
      "name a *.test.yaml file or a directory that holds some",
    );
  }
  const files: FileResult[] = [];
  for (const path of paths) {
    session.signal.throwIfAborted();
    files.push(await runFile(path));
  }
  writeReport(
    { data: dataOf(files), table: (terminal) => textOf(files, terminal) },
    session.flags.output,
    session.terminal,
  );
  return files.every(isGood) ? ExitCode.OK : ExitCode.FAILURE;
}

async function testFiles(path: string): Promise<string[]> {
  const info = await Deno.stat(path).catch(() => undefined);
  if (info?.isDirectory !== true) return [path];
  const names: string[] = [];
  for await (const entry of Deno.readDir(path)) {
    if (entry.name.endsWith(".test.yaml") && !entry.isDirectory) names.push(entry.name);
  }
  return names.sort().map((name) => `${path}/${name}`);
}

async function runFile(path: string): Promise<FileResult> {
  const bytes = await readFile(path, LIMITS.policy_file_bytes, "policy test");
  const loaded = loadPolicyTests(bytes);
  if (!loaded.ok) {
    const problems = loaded.problems.map((problem) => formatProblem(path, problem));
    if (loaded.omitted > 0) problems.push(`${path}: ${loaded.omitted} further problems not listed`);
    return { path, problems };
  }
  try {
    const policy = await policyUnderTest(path, loaded.file);
    return { path, results: loaded.file.cases.map((test) => runCase(test, policy)) };
  } catch (error) {
    if (error instanceof CommandError) return { path, problems: [error.message] };
    throw error;
  }
}

async function policyUnderTest(test_path: string, file: PolicyTestFile): Promise<PolicySet> {
  const base = dirname(test_path);
  const paths: string[] = [];
  for (const policy of file.policies) {
    const path = `${base}/${policy.value.replace(/^\.\//, "")}`;
    const below = relative(resolve(base), resolve(path));
    if (below === ".." || below.startsWith(`..${sep}`) || resolve(policy.value) === policy.value) {
      const problem: PolicyProblem = {
        field: "policy",
        message: `\`${policy.value}\` is outside the directory of its test file: move one of them`,
        line: policy.line,
        column: policy.column,
      };
      throw new CommandError(formatProblem(test_path, problem));
    }
    paths.push(path);
  }
  const [only] = paths;
  if (only !== undefined && paths.length === 1) {
    const { documents, mode } = await loadPolicyPath(only);
    return compilePolicySet(documents, { mode });
  }
  const { documents } = await loadPolicyFiles(paths);
  return compilePolicySet(documents, { mode: "directory" });
}

function isGood(file: FileResult): boolean {
  return "results" in file && file.results.every((result) => result.passed);
}

function countsOf(files: readonly FileResult[]) {
  const results = files.flatMap((file) => "results" in file ? file.results : []);
  const passed = results.filter((result) => result.passed).length;
  const unreadable = files.filter((file) => "problems" in file).length;
  return { passed, failed: results.length - passed, files: files.length, unreadable };
}

function dataOf(files: readonly FileResult[]): Data {
  return {
    ...countsOf(files),
    results: files.map((file) =>
      "problems" in file ? { file: file.path, problems: file.problems } : {
        file: file.path,
        cases: file.results.map((result) => ({
          name: result.test.name,
          line: result.test.at.line,
          passed: result.passed,
          ...(result.passed ? {} : {
            differences: result.differences,
            explanation: explanationData(result.explanation),
          }),
        })),
      }
    ),
  };
}

function textOf(files: readonly FileResult[], terminal: Terminal): string {
  const paint = painter(terminal.colors);
  const lines: string[] = [];
  for (const file of files) {
    lines.push(paint("strong", printable(file.path)));
    if ("problems" in file) {
      for (const problem of file.problems.flatMap((text) => text.split("\n"))) {
        lines.push(`  ${paint("bad", "error")}  ${printable(problem)}`);
      }
      continue;
    }
    for (const result of file.results) {
      const word = result.passed ? paint("good", "ok    ") : paint("bad", "FAILED");
      lines.push(`  ${word} ${printable(result.test.name)}`);
      if (result.passed) continue;
      lines.push(`         at ${printable(file.path)}:${result.test.at.line}`);
      for (const difference of result.differences) lines.push(`         ${printable(difference)}`);
      for (const line of explanationText(result.explanation, terminal).trim().split("\n")) {
        lines.push(line === "" ? "" : `         ${line}`);
      }
    }
  }
  const { passed, failed, unreadable } = countsOf(files);
  const bad = unreadable === 0 ? "" : `, ${unreadable} files unreadable`;
  const tone = failed + unreadable === 0 ? "good" : "bad";
  lines.push("", paint(tone, `${passed} passed, ${failed} failed${bad}`));
  return `${lines.join("\n")}\n`;
}
