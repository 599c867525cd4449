"""A client of the contract in another language: grpcio (C-core) and the .proto files, nothing of ours.

usage: check_action.py ADDRESS GENERATED_DIR REGISTERED_DID TOKEN
Prints one JSON object: scenario name -> what the gateway answered.
"""
import json
import sys

ADDRESS, GENERATED, DID, TOKEN = sys.argv[1:5]
sys.path.insert(0, GENERATED)

import grpc  # noqa: E402
from assembly.common.v1 import common_pb2 as common  # noqa: E402
from assembly.policy.v1 import policy_pb2 as policy  # noqa: E402

channel = grpc.insecure_channel(ADDRESS)
PATH = "/assembly.policy.v1.PolicyService/"
check = channel.unary_unary(
    PATH + "CheckAction",
    request_serializer=policy.CheckActionRequest.SerializeToString,
    response_deserializer=policy.CheckActionResponse.FromString,
)
batch = channel.unary_unary(
    PATH + "BatchCheck",
    request_serializer=policy.BatchCheckRequest.SerializeToString,
    response_deserializer=policy.BatchCheckResponse.FromString,
)
raw = channel.unary_unary(PATH + "CheckAction")
health = channel.unary_unary("/grpc.health.v1.Health/Check")


def tool(name, args="{}", agent="plain-agent", token="", team=""):
    return policy.CheckActionRequest(
        agent_id=common.AgentId(org_id="conformance", team_id=team, agent_id=agent),
        credential_token=token,
        trace_id="trace-1",
        span_id="span-1",
        action_type=2,
        context=policy.ActionContext(
            tool_call=policy.ToolCallContext(tool_name=name, args_json=args.encode())
        ),
    )


def ask(call, request):
    try:
        response, rpc = call.with_call(request, timeout=5)
    except grpc.RpcError as error:
        return {"status": error.code().name, "details": error.details()}
    if isinstance(response, bytes):
        return {"status": "OK", "bytes": response.hex()}
    if hasattr(response, "responses"):
        return {"status": "OK", "decisions": [one.decision for one in response.responses]}
    trailers = {key: value for key, value in rpc.trailing_metadata() if key.startswith("aasm-") and not key.endswith("-bin")}
    return {
        "status": "OK",
        "decision": response.decision,
        "reason": response.reason,
        "policy_rule": response.policy_rule,
        "assurance": response.agent_identity_assurance,
        "latency_set": response.decision_latency_us >= 0,
        "redact": [[rule.field_path, rule.replacement] for rule in response.redact.rules],
        "trailers": trailers,
    }


GITHUB_TOKEN = "ghp_" + "AbCdEfGh"
no_context = tool("read_file")
no_context.ClearField("context")
bad_file = tool("read_file")
bad_file.context.file_op.operation = "chmod"
bad_file.context.file_op.path = "/workspace/x"
unknown_enum = tool("read_file")
unknown_enum.action_type = 99

print(json.dumps({
    "allow": ask(check, tool("read_file", '{"path":"/workspace/a.txt"}')),
    "deny": ask(check, tool("bash", '{"command":"rm -rf /"}')),
    "redact": ask(check, tool("read_file", json.dumps({"note": GITHUB_TOKEN}))),
    "bound": ask(check, tool("read_file", agent=DID, token=TOKEN)),
    "identity_missing": ask(check, tool("read_file", agent=DID)),
    "identity_mismatch": ask(check, tool("read_file", agent=DID, token="00000000-0000-4000-8000-000000000000")),
    "identity_other": ask(check, tool("read_file", agent="someone-else", token=TOKEN)),
    "unattributed": ask(check, tool("read_file", agent="")),
    "no_context": ask(check, no_context),
    "bad_file_operation": ask(check, bad_file),
    "unknown_enum": ask(check, unknown_enum),
    "undecodable": ask(raw, b"\xff\xff\xff\xff"),
    "empty": ask(raw, b""),
    "oversized": ask(check, tool("read_file", "x" * (5 << 20))),
    "unknown_method": ask(channel.unary_unary("/assembly.policy.v1.PolicyService/Nope"), b""),
    "batch": ask(batch, policy.BatchCheckRequest(requests=[tool("read_file"), tool("bash"), tool("read_file")])),
    "batch_malformed": ask(batch, policy.BatchCheckRequest(requests=[tool("read_file"), no_context])),
    "health": ask(health, b""),
}))
