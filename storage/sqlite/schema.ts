/**
 * The schema of the embedded store, as numbered steps. A step, once released, never changes.
 *
 * @module
 */

/** Marks a file as ours (`PRAGMA application_id`): the letters "AAsm". */
export const APPLICATION_ID = 0x4141736d;

/** Step `n` (1-based) lifts a database from `user_version` n-1 to n. One statement an item. */
export const MIGRATIONS: readonly (readonly string[])[] = [
  [
    `CREATE TABLE agents (
      key TEXT NOT NULL PRIMARY KEY CHECK (length(key) = 32),
      org_id TEXT NOT NULL,
      team_id TEXT NOT NULL,
      agent_id TEXT NOT NULL,
      name TEXT NOT NULL,
      framework TEXT NOT NULL,
      version TEXT NOT NULL,
      risk_tier TEXT CHECK (risk_tier IN ('low', 'medium', 'high', 'critical')),
      governance_level INTEGER NOT NULL CHECK (governance_level BETWEEN 0 AND 3),
      tool_names TEXT NOT NULL,
      public_key TEXT NOT NULL CHECK (length(public_key) = 64),
      metadata TEXT NOT NULL,
      registered_at_ms INTEGER NOT NULL,
      last_heartbeat_ms INTEGER,
      parent_key TEXT CHECK (length(parent_key) = 32),
      orphaned INTEGER NOT NULL CHECK (orphaned IN (0, 1)),
      root_key TEXT NOT NULL CHECK (length(root_key) = 32),
      depth INTEGER NOT NULL CHECK (depth BETWEEN 0 AND 9),
      delegation_reason TEXT,
      spawned_by_tool TEXT,
      status TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'deregistered')),
      status_cause TEXT,
      status_reason TEXT,
      status_since_ms INTEGER,
      enforcement_mode TEXT NOT NULL CHECK (enforcement_mode IN ('enforce', 'observe')),
      enforcement_expires_at_ms INTEGER,
      enforcement_reason TEXT,
      token_hash TEXT UNIQUE CHECK (length(token_hash) = 64),
      UNIQUE (org_id, team_id, agent_id),
      CHECK ((status = 'active') = (status_since_ms IS NULL)),
      CHECK ((status = 'suspended') = (status_cause IS NOT NULL)),
      CHECK ((status = 'deregistered') = (token_hash IS NULL)),
      CHECK ((enforcement_mode = 'observe') = (enforcement_expires_at_ms IS NOT NULL)),
      CHECK (parent_key IS NULL OR parent_key <> key),
      CHECK (depth = 0 OR parent_key IS NOT NULL)
    ) STRICT, WITHOUT ROWID`,
    `CREATE TABLE operators (
      name TEXT NOT NULL PRIMARY KEY CHECK (length(name) > 0),
      scope TEXT NOT NULL CHECK (scope IN ('read', 'write', 'admin')),
      token_hash TEXT NOT NULL UNIQUE CHECK (length(token_hash) = 64),
      created_at_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID`,
    `CREATE TABLE meta (
      key TEXT NOT NULL PRIMARY KEY,
      value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID`,
  ],
  [
    `CREATE TABLE records (
      collection TEXT NOT NULL CHECK (length(collection) > 0),
      key TEXT NOT NULL CHECK (length(key) > 0),
      value TEXT NOT NULL CHECK (json_valid(value)),
      PRIMARY KEY (collection, key)
    ) STRICT, WITHOUT ROWID`,
  ],
  // Roles in place of scopes. Nobody gains by it: who had `admin` could make further operators and
  // becomes an owner; `write` becomes a developer bound to no team, who controls no agent until
  // bound to one; `read` becomes a viewer.
  [
    `CREATE TABLE operators_with_roles (
      name TEXT NOT NULL PRIMARY KEY CHECK (length(name) > 0),
      role TEXT NOT NULL CHECK
        (role IN ('owner', 'org_admin', 'team_admin', 'developer', 'viewer', 'auditor')),
      org_id TEXT,
      team_id TEXT CHECK (length(team_id) > 0),
      status TEXT NOT NULL CHECK (status IN ('active', 'revoked')),
      expires_at_ms INTEGER,
      token_hash TEXT NOT NULL UNIQUE CHECK (length(token_hash) = 64),
      created_at_ms INTEGER NOT NULL,
      created_by TEXT NOT NULL,
      CHECK (role <> 'owner' OR (org_id IS NULL AND team_id IS NULL)),
      CHECK (role <> 'org_admin' OR team_id IS NULL),
      CHECK (role <> 'team_admin' OR team_id IS NOT NULL)
    ) STRICT, WITHOUT ROWID`,
    `INSERT INTO operators_with_roles (name, role, status, token_hash, created_at_ms, created_by)
      SELECT name,
        CASE scope WHEN 'admin' THEN 'owner' WHEN 'write' THEN 'developer' ELSE 'viewer' END,
        'active', token_hash, created_at_ms, 'gateway'
      FROM operators`,
    `DROP TABLE operators`,
    `ALTER TABLE operators_with_roles RENAME TO operators`,
  ],
  [
    // Tokens may end before registrations do; whose word the tenant is, is kept. SQLite cannot
    // change a table's checks, so it is built anew.
    `CREATE TABLE agents_next (
      key TEXT NOT NULL PRIMARY KEY CHECK (length(key) = 32),
      org_id TEXT NOT NULL,
      team_id TEXT NOT NULL,
      agent_id TEXT NOT NULL,
      name TEXT NOT NULL,
      framework TEXT NOT NULL,
      version TEXT NOT NULL,
      risk_tier TEXT CHECK (risk_tier IN ('low', 'medium', 'high', 'critical')),
      governance_level INTEGER NOT NULL CHECK (governance_level BETWEEN 0 AND 3),
      tool_names TEXT NOT NULL,
      public_key TEXT NOT NULL CHECK (length(public_key) = 64),
      metadata TEXT NOT NULL,
      registered_at_ms INTEGER NOT NULL,
      last_heartbeat_ms INTEGER,
      parent_key TEXT CHECK (length(parent_key) = 32),
      orphaned INTEGER NOT NULL CHECK (orphaned IN (0, 1)),
      root_key TEXT NOT NULL CHECK (length(root_key) = 32),
      depth INTEGER NOT NULL CHECK (depth BETWEEN 0 AND 9),
      delegation_reason TEXT,
      spawned_by_tool TEXT,
      status TEXT NOT NULL CHECK (status IN ('active', 'suspended', 'deregistered')),
      status_cause TEXT,
      status_reason TEXT,
      status_since_ms INTEGER,
      enforcement_mode TEXT NOT NULL CHECK (enforcement_mode IN ('enforce', 'observe')),
      enforcement_expires_at_ms INTEGER,
      enforcement_reason TEXT,
      token_hash TEXT UNIQUE CHECK (length(token_hash) = 64),
      token_expires_at_ms INTEGER,
      tenancy TEXT NOT NULL CHECK (tenancy IN ('none', 'asserted', 'enrolled')),
      enrolment_id TEXT,
      UNIQUE (org_id, team_id, agent_id),
      CHECK ((status = 'active') = (status_since_ms IS NULL)),
      CHECK ((status = 'suspended') = (status_cause IS NOT NULL)),
      CHECK (status <> 'deregistered' OR token_hash IS NULL),
      CHECK (token_expires_at_ms IS NULL OR token_hash IS NOT NULL),
      CHECK ((tenancy = 'enrolled') = (enrolment_id IS NOT NULL)),
      CHECK ((enforcement_mode = 'observe') = (enforcement_expires_at_ms IS NOT NULL)),
      CHECK (parent_key IS NULL OR parent_key <> key),
      CHECK (depth = 0 OR parent_key IS NOT NULL)
    ) STRICT, WITHOUT ROWID`,
    `INSERT INTO agents_next (
        key, org_id, team_id, agent_id, name, framework, version, risk_tier,
        governance_level, tool_names, public_key, metadata, registered_at_ms,
        last_heartbeat_ms, parent_key, orphaned, root_key, depth, delegation_reason,
        spawned_by_tool, status, status_cause, status_reason, status_since_ms,
        enforcement_mode, enforcement_expires_at_ms, enforcement_reason, token_hash,
        tenancy)
      SELECT
        key, org_id, team_id, agent_id, name, framework, version, risk_tier,
        governance_level, tool_names, public_key, metadata, registered_at_ms,
        last_heartbeat_ms, parent_key, orphaned, root_key, depth, delegation_reason,
        spawned_by_tool, status, status_cause, status_reason, status_since_ms,
        enforcement_mode, enforcement_expires_at_ms, enforcement_reason, token_hash,
        CASE WHEN org_id = '' AND team_id = '' THEN 'none' ELSE 'asserted' END
      FROM agents`,
    "DROP TABLE agents",
    "ALTER TABLE agents_next RENAME TO agents",
  ],
];
