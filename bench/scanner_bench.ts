/**
 * The scanner with its full rule set: how fast, and how well, beside gitleaks with its own rules and
 * one regular expression in JavaScript, over the same bytes in the same run.
 *
 * Speed is the best of several passes over a text; gitleaks is measured on one core (GOMAXPROCS=1)
 * through its stdin mode, the time of an empty run subtracted. Quality is counted on the labelled
 * corpus of `scanner_corpus/`, one file a sample for gitleaks.
 *
 * `deno task bench:scanner` prints two tables and writes `bench/results/scanner.json`. Needs gitleaks
 * in PATH (`go install github.com/zricethezav/gitleaks/v8@v8.30.1`); without it its rows are absent.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { createStreamRedactor } from "../core/scanner/stream/mod.ts";
import { DEFAULT_SCANNER, type Finding } from "../core/scanner/mod.ts";
import { cleanCorpus, dirtyText, makeCorpus, type Sample } from "./scanner_corpus/mod.ts";
import { countSamples, type Found, type Score, scoreOf } from "./scanner_corpus/score.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const MB = 1_000_000;
const PASSES = 5;
/** What gitleaks reads at once, in copies of a 1 MB text. */
const PEER_COPIES = 4;

/** The known prefixes as one expression: what one writes first. */
const BASELINE =
  /sk-ant-[\w-]{20,}|sk-[A-Za-z0-9]{20,}|sk-proj-[\w-]{20,}|(?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{50,}|xox[abpr]-[\w-]{10,}|xapp-[\w-]{20,}|sk_live_\w{16,}|rk_live_\w{16,}|AIza[\w-]{35}|GOCSPX-[\w-]{24,}|glpat-[\w-]{20}|npm_[A-Za-z0-9]{36}|pypi-AgE[\w-]{50,}|hf_[A-Za-z]{34}|dop_v1_[0-9a-f]{64}|SG\.[\w-]{22}\.[\w-]{43}|eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+|(?:postgres(?:ql)?|mysql|mongodb(?:\+srv)?|redis|amqp):\/\/[^\s"']+|-----BEGIN [A-Z ]*PRIVATE KEY-----|AccountKey=[A-Za-z0-9+/=]{40,}|hooks\.slack\.com\/services\/\S+|\b(?:\d[ -]?){13,19}\b|\b\d{3}-\d{2}-\d{4}\b|[\w.+-]+@[\w-]+\.[\w.]+/g;

interface SpeedRow {
  readonly text: string;
  readonly bytes: number;
  readonly scanner_mb_s: number;
  readonly stream_mb_s: number;
  readonly regex_mb_s: number;
  readonly gitleaks_mb_s?: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Megabytes a second of the fastest pass. */
function speed(bytes: number, pass: () => void): number {
  let best_ms = Infinity;
  const repeats = Math.max(1, Math.round(MB / bytes));
  for (let index = 0; index < PASSES; index++) {
    const start = performance.now();
    for (let repeat = 0; repeat < repeats; repeat++) pass();
    best_ms = Math.min(best_ms, (performance.now() - start) / repeats);
  }
  return Math.round(bytes / best_ms / 1_000);
}

async function gitleaks(args: readonly string[], input: Uint8Array): Promise<number> {
  const command = new Deno.Command("gitleaks", {
    args: [...args, "--no-banner", "--log-level", "error", "--exit-code", "0"],
    env: { GOMAXPROCS: "1" },
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  });
  const start = performance.now();
  const child = command.spawn();
  const writer = child.stdin.getWriter();
  await writer.write(input);
  await writer.close();
  const { code } = await child.status;
  if (code !== 0) throw new Error(`gitleaks ended with \`${code}\``);
  return performance.now() - start;
}

/** The time gitleaks takes to start and end, or undefined where it is not installed. */
async function gitleaksStart(): Promise<number | undefined> {
  try {
    await gitleaks(["stdin"], encoder.encode("nothing\n"));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const runs: number[] = [];
  for (let run = 0; run < 5; run++) {
    runs.push(await gitleaks(["stdin"], encoder.encode("nothing\n")));
  }
  return Math.min(...runs);
}

async function measure(
  name: string,
  text: string,
  start_ms: number | undefined,
): Promise<SpeedRow> {
  const bytes = encoder.encode(text);
  const row: SpeedRow = {
    text: name,
    bytes: bytes.length,
    scanner_mb_s: speed(bytes.length, () => DEFAULT_SCANNER.scan(text)),
    stream_mb_s: speed(bytes.length, () => {
      const redactor = createStreamRedactor({ scanner: DEFAULT_SCANNER });
      for (let at = 0; at < bytes.length; at += 65_536) {
        redactor.push(bytes.subarray(at, at + 65_536));
      }
      redactor.end();
    }),
    regex_mb_s: speed(bytes.length, () => [...text.matchAll(BASELINE)]),
  };
  if (start_ms === undefined || bytes.length < MB / 2) return row;
  const input = encoder.encode(`${text}\n`.repeat(PEER_COPIES));
  let best_ms = Infinity;
  for (let run = 0; run < 2; run++) {
    best_ms = Math.min(best_ms, await gitleaks(["stdin"], input) - start_ms);
  }
  return { ...row, gitleaks_mb_s: Math.round(input.length / best_ms / 100) / 10 };
}

/** Text of one kind, cut to a length in bytes at a character. */
function cut(text: string, bytes: number): string {
  return decoder.decode(encoder.encode(text).subarray(0, bytes)).replace(/\ufffd+$/, "");
}

async function measureSpeeds(start_ms: number | undefined): Promise<SpeedRow[]> {
  const clean = new Map(cleanCorpus(7, 14 * MB));
  const part = (name: string): string => clean.get(name) ?? "";
  const texts: readonly [string, string][] = [
    ["clean, English prose", part("en")],
    ["clean, Chinese and Japanese", (part("zh").slice(0, 200_000) + part("ja")).slice(0, 600_000)],
    ["clean, Arabic and Thai", part("ar").slice(0, 300_000) + part("th")],
    ["clean, source code", part("source code")],
    ["clean, JSON", part("json")],
    ["clean, log", part("log")],
    ["dirty, a secret every 1.5 KB", dirtyText(5, MB)],
  ];
  const rows: SpeedRow[] = [];
  for (const [name, text] of texts) {
    rows.push(await measure(`${name}, 1 MB`, cut(text, MB), start_ms));
    rows.push(await measure(`${name}, 32 KB`, cut(text, 32 * 1024), start_ms));
    console.error(`measured: ${name}`);
  }
  return rows;
}

interface Leak {
  readonly File: string;
  readonly Secret: string;
}

/** What gitleaks finds, by the index of the sample. */
async function peerFindings(corpus: readonly Sample[]): Promise<Map<number, string[]>> {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "scanner-bench-" });
  try {
    await Deno.mkdir(`${folder}/samples`);
    for (const [index, { text }] of corpus.entries()) {
      await Deno.writeTextFile(`${folder}/samples/${index}.txt`, `${text}\n`);
    }
    const report = `${folder}/report.json`;
    await gitleaks(["dir", `${folder}/samples`, "-f", "json", "-r", report], new Uint8Array());
    const found = new Map<number, string[]>();
    for (const { File, Secret } of JSON.parse(await Deno.readTextFile(report)) as Leak[]) {
      const index = Number(/(\d+)\.txt$/.exec(File)?.[1]);
      found.set(index, [...found.get(index) ?? [], Secret]);
    }
    return found;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Where a secret that gitleaks names stands; one it decoded counts as the value itself. */
function spanOf({ text, value }: Sample, secret: string): Found[number] {
  const at = text.indexOf(secret);
  if (at < 0) return value ?? { offset: 0, end: 0 };
  const offset = encoder.encode(text.slice(0, at)).length;
  return { offset, end: offset + encoder.encode(secret).length };
}

function isHeuristic(finding: Finding): boolean {
  return finding.source !== "locale" && finding.kind === "GenericHighEntropy" &&
    finding.detector === undefined;
}

interface QualityRow {
  readonly tool: string;
  readonly secrets: Score;
  readonly encoded: Score;
  readonly personal: Score;
  readonly per_kind: Readonly<Record<string, unknown>>;
}

async function measureQuality(with_peer: boolean): Promise<QualityRow[]> {
  const corpus = makeCorpus(1);
  const quality = (tool: string, found: (sample: Sample, index: number) => Found): QualityRow => {
    const groups = countSamples(corpus, found);
    return {
      tool,
      secrets: scoreOf(groups, ["secret", "near_miss", "pinned", "clean"]),
      encoded: scoreOf(groups, ["encoded"]),
      personal: scoreOf(groups, ["personal"]),
      per_kind: Object.fromEntries(groups),
    };
  };
  const rows = [
    quality("scanner, all findings", ({ text }) => DEFAULT_SCANNER.scan(text)),
    quality(
      "scanner, without bare entropy",
      ({ text }) => DEFAULT_SCANNER.scan(text).filter((finding) => !isHeuristic(finding)),
    ),
    quality(
      "one regular expression",
      (sample) => [...sample.text.matchAll(BASELINE)].map((match) => spanOf(sample, match[0])),
    ),
  ];
  if (with_peer) {
    const leaks = await peerFindings(corpus);
    rows.push(
      quality(
        "gitleaks",
        (sample, index) => (leaks.get(index) ?? []).map((secret) => spanOf(sample, secret)),
      ),
    );
  }
  return rows;
}

const percent = (value: number): string =>
  Number.isNaN(value) ? "-" : `${(value * 100).toFixed(1)} %`;

function print(speeds: readonly SpeedRow[], quality: readonly QualityRow[]): void {
  console.log("\n| Text | scanner MB/s | stream, redacting | one regex | gitleaks, 1 core |");
  console.log("|---|---|---|---|---|");
  for (const row of speeds) {
    const peer = row.gitleaks_mb_s === undefined
      ? "-"
      : `${row.gitleaks_mb_s} (${(row.scanner_mb_s / row.gitleaks_mb_s).toFixed(1)}x)`;
    console.log(
      `| ${row.text} | ${row.scanner_mb_s} | ${row.stream_mb_s} | ${row.regex_mb_s} | ${peer} |`,
    );
  }
  console.log(
    "\n| Tool | precision | recall | F1 | encoded secrets: recall | personal data: recall |",
  );
  console.log("|---|---|---|---|---|---|");
  for (const { tool, secrets, encoded, personal } of quality) {
    console.log(
      `| ${tool} | ${percent(secrets.precision)} | ${percent(secrets.recall)} | ` +
        `${percent(secrets.f1)} | ${percent(encoded.recall)} | ${percent(personal.recall)} |`,
    );
  }
}

const start_ms = await gitleaksStart();
const load = Deno.loadavg().map((value) => value.toFixed(1)).join(" ");
const speeds = await measureSpeeds(start_ms);
const quality = await measureQuality(start_ms !== undefined);
print(speeds, quality);
console.log(
  `\nload ${load}; gitleaks start subtracted: ${start_ms?.toFixed(0) ?? "not installed"} ms`,
);
await Deno.writeTextFile(
  `${ROOT}bench/results/scanner.json`,
  JSON.stringify(
    { deno: Deno.version.deno, load, gitleaks_start_ms: start_ms, speeds, quality },
    null,
    2,
  ) +
    "\n",
);
