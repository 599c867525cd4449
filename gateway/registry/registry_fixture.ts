/**
 * A registry with a store in memory, a clock that is set by hand and a readable audit, for tests.
 *
 * @module
 */
import type { AgentRecord, Mutation, StateStore } from "../../storage/sqlite/records.ts";
import type { AgentTriple } from "../identity/keys.ts";
import type { RegistryChange } from "./changes.ts";
import type { Registration } from "./registration.ts";
import { type Registered, Registry, type RegistryOptions } from "./registry.ts";

/** A store that can be told to fail, and to wait. */
export class MemoryStore implements Pick<StateStore, "agents" | "commit"> {
  readonly records = new Map<string, AgentRecord>();
  failing = false;
  commits = 0;

  async *agents(): AsyncGenerator<readonly AgentRecord[]> {
    await Promise.resolve();
    yield [...this.records.values()].toSorted((a, b) => a.key < b.key ? -1 : 1);
  }

  async commit(mutations: readonly Mutation[]): Promise<void> {
    await Promise.resolve();
    if (this.failing) throw new Error("disk full");
    this.commits++;
    for (const mutation of mutations) {
      if (mutation.kind === "put_agent") this.records.set(mutation.agent.key, mutation.agent);
      else if (mutation.kind === "forget_agent") this.records.delete(mutation.key);
      else if (mutation.kind === "heartbeat") this.#heartbeat(mutation.key, mutation.at_ms);
    }
  }

  #heartbeat(key: string, at_ms: number): void {
    const record = this.records.get(key);
    if (record !== undefined) this.records.set(key, { ...record, last_heartbeat_ms: at_ms });
  }
}

/** A registry under test. */
export class Fixture {
  registry: Registry;
  now_ms = 1_700_000_000_000;
  audit_failing = false;
  readonly store: MemoryStore;
  readonly audited: RegistryChange[] = [];
  readonly #options: Partial<RegistryOptions>;

  private constructor(store: MemoryStore, options: Partial<RegistryOptions>) {
    this.store = store;
    this.#options = options;
    // Replaced at once by `create`.
    this.registry = undefined as unknown as Registry;
  }

  static async create(
    options: Partial<RegistryOptions> = {},
    store: MemoryStore = new MemoryStore(),
  ): Promise<Fixture> {
    const fixture = new Fixture(store, options);
    await fixture.restart();
    return fixture;
  }

  /** A new registry over the same store, as after a restart of the gateway. */
  async restart(): Promise<void> {
    this.registry = await Registry.open({
      store: this.store,
      now_ms: () => this.now_ms,
      redact: (text) => text.replaceAll("SECRET", "[REDACTED]"),
      onChange: (changes) => {
        if (this.audit_failing) return Promise.reject(new Error("audit log failed"));
        this.audited.push(...changes);
        return Promise.resolve(changes.map((_, index) => BigInt(index)));
      },
      ...this.#options,
    });
  }

  /** Registers an agent of team acme/ops. */
  register(agent_id: string, change: Partial<Registration> = {}): Promise<Registered> {
    return this.registry.register(registrationOf(agent_id, change));
  }

  /** Registers a chain of agents, each below the one before. */
  async registerChain(...agent_ids: string[]): Promise<string[]> {
    const keys: string[] = [];
    for (const [index, agent_id] of agent_ids.entries()) {
      const parent = agent_ids[index - 1];
      const below = parent === undefined ? {} : { parent_agent_id: parent };
      keys.push((await this.register(agent_id, below)).agent.key);
    }
    return keys;
  }
}

/** A plain registration of team acme/ops. */
export function registrationOf(
  agent_id: string,
  change: Partial<Registration> = {},
): Registration {
  return {
    ...triple(agent_id),
    public_key: "ab".repeat(32),
    name: agent_id,
    framework: "langgraph",
    version: "1.0",
    tool_names: [],
    metadata: {},
    ...change,
  };
}

/** Names of an agent of team acme/ops. */
export function triple(agent_id: string): AgentTriple {
  return { org_id: "acme", team_id: "ops", agent_id };
}
