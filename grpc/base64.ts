/**
 * Base64 of binary metadata: written without padding, read with or without it
 * (gRPC over HTTP/2, "Custom-Metadata").
 *
 * @module
 */

const ALPHABET = /^[A-Za-z0-9+/]*={0,2}$/;

/** Bytes as standard base64 without padding. */
export function encodeBase64(bytes: Uint8Array): string {
  let binary = "";
  for (let index = 0; index < bytes.length; index += 8192) {
    binary += String.fromCharCode(...bytes.subarray(index, index + 8192));
  }
  return btoa(binary).replace(/=+$/, "");
}

/** The bytes of a base64 text, or undefined when it is not base64. */
export function decodeBase64(text: string): Uint8Array | undefined {
  if (!ALPHABET.test(text)) return undefined;
  const unpadded = text.replace(/=+$/, "");
  if (unpadded.length % 4 === 1) return undefined;
  const binary = atob(unpadded);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < binary.length; index++) bytes[index] = binary.charCodeAt(index);
  return bytes;
}
