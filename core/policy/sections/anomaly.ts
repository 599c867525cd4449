/**
 * `anomaly`: what happens when a detector speaks (contract `policy-and-gateway` §9).
 *
 * @module
 */
import {
  type AnomalyResponse,
  DETECTOR_NAMES,
  type DetectorName,
} from "../../anomaly/detectors.ts";
import type { AnomalyRules } from "../document.ts";
import type { BODY } from "../language.ts";
import type { Located } from "../position.ts";
import type { Read } from "../read.ts";
import { plain } from "./located.ts";

type Section = Read<typeof BODY.keys.anomaly>;

/** The stated responses of a document, in the order of the detectors. */
export function readAnomaly(section: Section): AnomalyRules {
  const responses = new Map<DetectorName, Located<AnomalyResponse>>();
  for (const name of DETECTOR_NAMES) {
    const stated = section.value[name];
    if (stated !== undefined) responses.set(name, plain(stated));
  }
  return { at: section.key_at, responses };
}
