/**
 * What looks like a secret to a careless rule and is none.
 *
 * @module
 */
import { ALNUM, base64, DIGITS, HEX, LOWER, Random, UPPER } from "./random.ts";

/** One kind of text that holds no secret. */
export interface NearMiss {
  readonly name: string;
  readonly make: (random: Random) => string;
  /** Contract `interception` §2.6 and §2.11 pin that entropy flags this form. */
  readonly pinned?: true;
}

const uuid = (r: Random): string =>
  `${r.chars(HEX, 8)}-${r.chars(HEX, 4)}-4${r.chars(HEX, 3)}-a${r.chars(HEX, 3)}-${
    r.chars(HEX, 12)
  }`;

/** Every kind of near miss. */
export const NEAR_MISSES: readonly NearMiss[] = [
  {
    name: "words with sk-",
    make: (r) => `the task-management-${r.chars(LOWER, 6)} and risk-assessment-overview page`,
  },
  {
    name: "Asia and akia",
    make: (r) => `ASIAN MARKETS AND ASIA${r.chars(LOWER, 12)} sales in Asia, Akiatown`,
  },
  {
    name: "short tokens",
    make: (r) => `set glpat-${r.chars(LOWER, 4)} and hf_hub and npm_config_${r.chars(LOWER, 6)}`,
  },
  {
    name: "names of variables",
    make: (r) => `process.env.STRIPE_SECRET_KEY_${r.chars(UPPER, 4)} ?? config.githubToken`,
  },
  {
    name: "placeholders",
    make: (r) => `AWS_SECRET_ACCESS_KEY=<your-secret-key-${r.chars(LOWER, 3)}> API_TOKEN=\${TOKEN}`,
  },
  { name: "uuid", make: (r) => `request id ${uuid(r)} done` },
  { name: "git commit", make: (r) => `commit ${r.chars(HEX, 40)} Merge branch main` },
  { name: "md5", make: (r) => `md5sum: ${r.chars(HEX, 32)}  archive.tar.gz` },
  {
    name: "mac address",
    make: (r) =>
      `ether ${Array.from({ length: 6 }, () => r.chars(HEX, 2)).join(":")} txqueuelen 1000`,
  },
  {
    name: "card with a wrong digit",
    make: (r) => `ref 4532 0151 1283 036${r.text(["0", "1", "2", "3", "4", "5", "7", "8", "9"])}`,
  },
  {
    name: "time stamps",
    make: (r) => `ts=17${r.chars(DIGITS, 11)} took 0.${r.chars(DIGITS, 17)}s`,
  },
  {
    name: "phone and versions",
    make: (r) => `v${r.below(20)}.${r.below(90)}.${r.below(900)} build 2024${r.chars(DIGITS, 4)}`,
  },
  {
    name: "ssn never issued",
    make: (r) => `000-${10 + r.below(89)}-${r.chars(DIGITS, 4)} and 666-12-${r.chars(DIGITS, 4)}`,
  },
  {
    name: "database url without password",
    make: (r) => `redis://cache-${r.chars(LOWER, 4)}:6379/0 amqp://broker:5672`,
  },
  {
    name: "public key",
    make: (r) => `-----BEGIN CERTIFICATE----- ${r.chars(LOWER, 8)} -----END CERTIFICATE-----`,
  },
  {
    name: "css and paths",
    make: (r) =>
      `/usr/share/${r.chars(LOWER, 8)}/node_modules/@scope/${r.chars(LOWER, 9)}/dist/index.min.js`,
  },
  {
    name: "at signs that are none",
    make: (r) =>
      `@media (min-width: ${r.below(900)}px) { @include ${
        r.chars(LOWER, 6)
      }; } npm i @scope/pkg@1.2.3`,
  },
  {
    name: "encoded text",
    make: (r) =>
      `data:text/plain;base64,${btoa(`just a note, number ${r.chars(DIGITS, 3)}, of no import`)}`,
    pinned: true,
  },
  {
    name: "camel case identifier",
    make: (r) => `getElementsByTagNameAndClassName${r.text(["One", "Two"])}(documentFragment)`,
  },
  { name: "sha256", make: (r) => `checksum = "${r.chars(HEX, 64)}"`, pinned: true },
  {
    name: "package-lock integrity",
    make: (r) => `"integrity": "sha512-${base64(r.bytes(64))}"`,
    pinned: true,
  },
  {
    name: "deno.lock integrity",
    make: (r) => `"https://x.test/${r.chars(ALNUM, 5)}.ts": "${r.chars(HEX, 64)}"`,
    pinned: true,
  },
  {
    name: "base64 image",
    make: (r) => `<img src="data:image/png;base64,iVBORw0KGgo${base64(r.bytes(600))}">`,
    pinned: true,
  },
];
