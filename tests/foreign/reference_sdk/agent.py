"""An agent under the reference's own Python SDK: real LangChain tools, the real native core.

Usage: agent.py GATEWAY RUNTIME_SOCKET STATE_DIR [--wait], with `agent-assembly` and `langchain`
installed. Prints one JSON object; with `--wait` it goes on after a line on standard input, so that
something can happen to the gateway or the runtime in between.
"""

import json
import os
import sys

GATEWAY, SOCKET, STATE = sys.argv[1:4]
os.environ["AASM_STATE_DIR"] = STATE
os.environ["AA_GATEWAY_ENDPOINT"] = GATEWAY
os.environ["AA_RUNTIME_SOCKET"] = SOCKET

from agent_assembly import init_assembly  # noqa: E402 - reads its environment at import
from agent_assembly.adapters.langchain.runtime import get_active_callback_handler  # noqa: E402
from langchain_core.tools import tool  # noqa: E402

ran: list[str] = []


@tool
def search(q: str) -> str:
    """Looks something up."""
    ran.append("search")
    return f"about {q}"


@tool
def rm(path: str) -> str:
    """Removes a file."""
    ran.append("rm")
    return f"removed {path}"


@tool
def mail(text: str) -> str:
    """Sends a mail."""
    ran.append("mail")
    return f"sent {text}"


def attempt(governed, arguments: dict[str, str]) -> str:
    handler = get_active_callback_handler()
    try:
        return f"returned: {governed.invoke(arguments, config={'callbacks': [handler]})}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def main() -> None:
    context = init_assembly(
        gateway_url=GATEWAY, agent_id="agent-1", api_key="unused", mode="sdk-only", team_id="ops"
    )
    key = "sk-ant-api03-" + "A1b2C3d4" * 6
    outcome = {
        "registered": context.registered,
        "audit_sink": context.audit_sink,
        "adapters": sorted(type(adapter).__name__ for adapter in context.adapters),
        "search": attempt(search, {"q": "weather"}),
        "rm": attempt(rm, {"path": "/"}),
        "mail": attempt(mail, {"text": f"the key is {key}"}),
    }
    if "--wait" in sys.argv:
        print(json.dumps({"ready": True}), flush=True)
        sys.stdin.readline()
        outcome["afterwards"] = attempt(search, {"q": "news"})
    outcome["ran"] = ran
    context.shutdown()
    print(json.dumps(outcome), flush=True)


main()
