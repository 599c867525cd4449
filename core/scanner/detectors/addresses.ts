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
  readonly detector: DetectorName;
}

function scheme(detector: DetectorName, kind: CredentialKind = "GenericHighEntropy"): Scheme {
  return { kind, detector };
}

/** By the last part of the scheme: `jdbc:mariadb` counts as `mariadb`. */
const SCHEMES: ReadonlyMap<string, Scheme> = new Map([
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
/** These have a kind and a rule of their own. */
const FROZEN: ReadonlySet<string> = new Set(["postgres", "postgresql", "mysql", "mongodb"]);

/** What the scheme in front of `://` is; `undefined` for one with a rule of its own. */
export function schemeOf(name: string): Scheme | undefined {
  // `mysql+pymysql`, `mongodb+srv`, `redis+tls`: the part before the sign names the product.
  const product = name.toLowerCase().split("+")[0] ?? "";
  if (FROZEN.has(product)) return undefined;
  return SCHEMES.get(product) ?? OTHER;
}

/** The one prefix of all addresses. */
export const ADDRESSES: readonly Prefix[] = [
  { text: "://", exact_case: true, kind: "GenericHighEntropy", rule: { form: "userinfo" } },
];
