/**
 * Findings that an operator has excused: scoped, expiring, and always reported.
 *
 * @module
 */
export {
  applySuppressions,
  type KeyedHash,
  type ParsedSuppressions,
  parseSuppressions,
  type SuppressedFinding,
  type Suppression,
  type SuppressionContext,
  suppressionInput,
  type SuppressionProblem,
  type SuppressionResult,
  type SuppressionScope,
} from "./suppression.ts";
