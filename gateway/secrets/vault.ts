/**
 * The secrets of a gateway: sealed on disk and in memory, opened for one dispatch and overwritten
 * after it (contract `policy-and-gateway` §12, trap 57).
 *
 * What JavaScript cannot promise: the runtime may have copied bytes while it encrypted, collected
 * garbage or sent a message, and those copies are erased when their memory is used again.
 *
 * @module
 */
import { isUtf8 } from "node:buffer";
import type { Mutation, StateStore } from "../../storage/sqlite/records.ts";
import { SECRET_LIMITS } from "../../core/secrets/limits.ts";
import { isSecretName } from "../../core/secrets/name.ts";
import { fillTemplate, type Template } from "../../core/secrets/substitute.ts";
import { Turns, TurnsBusy } from "../turns.ts";
import { rewrapped, seal, type Sealed, sealedFrom, unseal } from "./envelope.ts";
import { KeySourceError, SealError, SecretError } from "./failure.ts";
import { IssuedValues } from "./issued_values.ts";
import type { KeyRing } from "./key_ring.ts";
import type { OpenKeySource } from "./key_source.ts";
import {
  FINGERPRINT_KEY,
  FINGERPRINT_KEY_PURPOSE,
  isIssuedKey,
  issuedFrom,
  issuedKey,
  parsed,
  recordText,
  secretFrom,
  secretKey,
  secretPurpose,
  type SecretRecord,
  type SecretTenant,
} from "./record.ts";

/** What the vault works with. */
export interface VaultOptions {
  readonly store: Pick<StateStore, "commit" | "records">;
  /** Absent: secrets are `unconfigured`. */
  readonly keys: OpenKeySource | undefined;
  /** Makes evidence durable and gives its index. @throws when it cannot. */
  readonly record: (action: string, facts: Readonly<Record<string, unknown>>) => Promise<bigint>;
  readonly now_ms: () => number;
}

/** How secrets stand. Only `ready` and `rotating` dispatch or register. */
export type VaultState =
  | { readonly state: "unconfigured"; readonly detail: string }
  | { readonly state: "wrong_key"; readonly detail: string }
  | { readonly state: "damaged"; readonly detail: string }
  /** Some records are still wrapped under an earlier key. */
  | { readonly state: "rotating"; readonly detail: string; readonly pending: number }
  | { readonly state: "ready"; readonly detail: string };

/** A new value. */
export interface Registering extends SecretTenant {
  readonly name: string;
  readonly tools: readonly string[];
  /** Replace the present value, which must exist, instead of refusing. */
  readonly replace: boolean;
  /** E.g. `operator:alice`. */
  readonly actor: string;
}

/** What registering did. */
export interface Registered {
  readonly version: number;
  readonly scanned: boolean;
  readonly audit_index: bigint;
}

const SET_KEY =
  "start the gateway with --secrets-key-file FILE (`openssl rand -hex 32` makes a key), " +
  "--secrets-key-env or --secrets-key-command";

/** The vault of one gateway. */
export class Vault {
  readonly #on: VaultOptions;
  readonly #records = new Map<string, SecretRecord>();
  readonly #tenant_sizes = new Map<string, number>();
  /** Storage keys of records that cannot be opened, and why. */
  readonly #unreadable = new Map<string, SealError["code"]>();
  readonly #turns = new Turns(SECRET_LIMITS.rewrap_batch_records);
  #ring: KeyRing | undefined;
  #issued: IssuedValues | undefined;
  #fingerprint_key: Sealed | undefined;

  private constructor(options: VaultOptions) {
    this.#on = options;
    this.#ring = options.keys?.ring;
  }

  /** Loads the records and tries each; what cannot be opened puts the vault into a state of that name. */
  static async open(options: VaultOptions): Promise<Vault> {
    const vault = new Vault(options);
    await vault.#loadFingerprintKey();
    await vault.#loadIssued();
    await vault.#loadSecrets();
    return vault;
  }

