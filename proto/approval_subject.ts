/**
 * The action of a request with every field the wire carries: what an approval binds. The domain's
 * own action says less on purpose (hints are not judged, a command's words are joined); a person's
 * yes must cover all of it.
 *
 * @module
 */
import type { CanonicalObject, CanonicalValue } from "@agent-assembly/core/approval/canonical_json";
import type { ActionContext } from "./gen/assembly/policy/v1/policy_pb.ts";

/** Strict: bytes that are no UTF-8 are bound as bytes, not as what a lenient reader makes of them. */
const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Every field of the action, byte for byte.
 *
 * @param context Field 6 of a `CheckActionRequest`.
 * @returns `undefined` when no action is set: such a request is refused before anybody is asked.
 */
export function approvalSubject(context: ActionContext | undefined): CanonicalObject | undefined {
  const action = context?.action;
  if (action === undefined || action.case === undefined) return undefined;
  const unknown = [...context?.$unknown ?? [], ...action.value.$unknown ?? []]
    .map((field) => [field.no, field.wireType, bytes(field.data)]);
  return {
    kind: action.case,
    ...fieldsOf(action),
    // A field this build does not know is still part of what was sent.
    ...(unknown.length === 0 ? {} : { unknown }),
  };
}

type SetAction = Exclude<ActionContext["action"], { case: undefined }>;

function fieldsOf(action: SetAction): CanonicalObject {
  switch (action.case) {
    case "llmCall": {
      const { model, promptTokens, containsPii } = action.value;
      return { model, prompt_tokens: promptTokens, contains_pii: containsPii };
    }
    case "toolCall": {
      const { toolName, toolSource, argsJson, targetUrl } = action.value;
      return {
        tool_name: toolName,
        tool_source: toolSource,
        args_json: bytes(argsJson),
        target_url: targetUrl,
      };
    }
    case "fileOp": {
      const { operation, path, isSensitivePath } = action.value;
      return { operation, path, is_sensitive_path: isSensitivePath };
    }
    case "networkCall": {
      const { host, port, protocol, inAllowlist } = action.value;
      return { host, port, protocol, in_allowlist: inAllowlist };
    }
    case "processExec":
      return { command: action.value.command, args: [...action.value.args] };
    case "toolResult": {
      const { toolName, toolSource, resultJson, sourceUrl } = action.value;
      return {
        tool_name: toolName,
        tool_source: toolSource,
        result_json: bytes(resultJson),
        source_url: sourceUrl,
      };
    }
  }
}

/** Bytes as their text, or, when they are no text, in hex: two forms that cannot be confused. */
function bytes(value: Uint8Array): CanonicalValue {
  try {
    return STRICT.decode(value);
  } catch {
    return { hex: value.toHex() };
  }
}
