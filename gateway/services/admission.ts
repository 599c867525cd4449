/**
 * On whose word an agent joins: its own, an enrolment's, or for a SPIFFE id the verified
 * certificate's (trap 38).
 *
 * @module
 */
import { type CallContext, Code, GrpcError } from "../../grpc/mod.ts";
import { claimsSpiffe, spiffeIdOfCertificate } from "../identity/spiffe.ts";
import { EnrolmentError, type EnrolmentFailure, type Enrolments } from "../registry/enrolments.ts";
import type { Registration } from "../registry/registration.ts";
import type { Admission, Registry } from "../registry/registry.ts";

/** Metadata in which an agent shows its enrolment token. */
export const ENROLMENT_METADATA = "x-aa-enrolment";

/** What admission depends on. */
export interface AdmissionDependencies {
  readonly registry: Registry;
  readonly enrolments: Enrolments;
  readonly require_enrolment: boolean;
}

/**
 * Runs `register` on the word of an enrolment, or on the agent's own where that is let pass. A token
 * that is shown and not accepted is refused, never ignored.
 *
 * @param registration Its key has been proven.
 * @throws {GrpcError} `UNAUTHENTICATED`, `PERMISSION_DENIED`, naming the field.
 */
export async function admitted<T>(
  on: AdmissionDependencies,
  registration: Registration,
  { metadata, peer }: Pick<CallContext, "metadata" | "peer">,
  register: (admission?: Admission) => Promise<T>,
): Promise<T> {
  // The same agent with the same key: it was admitted when it registered.
  if (on.registry.awaitsToken(registration)) return await register();
  const names = peer.certificate?.subject_alternative_names ?? [];
  const certified = spiffeIdOfCertificate(names) === registration.agent_id;
  const token = metadata.get(ENROLMENT_METADATA)?.trim() ?? "";
  if (token !== "") {
    try {
      return await on.enrolments.admit(token, { ...registration, certified }, register);
    } catch (error) {
      throw error instanceof EnrolmentError ? enrolmentStatus(error) : error;
    }
  }
  if (claimsSpiffe(registration.agent_id) && !certified) {
    throw refused(
      "agent_id.agent_id: nothing binds this SPIFFE id to the key: send an enrolment that names " +
        `it in \`${ENROLMENT_METADATA}\`, or connect with its certificate over mutual TLS`,
    );
  }
  if (on.require_enrolment) throw refused(selfAsserted(registration));
  return await register();
}

function selfAsserted({ org_id, team_id }: Registration): string {
  const field = org_id === "" ? "team_id" : "org_id";
  const said = org_id === "" ? team_id : org_id;
  const what = said === "" ? "no tenant is named" : `\`${said.slice(0, 64)}\` is self-asserted`;
  return `agent_id.${field}: ${what}, and this gateway registers enrolled agents only: send an ` +
    `enrolment token in \`${ENROLMENT_METADATA}\`; an operator makes one with \`aasm agent enrol create\``;
}

function refused(message: string): GrpcError {
  return new GrpcError(message, Code.PERMISSION_DENIED);
}

const CODES: Readonly<Record<EnrolmentFailure, Code>> = {
  invalid_field: Code.INVALID_ARGUMENT,
  limit_reached: Code.RESOURCE_EXHAUSTED,
  not_found: Code.NOT_FOUND,
  token_refused: Code.UNAUTHENTICATED,
  not_admitted: Code.PERMISSION_DENIED,
  wrong_state: Code.FAILED_PRECONDITION,
};

/** The status of a refused enrolment. */
export function enrolmentStatus(error: EnrolmentError): GrpcError {
  return new GrpcError(error.message, CODES[error.code], { cause: error });
}
