/**
 * Bundles as this gateway makes and takes them: whom it trusts, and what it has seen of each.
 *
 * @module
 */
import { keyId, type NoteVerifier, parseVerifierKey } from "../../core/audit/checkpoint.ts";
import {
  type Bundle,
  BUNDLE_CHARS_MAX,
  checkBundle,
  signBundle,
} from "../../core/policy/history/bundle.ts";
import type { PolicyText } from "../../core/policy/history/policy_set.ts";
import type { PolicyHistory } from "./history.ts";
import { POLICY_CHANGE_LIMITS } from "./limits.ts";
import type { PolicyVersion } from "./version.ts";

/** What the bundles stand on. */
export interface BundleGround {
  readonly history: PolicyHistory;
  /** Signs a text with the log's key, as a note. */
  readonly sign: (text: string) => string;
  /** The log's verifier key, which is trusted. */
  readonly own_key: string;
  /** Further keys that are trusted. */
  readonly signers: readonly NoteVerifier[];
}

/** Why a bundle is not taken. */
export type BundleProblem =
  | "malformed"
  | "unknown_signer"
  | "bad_signature"
  | "content_mismatch"
  | "downgrade";

/** A bundle that may be taken, or why it may not. */
export type BundleVerdict =
  | { readonly ok: true; readonly bundle: Bundle }
  | {
    readonly ok: false;
    readonly because: BundleProblem;
    readonly message: string;
    /** There when signature and content hold, and only its age stands against it. */
    readonly bundle?: Bundle;
  };

/** Makes and checks bundles. */
export class Bundles {
  readonly #on: BundleGround;
  readonly #trusted: readonly NoteVerifier[];

  constructor(on: BundleGround) {
    this.#on = on;
    this.#trusted = [parseVerifierKey(on.own_key), ...on.signers];
  }

  /** The key that signs. */
  get verifier_key(): string {
    return this.#on.own_key;
  }

  /**
   * A version as a signed bundle.
   *
   * @throws {RangeError} when it is too large for one.
   */
  export(version: PolicyVersion, texts: readonly PolicyText[]): string {
    const { mode, parent = "none", created_at_ms } = version;
    return signBundle(
      { version: version.version, parent, mode, created_at_ms },
      texts,
      this.#on.sign,
    );
  }

  /** Checks a bundle: form, signer, signature, content, and that it is no older than one taken before. */
  check(text: string): BundleVerdict {
    if (text.length > BUNDLE_CHARS_MAX) {
      const message = `it is longer than ${BUNDLE_CHARS_MAX} characters`;
      return { ok: false, because: "malformed", message };
    }
    const check = checkBundle(text, this.#trusted);
    if (!check.ok) return check;
    const { bundle } = check;
    const seen = this.#seen(bundle.signer);
    if (bundle.version >= seen) return check;
    return {
      ok: false,
      because: "downgrade",
      message: `it is version \`${bundle.version}\` of \`${bundle.signer.name}\`, and version ` +
        `\`${seen}\` of the same signer is known; import it with --force if that is meant`,
      bundle,
    };
  }

  /** An own bundle is as new as its version; another signer's as the newest one taken. */
  #seen(signer: NoteVerifier): number {
    const name = signerName(signer);
    const taken = this.#on.history.seenFrom(name);
    const own = signerName(parseVerifierKey(this.#on.own_key)) === name;
    return own ? Math.max(taken, this.#on.history.newest?.version ?? 0) : taken;
  }
}

/** What a signer is called in records: its name and key id, since names alone can be taken. */
export function signerName({ name, public_key }: NoteVerifier): string {
  return `${name}+${keyId(name, public_key).toHex()}`;
}

/**
 * Reads the file of trusted signers: one verifier key a line; empty lines and `#` comments aside.
 *
 * @throws {Error} naming the line, and the next step.
 */
export async function readSigners(path: string | undefined): Promise<readonly NoteVerifier[]> {
  if (path === undefined) return [];
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    throw new Error(`cannot read --policy-signers \`${path}\`: ${cause}; check the path`, {
      cause: error,
    });
  }
  const signers: NoteVerifier[] = [];
  for (const [at, line] of text.split("\n").entries()) {
    const key = line.trim();
    if (key === "" || key.startsWith("#")) continue;
    try {
      signers.push(parseVerifierKey(key));
    } catch {
      throw new Error(
        `cannot use --policy-signers \`${path}\`: line ${at + 1} is no verifier key: expected ` +
          "`<name>+<8 hex>+<base64>` of an Ed25519 key",
      );
    }
    if (signers.length > POLICY_CHANGE_LIMITS.signers) {
      throw new Error(
        `cannot use --policy-signers \`${path}\`: more than ${POLICY_CHANGE_LIMITS.signers} keys`,
      );
    }
  }
  return signers;
}
