/**
 * The identity in a verified client certificate.
 *
 * @module
 */

import type { TLSSocket } from "node:tls";
import type { PeerCertificate } from "./peer.ts";

/**
 * Reads the certificate of a socket whose handshake verified it.
 *
 * @returns undefined when the socket is not authorized or has none
 */
export function peerCertificateOf(socket: TLSSocket): PeerCertificate | undefined {
  if (!socket.authorized) return undefined;
  const certificate = socket.getPeerCertificate();
  const fingerprint = certificate?.fingerprint256;
  if (typeof fingerprint !== "string" || fingerprint === "") return undefined;
  const subject: Record<string, string> = {};
  for (const [name, value] of Object.entries(certificate.subject ?? {})) {
    subject[name] = Array.isArray(value) ? value.join(", ") : String(value);
  }
  return {
    subject,
    subject_alternative_names: splitAlternativeNames(certificate.subjectaltname ?? ""),
    fingerprint_sha256: fingerprint.replaceAll(":", "").toLowerCase(),
  };
}

/**
 * Splits `DNS:a, URI:b`. A name that holds a comma or quote comes as a JSON string after its kind;
 * splitting inside it would let a certificate claim names it was not given.
 */
export function splitAlternativeNames(text: string): string[] {
  const names: string[] = [];
  let rest = text.trim();
  while (rest !== "") {
    const match = /^([A-Za-z][A-Za-z ]*):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/.exec(rest);
    if (match === null) return []; // Not a form we know: claim nothing.
    const kind = match[1] ?? "";
    const value = match[2] ?? "";
    names.push(`${kind}:${value.startsWith('"') ? unquote(value) : value}`);
    rest = rest.slice(match[0].length);
  }
  return names;
}

function unquote(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return text;
  }
}
