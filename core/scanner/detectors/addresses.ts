/**
 * Addresses with a password in them, whatever the scheme (RFC 3986 §3.2.1).
 *
 * @module
 */
import type { CredentialKind } from "../finding.ts";
import type { DetectorName } from "./catalog.ts";
import type { Prefix } from "./prefix.ts";

/** What a scheme says about an address. */
interface Scheme {
  readonly kind: CredentialKind;
  /** Absent where the kind says all. */
  readonly detector?: DetectorName;
}

function scheme(detector: DetectorName, kind: CredentialKind = "GenericHighEntropy"): Scheme {
  return { kind, detector };
}

/** By the product: `mysql+pymysql` and `jdbc:mysql` are both `mysql`. */
const SCHEMES: ReadonlyMap<string, Scheme> = new Map<string, Scheme>([
  ["postgres", { kind: "PostgresUrl" }],
  ["postgresql", { kind: "PostgresUrl" }],
  ["mysql", { kind: "MysqlUrl" }],
  ["mongodb", { kind: "MongodbUrl" }],
  // The wire protocol of each is that of the kind.
  ["mariadb", scheme("mariadb_url", "MysqlUrl")],
  ["mysqlx", scheme("mariadb_url", "MysqlUrl")],
  ["cockroachdb", scheme("cockroach_url", "PostgresUrl")],
  ["cockroach", scheme("cockroach_url", "PostgresUrl")],
  ["redis", scheme("redis_url")],
  ["rediss", scheme("redis_url")],
  ["valkey", scheme("redis_url")],
  ["amqp", scheme("amqp_url")],
  ["amqps", scheme("amqp_url")],
  ["mssql", scheme("mssql_url")],
  ["sqlserver", scheme("mssql_url")],
  ["clickhouse", scheme("clickhouse_url")],
  ["oracle", scheme("oracle_url")],
  ["cassandra", scheme("cassandra_url")],
  ["neo4j", scheme("neo4j_url")],
  ["bolt", scheme("neo4j_url")],
  ["nats", scheme("nats_url")],
]);
const OTHER = scheme("url_with_password");
/** These have a rule of their own. */
const FROZEN: ReadonlySet<string> = new Set([
  "postgres",
  "postgresql",
  "mysql",
  "mongodb",
  "mongodb+srv",
]);

/** What the scheme in front of `://` is; `undefined` for one with a rule of its own. */
export function schemeOf(name: string): Scheme | undefined {
  const whole = name.toLowerCase();
  if (FROZEN.has(whole)) return undefined;
  const product = whole.split("+")[0] ?? "";
  return SCHEMES.get(product) ?? OTHER;
}

/** The one prefix of all addresses. */
export const ADDRESSES: readonly Prefix[] = [
  { text: "://", exact_case: true, kind: "GenericHighEntropy", rule: { form: "userinfo" } },
];
