/**
 * What a client says of itself beyond the reference's protocol.
 *
 * The handshake's messages are the reference's and hold no field for it. It stands in the version's
 * build metadata (https://semver.org §10), which the client signs and which no comparison of
 * versions looks at: `0.4.0+redacts.acks`. A client that says nothing gets the reference's
 * protocol, in which event reports are sent and forgotten (contract `interception` §9.1 R3).
 *
 * @module
 */

/** What the build words of a signed version say. */
export interface ClientWords {
  /** `redacts`: this client applies a REDACT answer before it acts. To others it is a denial. */
  readonly redacts: boolean;
  /**
   * `acks`: this client wants one `Ack` frame for each event report, in the reports' order, once
   * the event is durable. Acks come between answers as they happen and carry no number: it counts.
   */
  readonly acks: boolean;
  /** `explains`: this client reads rule and smallest change behind a refusal's reason. */
  readonly explains: boolean;
}

/**
 * The version to sign in order to say something.
 *
 * @param version The client's own version, e.g. `0.4.0`; what labels and comparisons mean.
 */
export function withClientWords(version: string, words: Partial<ClientWords>): string {
  const said = [
    ...words.redacts === true ? ["redacts"] : [],
    ...words.acks === true ? ["acks"] : [],
    ...words.explains === true ? ["explains"] : [],
  ];
  if (said.length === 0) return version;
  return `${version}${version.includes("+") ? "." : "+"}${said.join(".")}`;
}

/** What a signed version says, and the version itself: all before the build metadata. */
export function readClientWords(
  signed_version: string,
): ClientWords & { readonly version: string } {
  const plus = signed_version.indexOf("+");
  if (plus < 0) return { version: signed_version, redacts: false, acks: false, explains: false };
  const words = new Set(signed_version.slice(plus + 1).split("."));
  return {
    version: signed_version.slice(0, plus),
    redacts: words.has("redacts"),
    acks: words.has("acks"),
    explains: words.has("explains"),
  };
}