  /** How secrets stand, and what to do about it. */
  get state(): VaultState {
    const ring = this.#ring;
    const count = this.#records.size;
    if (ring === undefined) {
      const locked = count === 0 ? "" : `${count} secret(s) are locked: `;
      return { state: "unconfigured", detail: `${locked}${SET_KEY}` };
    }
    const codes = new Set(this.#unreadable.values());
    if (codes.has("wrong_key")) {
      const detail =
        "the key given does not open what is stored; start with the key it was stored " +
        `under, below the new one (present key: \`${ring.active.id}\`)`;
      return { state: "wrong_key", detail };
    }
    if (codes.size > 0) {
      const names = [...this.#unreadable.keys()].slice(0, 5).map(shownKey).join(", ");
      const detail = `${this.#unreadable.size} record(s) are damaged and nothing is dispatched: ` +
        `${names}; delete them, and register the values again`;
      return { state: "damaged", detail };
    }
    const pending = this.#pending(ring).length;
    if (pending > 0) {
      const detail =
        `${pending} record(s) are wrapped under an earlier key: \`aasm secrets rotate-key\``;
      return { state: "rotating", detail, pending };
    }
    return { state: "ready", detail: `${count} secret(s) under key \`${ring.active.id}\`` };
  }

  /** Values that outbound bytes are scanned for. */
  get issued_values(): number {
    return this.#issued?.size ?? 0;
  }

  /** Records of one tenant, or of all; sealed. */
  list(tenant?: SecretTenant): SecretRecord[] {
    return [...this.#records.values()].filter((record) =>
      tenant === undefined ||
      (record.org_id === tenant.org_id && record.team_id === tenant.team_id)
    ).toSorted((a, b) => secretKey(a, a.name) < secretKey(b, b.name) ? -1 : 1);
  }

  /**
   * Keeps a value under a name.
   *
   * @param value Its bytes; zeros afterwards, whatever the outcome.
   * @throws {SecretError} and nothing has changed.
   */
  async register(asked: Registering, value: Uint8Array): Promise<Registered> {
    try {
      checkValue(asked, value);
      return await this.#inTurn(() => this.#register(asked, value));
    } finally {
      value.fill(0);
    }
  }

  /** Forgets a secret; what was issued of it stays looked for. @throws {SecretError} */
  delete(tenant: SecretTenant, name: string, actor: string): Promise<bigint> {
    return this.#inTurn(async () => {
      const key = secretKey(tenant, name);
      const record = this.#records.get(key);
      // Fingerprints that cannot be read find nothing; they go with the secret they were of.
      const prefix = issuedKey({ ...tenant, name, version: 0 }).slice(0, -1);
      const lost = [...this.#unreadable.keys()].filter((other) => other.startsWith(prefix));
      if (record === undefined && !this.#unreadable.has(key) && lost.length === 0) {
        throw new SecretError("not_found", `name: there is no secret \`${shownName(name)}\``);
      }
      const audit_index = await this.#evidence("secret_deleted", {
        actor,
        ...tenant,
        name,
        version: record?.version ?? null,
        unreadable_fingerprints: lost.length,
      });
      await this.#commit([
        { kind: "delete_record", collection: "secrets", key },
        ...lost.map((other): Mutation => (
          { kind: "delete_record", collection: "issued_credentials", key: other }
        )),
      ]);
      this.#uninstall(key);
      for (const other of lost) this.#unreadable.delete(other);
      return audit_index;
    });
  }

  /**
   * What stands against putting these secrets into a call of this tool; nothing is opened.
   *
   * @throws {SecretError} `unknown_placeholder`, `tool_not_allowed`, `unavailable`.
   */
  check(tenant: SecretTenant, tool: string, names: readonly string[]): SecretRecord[] {
    const { state, detail } = this.state;
    const usable = state === "ready" || state === "rotating";
    const found: SecretRecord[] = [];
    for (const name of new Set(names)) {
      const record = this.#records.get(secretKey(tenant, name));
      if (record === undefined && (usable || state === "unconfigured")) {
        // The contract's words; the state is said where it is the reason.
        const why = usable ? "" : `: secrets are unconfigured: ${detail}`;
        throw new SecretError(
          "unknown_placeholder",
          `Unknown placeholder: \${${shownName(name)}}${why}`,
        );
      }
      if (record !== undefined) found.push(record);
    }
    if (!usable) throw new SecretError("unavailable", `secrets are ${state}: ${detail}`);
    for (const record of found) {
      if (record.tools.length > 0 && !record.tools.includes(tool)) {
        throw new SecretError(
          "tool_not_allowed",
          `secret \`${record.name}\` is not for tool \`${tool.slice(0, 128)}\``,
        );
      }
    }
    return found;
  }

  /**
   * Fills arguments. Ask {@linkcode check} first and record what is about to happen.
   *
   * @returns New bytes, to be overwritten after use.
   * @throws {SecretError}
   */
  async fill(tenant: SecretTenant, tool: string, template: Template): Promise<Uint8Array> {
    const values = await this.#opened(this.check(tenant, tool, template.names));
    try {
      return fillTemplate(template, (name) => valueIn(values, name));
    } finally {
      for (const value of values.values()) value.fill(0);
    }
  }

  /** The values of some secrets, to be overwritten after use. @throws {SecretError} */
  async values(
    tenant: SecretTenant,
    tool: string,
    names: readonly string[],
  ): Promise<Map<string, Uint8Array>> {
    return await this.#opened(this.check(tenant, tool, names));
  }

  /**
   * Looks for every value ever issued.
   *
   * @throws {SecretError} `unavailable` when not every fingerprint could be read: silence would be a
   * claim.
   */
  scan(outbound: Uint8Array): ReturnType<IssuedValues["scan"]> {
    const { state, detail } = this.state;
    if (state !== "ready" && state !== "rotating") {
      throw new SecretError("unavailable", `cannot scan: secrets are ${state}: ${detail}`);
    }
    return this.#issued?.scan(outbound) ?? { hits: [], complete: true };
  }

  /**
   * Takes up the present key of the source and wraps everything under it. Interrupted at any moment,
   * it goes on where it was when asked again: each record says under which key it is.
   *
   * @returns How many records were wrapped anew.
   * @throws {SecretError}
   */
  rotateKey(actor: string): Promise<{ readonly key_id: string; readonly records: number }> {
    return this.#inTurn(async () => {
      const ring = await this.#newestRing();
      const pending = this.#pending(ring);
      const needed = new Set([...this.#sealed()].map((sealed) => sealed.key_id));
      const missing = [...needed].find((id) => !ring.keys.has(id));
      if (missing !== undefined) {
        throw new SecretError(
          "unavailable",
          `nothing was changed: records are wrapped under key \`${missing}\`, which the source no ` +
            "longer holds; put it back below the new one",
        );
      }
      const key_id = ring.active.id;
      if (pending.length === 0) {
        this.#ring = ring;
        return { key_id, records: 0 };
      }
      await this.#evidence("secrets_key_rotation_started", {
        actor,
        key_id,
        records: pending.length,
      });
      this.#ring = ring;
      await this.#rewrap(ring, pending);
      await this.#evidence("secrets_key_rotated", { actor, key_id, records: pending.length });
      return { key_id, records: pending.length };
    });
  }

  /** Waits for changes under way. */
  async close(): Promise<void> {
    await this.#turns.idle();
  }

  async #register(asked: Registering, value: Uint8Array): Promise<Registered> {
    const ring = this.#usableRing();
    const key = secretKey(asked, asked.name);
    const before = this.#records.get(key);
    this.#checkRoom(asked, before);
    const issued = this.#issued ?? await IssuedValues.create();
    const { org_id, team_id, name, tools } = asked;
    const version = issued.highestVersion(asked, name, before?.version ?? 0) + 1;
    const scanned = value.length >= SECRET_LIMITS.scanned_bytes_min;
    const unsealed = {
      ...{ org_id, team_id, name, version, tools, scanned },
      created_at_ms: this.#on.now_ms(),
      created_by: asked.actor,
    };
    const record = {
      ...unsealed,
      sealed: await seal(ring.active, secretPurpose(unsealed), value),
    };
    const fingerprints = issued.fingerprints(value);
    const mutations: Mutation[] = [
      put("secrets", key, recordText(record)),
      put(
        "issued_credentials",
        issuedKey(record),
        recordText(await issued.sealed(record, fingerprints)),
      ),
    ];
    const fingerprint_key = this.#fingerprint_key ?? await this.#sealFingerprintKey(ring, issued);
    if (this.#fingerprint_key === undefined) {
      mutations.push(fingerprintKeyPut(fingerprint_key));
    }
    const action = before === undefined ? "secret_registered" : "secret_rotated";
    const audit_index = await this.#evidence(action, {
      ...{ actor: asked.actor, org_id, team_id, name, version, tools, scanned },
    });
    await this.#commit(mutations);
    this.#fingerprint_key = fingerprint_key;
    this.#issued = issued;
    issued.add(record, fingerprints);
    this.#install(key, record);
    return { version, scanned, audit_index };
  }

  #checkRoom(asked: Registering, before: SecretRecord | undefined): void {
    const name = shownName(asked.name);
    if (before !== undefined && !asked.replace) {
      throw new SecretError(
        "already_registered",
        `name: secret \`${name}\` is already registered: replace it, or delete it first`,
      );
    }
    if (before === undefined && asked.replace) {
      throw new SecretError("not_found", `name: there is no secret \`${name}\` to replace`);
    }
    const of_tenant = this.#tenant_sizes.get(secretKey(asked, "")) ?? 0;
    const full = before === undefined && (this.#records.size >= SECRET_LIMITS.secrets ||
      of_tenant >= SECRET_LIMITS.secrets_per_tenant);
    if (full) {
      throw new SecretError(
        "limit_reached",
        `there are ${of_tenant} secrets of this tenant and ${this.#records.size} in all: delete some`,
      );
    }
    if (this.issued_values >= SECRET_LIMITS.issued_values) {
      throw new SecretError(
        "limit_reached",
        `${SECRET_LIMITS.issued_values} values were issued and none is ever forgotten`,
      );
    }
  }

  async #opened(records: readonly SecretRecord[]): Promise<Map<string, Uint8Array>> {
    const ring = this.#usableRing();
    const values = new Map<string, Uint8Array>();
    try {
      for (const record of records) {
        values.set(record.name, await unseal(ring, secretPurpose(record), record.sealed));
      }
      return values;
    } catch (error) {
      for (const value of values.values()) value.fill(0);
      if (!(error instanceof SealError)) throw error;
      throw new SecretError("unavailable", `a secret cannot be opened: ${error.message}`);
    }
  }

  #usableRing(): KeyRing {
    const { state, detail } = this.state;
    if (this.#ring !== undefined && (state === "ready" || state === "rotating")) return this.#ring;
    throw new SecretError("unavailable", `secrets are ${state}: ${detail}`);
  }

  async #newestRing(): Promise<KeyRing> {
    const { keys } = this.#on;
    if (keys === undefined) {
      throw new SecretError("unavailable", `secrets are unconfigured: ${SET_KEY}`);
    }
    const { state, detail } = this.state;
    if (state === "damaged") throw new SecretError("unavailable", `secrets are damaged: ${detail}`);
    if (state === "wrong_key") {
      throw new SecretError(
        "unavailable",
        `secrets are wrong_key: ${detail}; then restart the gateway`,
      );
    }
    try {
      return await keys.again();
    } catch (error) {
      if (!(error instanceof KeySourceError)) throw error;
      throw new SecretError("unavailable", `nothing was changed: ${error.message}`, {
        cause: error,
      });
    }
  }

  async #rewrap(
    ring: KeyRing,
    pending: readonly (SecretRecord | "fingerprint_key")[],
  ): Promise<void> {
    for (let from = 0; from < pending.length; from += SECRET_LIMITS.rewrap_batch_records) {
      const mutations: Mutation[] = [];
      const apply: (() => void)[] = [];
      for (const one of pending.slice(from, from + SECRET_LIMITS.rewrap_batch_records)) {
        if (one === "fingerprint_key") {
          const before = this.#fingerprint_key;
          if (before === undefined) continue;
          const sealed = await rewrapped(ring, FINGERPRINT_KEY_PURPOSE, before);
          mutations.push(fingerprintKeyPut(sealed));
          apply.push(() => this.#fingerprint_key = sealed);
        } else {
          const key = secretKey(one, one.name);
          const record = { ...one, sealed: await rewrapped(ring, secretPurpose(one), one.sealed) };
          mutations.push(put("secrets", key, recordText(record)));
          apply.push(() => this.#records.set(key, record));
        }
      }
      await this.#commit(mutations);
      for (const change of apply) change();
    }
  }

  /** What is not wrapped under the active key. */
  #pending(ring: KeyRing): (SecretRecord | "fingerprint_key")[] {
    const pending: (SecretRecord | "fingerprint_key")[] = [...this.#records.values()]
      .filter((record) => record.sealed.key_id !== ring.active.id);
    const own = this.#fingerprint_key;
    if (own !== undefined && own.key_id !== ring.active.id) pending.push("fingerprint_key");
    return pending;
  }

  *#sealed(): Generator<Sealed> {
    for (const record of this.#records.values()) yield record.sealed;
    if (this.#fingerprint_key !== undefined) yield this.#fingerprint_key;
  }

  async #sealFingerprintKey(ring: KeyRing, issued: IssuedValues): Promise<Sealed> {
    const secret = issued.takeSecret();
    try {
      return await seal(ring.active, FINGERPRINT_KEY_PURPOSE, secret);
    } finally {
      secret.fill(0);
    }
  }

  async #loadFingerprintKey(): Promise<void> {
    for await (const page of this.#on.store.records("secret_keys")) {
      for (const { key, value } of page) {
        if (key !== FINGERPRINT_KEY) continue;
        const sealed = sealedFrom(parsed(value)?.["sealed"]);
        this.#fingerprint_key = sealed;
        if (sealed === undefined) this.#unreadable.set(key, "damaged");
        else await this.#tried(key, () => this.#openFingerprints(sealed));
      }
    }
  }

  async #openFingerprints(sealed: Sealed): Promise<void> {
    if (this.#ring === undefined) return;
    const secret = await unseal(this.#ring, FINGERPRINT_KEY_PURPOSE, sealed);
    this.#issued = await IssuedValues.from(secret);
  }

  async #loadIssued(): Promise<void> {
    for await (const page of this.#on.store.records("issued_credentials")) {
      for (const { key, value } of page) {
        if (!isIssuedKey(key) || this.#ring === undefined) continue;
        const record = issuedFrom(key, value);
        const issued = this.#issued;
        await this.#tried(key, async () => {
          if (record === undefined || issued === undefined) {
            throw new SealError("damaged", "it is not as it was written");
          }
          await issued.load(record);
        });
      }
    }
  }

  async #loadSecrets(): Promise<void> {
    for await (const page of this.#on.store.records("secrets")) {
      for (const { key, value } of page) {
        const record = secretFrom(key, value);
        if (record === undefined) {
          this.#unreadable.set(key, "damaged");
          continue;
        }
        this.#install(key, record);
        const ring = this.#ring;
        if (ring === undefined) continue;
        await this.#tried(key, async () => {
          (await unseal(ring, secretPurpose(record), record.sealed)).fill(0);
          // A value that nothing looks for must not be dispatched.
          if (this.#issued?.has(record) !== true) {
            throw new SealError("damaged", "its fingerprints are missing");
          }
        });
      }
    }
  }

  async #tried(key: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
      this.#unreadable.set(key, error.code);
    }
  }

  #install(key: string, record: SecretRecord): void {
    if (!this.#records.has(key)) this.#resize(record, 1);
    this.#records.set(key, record);
  }

  #uninstall(key: string): void {
    const record = this.#records.get(key);
    if (record !== undefined) this.#resize(record, -1);
    this.#records.delete(key);
    this.#unreadable.delete(key);
  }

  #resize(tenant: SecretTenant, by: number): void {
    const key = secretKey(tenant, "");
    this.#tenant_sizes.set(key, (this.#tenant_sizes.get(key) ?? 0) + by);
  }

  async #evidence(action: string, facts: Readonly<Record<string, unknown>>): Promise<bigint> {
    try {
      return await this.#on.record(action, facts);
    } catch (error) {
      throw new SecretError("audit_unavailable", "nothing was changed: it could not be recorded", {
        cause: error,
      });
    }
  }

  async #commit(mutations: readonly Mutation[]): Promise<void> {
    try {
      await this.#on.store.commit(mutations);
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error);
      throw new SecretError("storage_failed", `could not be stored: ${cause}`, { cause: error });
    }
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await this.#turns.run(work);
    } catch (error) {
      if (error instanceof TurnsBusy) throw new SecretError("busy", error.message);
      if (error instanceof SealError) {
        throw new SecretError("unavailable", `a record cannot be opened: ${error.message}`);
      }
      throw error;
    }
  }
}

