/**
 * The state store without a disk: for tests, and for the deterministic simulation. Same order, same
 * atomicity, no durability.
 *
 * @module
 */
import type {
  AgentRecord,
  Collection,
  Mutation,
  OperatorRecord,
  RecordRange,
  StateStore,
  StoredRecord,
} from "../sqlite/records.ts";

/** A state store that dies with the process. */
export class MemoryStore implements StateStore {
  readonly #agents = new Map<string, AgentRecord>();
  readonly #operators = new Map<string, OperatorRecord>();
  readonly #meta = new Map<string, string>();
  readonly #records = new Map<Collection, Map<string, string>>();

  /** @inheritdoc */
  async *agents(): AsyncGenerator<readonly AgentRecord[]> {
    const agents = [...this.#agents.values()].toSorted((a, b) => compare(a.key, b.key));
    if (agents.length > 0) yield structuredClone(agents);
  }

  /** @inheritdoc */
  operators(): Promise<readonly OperatorRecord[]> {
    const operators = [...this.#operators.values()].toSorted((a, b) => compare(a.name, b.name));
    return Promise.resolve(structuredClone(operators));
  }

  /** @inheritdoc */
  meta(key: string): Promise<string | undefined> {
    return Promise.resolve(this.#meta.get(key));
  }

  /** @inheritdoc */
  async *records(
    collection: Collection,
    range: RecordRange = {},
  ): AsyncGenerator<readonly StoredRecord[]> {
    const { after, through } = range;
    const records = [...this.#records.get(collection) ?? []]
      .filter(([key]) => after === undefined || compare(key, after) > 0)
      .filter(([key]) => through === undefined || compare(key, through) <= 0)
      .toSorted(([a], [b]) => compare(a, b))
      .map(([key, value]) => ({ key, value }));
    if (records.length > 0) yield records;
  }

  /** @inheritdoc */
  commit(mutations: readonly Mutation[]): Promise<void> {
    for (const mutation of mutations) this.apply(mutation);
    return Promise.resolve();
  }

  /** Applies one mutation at once. */
  protected apply(mutation: Mutation): void {
    switch (mutation.kind) {
      case "put_agent":
        this.#agents.set(mutation.agent.key, structuredClone(mutation.agent));
        return;
      case "forget_agent":
        this.#agents.delete(mutation.key);
        return;
      case "heartbeat": {
        const agent = this.#agents.get(mutation.key);
        if (agent === undefined) return;
        const last_heartbeat_ms = Math.max(agent.last_heartbeat_ms ?? 0, mutation.at_ms);
        this.#agents.set(mutation.key, { ...agent, last_heartbeat_ms });
        return;
      }
      case "put_operator":
        this.#operators.set(mutation.operator.name, structuredClone(mutation.operator));
        return;
      case "delete_operator":
        this.#operators.delete(mutation.name);
        return;
      case "put_meta":
        this.#meta.set(mutation.key, mutation.value);
        return;
      case "put_record":
        this.#collection(mutation.collection).set(mutation.key, mutation.value);
        return;
      case "delete_record":
        this.#collection(mutation.collection).delete(mutation.key);
        return;
      case "delete_records_through": {
        const records = this.#collection(mutation.collection);
        for (const key of [...records.keys()]) {
          if (compare(key, mutation.key) <= 0) records.delete(key);
        }
        return;
      }
    }
  }

  #collection(name: Collection): Map<string, string> {
    const known = this.#records.get(name);
    if (known !== undefined) return known;
    const made = new Map<string, string>();
    this.#records.set(name, made);
    return made;
  }
}

const UTF8 = new TextEncoder();

/** Orders texts as SQLite does: by their UTF-8 bytes. */
function compare(a: string, b: string): number {
  if (a === b) return 0;
  const [left, right] = [UTF8.encode(a), UTF8.encode(b)];
  const shared = Math.min(left.length, right.length);
  for (let at = 0; at < shared; at++) {
    const difference = (left[at] ?? 0) - (right[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
