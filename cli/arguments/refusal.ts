/**
 * Usage errors in the suite's voice: lower case, received values in backticks, a next step.
 *
 * @module
 */
import type { Message, MessageTerm } from "@optique/core/message";

/** The text of a parser error, without the leading `error:`. */
export function refusalText(error: Message): string {
  const [first = "", ...rest] = error.map(termText).join("").split("\n")
    .map((line) => line.trim().replace(/\.$/, ""))
    .filter((line) => line !== "");
  // The library's words for "nothing was given where a command belongs".
  const sentence = first.startsWith("No matching") ? "a command is missing" : startLower(first);
  if (rest.length === 0) return sentence;
  const [question = "", ...listed] = rest;
  const only = /^Did you mean `?([^`?]+)`?\?$/.exec(question)?.[1];
  const words = only === undefined ? listed : [only, ...listed];
  if (words.length === 0) return `${sentence}; ${startLower(question)}`;
  // A flag of another command is no help to who wrote just that.
  const suggestions = words.filter((word) => !sentence.endsWith(`\`${word}\``));
  return suggestions.length === 0
    ? `${sentence}: this command has no such flag`
    : `${sentence}; did you mean ${suggestions.join(" or ")}?`;
}

/** Names of flags and metavariables keep their case. */
function startLower(text: string): string {
  return text.replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase());
}

function termText(term: MessageTerm): string {
  switch (term.type) {
    case "text":
      return term.text;
    case "optionName":
      return term.optionName;
    case "optionNames":
      return term.optionNames.join(" or ");
    case "metavar":
      return term.metavar;
    case "value":
      return quoted(term.value);
    case "values":
      return term.values.map(quoted).join(" ");
    case "envVar":
      return term.envVar;
    case "commandLine":
      return quoted(term.commandLine);
    case "lineBreak":
      return "\n";
    case "url":
      return term.url.href;
  }
}

/** Longest received value that is repeated. */
const QUOTED_CHARS_MAX = 80;

function quoted(value: string): string {
  const short = value.length > QUOTED_CHARS_MAX ? `${value.slice(0, QUOTED_CHARS_MAX)}…` : value;
  return `\`${JSON.stringify(short).slice(1, -1).replaceAll('\\"', '"')}\``;
}
