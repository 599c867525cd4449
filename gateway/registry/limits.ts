/**
 * Every bound of the registry, with what happens at it.
 *
 * @module
 */

/** Named limits; units are the last word of each name. */
export const REGISTRY_LIMITS = {
  /** Registered agents; one more is refused with `limit_reached`. */
  agents: 100_000,
  /** Ended registrations remembered; beyond it the one that ended first is forgotten. */
  ended_registrations: 100_000,
  /** Changes under way at once; one more is refused with `busy`. */
  changes_under_way: 4_096,
  /** Depth that no agent may reach; a root is 0 (contract `policy-and-gateway` §7.5). */
  lineage_depth: 10,
  /** Ancestors looked through for a loop, ended registrations included. */
  lineage_walk_agents: 1_000,
  /** Heartbeat interval told to agents, in seconds. */
  heartbeat_interval_s: 30,
  /** An agent that has sent heartbeats is stale after this silence (three intervals). */
  stale_after_ms: 90_000,
  /** Least time between two durable writes of collected heartbeats. */
  heartbeat_flush_ms: 10_000,
  /** Name, framework, version, delegation reason, spawning tool: bytes each. */
  field_bytes: 1_024,
  /** Declared tools of one agent. */
  tool_names: 1_024,
  /** Metadata entries of one agent. */
  metadata_entries: 256,
  /** Metadata and tool names of one agent, together, in bytes. */
  declaration_bytes: 64 * 1024,
  /** A reason given for a change of status or mode, in UTF-16 units; the rest is cut. */
  reason_chars: 1_024,
  /** Longest time an agent may be observed instead of enforced (contract §11.4). */
  observe_ms: 72 * 60 * 60 * 1000,
  /** Agents one cascading change of mode may touch (contract §11.4). */
  cascade_agents: 50,
  /** Page size of a listing: default and bound. */
  list_page_default_agents: 100,
  list_page_agents: 1_000,
  /** Commands waiting for one control stream; one more ends the stream. */
  control_queue_commands: 32,
} as const;
