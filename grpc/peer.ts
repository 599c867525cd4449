/**
 * Who is at the other end of a connection.
 *
 * @module
 */

/** A certificate the TLS layer has verified against the configured authority. */
export interface PeerCertificate {
  /** Attributes of the subject, for example `{ CN: "agent-1" }`; repeated ones joined by `, `. */
  readonly subject: Record<string, string>;
  /** Alternative names with their kind, for example `DNS:agent-1.local` or `URI:spiffe://a/b`. */
  readonly subject_alternative_names: readonly string[];
  /** SHA-256 of the certificate, lower-case hexadecimal without separators. */
  readonly fingerprint_sha256: string;
}

/** The other end of a connection. */
export interface Peer {
  readonly transport: "tcp" | "unix" | "tls";
  /** `host:port`, or the socket's path. */
  readonly address: string;
  /** Present only under mutual TLS, and then always verified. */
  readonly certificate?: PeerCertificate;
}