function checkValue(asked: Registering, value: Uint8Array): void {
  const { name, tools } = asked;
  if (!isSecretName(name)) {
    throw new SecretError(
      "invalid",
      `name: cannot be \`${
        shownName(name)
      }\`: expected A to Z, then A to Z, 0 to 9 and \`_\`, at ` +
        `most ${SECRET_LIMITS.name_chars} characters`,
    );
  }
  if (value.length === 0 || value.length > SECRET_LIMITS.value_bytes) {
    throw new SecretError(
      "invalid",
      `value: is ${value.length} bytes, expected 1 to ${SECRET_LIMITS.value_bytes}`,
    );
  }
  if (!isUtf8(value)) {
    throw new SecretError("invalid", "value: is not UTF-8 text: encode it, e.g. in base64");
  }
  const long = tools.some((tool) => tool === "" || tool.length > SECRET_LIMITS.tool_chars);
  if (long || tools.length > SECRET_LIMITS.tools_per_secret) {
    throw new SecretError(
      "invalid",
      `tools: expected at most ${SECRET_LIMITS.tools_per_secret} names of 1 to ` +
        `${SECRET_LIMITS.tool_chars} characters`,
    );
  }
}

function valueIn(values: ReadonlyMap<string, Uint8Array>, name: string): Uint8Array {
  const value = values.get(name);
  if (value === undefined) throw new Error("a checked placeholder has no value");
  return value;
}

function put(collection: "secrets" | "issued_credentials", key: string, value: string): Mutation {
  return { kind: "put_record", collection, key, value };
}

function fingerprintKeyPut(sealed: Sealed): Mutation {
  const value = JSON.stringify({ v: 1, sealed });
  return { kind: "put_record", collection: "secret_keys", key: FINGERPRINT_KEY, value };
}

/** A name as an error may repeat it. A value pasted into the wrong place is not repeated whole. */
function shownName(name: string): string {
  return name.length <= SECRET_LIMITS.name_chars && /^[A-Za-z0-9_]*$/.test(name) ? name : "…";
}

/** A storage key as a person may read it. */
function shownKey(key: string): string {
  return `\`${key.replaceAll("\u001f", "/").slice(0, 128)}\``;
}
