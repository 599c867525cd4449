"""The reference's approval flow in another language: register, ask, be held, be decided, act once.

usage: approval_flow.py ADDRESS GENERATED_DIR
Prints one JSON object: step name -> what the gateway answered.
"""
import json
import sys
import threading
import time

ADDRESS, GENERATED = sys.argv[1:3]
sys.path.insert(0, GENERATED)

import grpc  # noqa: E402
from assembly.agent.v1 import agent_pb2 as lifecycle  # noqa: E402
from assembly.approval.v1 import approval_pb2 as approval  # noqa: E402
from assembly.common.v1 import common_pb2 as common  # noqa: E402
from assembly.policy.v1 import policy_pb2 as policy  # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: E402

channel = grpc.insecure_channel(ADDRESS)
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
TIMEOUT_S = 30


def unary(service, method, request_type, response_type):
    return channel.unary_unary(
        f"/assembly.{service}/{method}",
        request_serializer=request_type.SerializeToString,
        response_deserializer=response_type.FromString,
    )


challenge = unary("agent.v1.AgentLifecycleService", "RequestChallenge", lifecycle.ChallengeRequest, lifecycle.ChallengeResponse)
register = unary("agent.v1.AgentLifecycleService", "Register", lifecycle.RegisterRequest, lifecycle.RegisterResponse)
check = unary("policy.v1.PolicyService", "CheckAction", policy.CheckActionRequest, policy.CheckActionResponse)
list_pending = unary("approval.v1.ApprovalService", "ListPending", approval.ListPendingRequest, approval.ListPendingResponse)
decide = unary("approval.v1.ApprovalService", "Decide", approval.DecideRequest, approval.DecideResponse)


def base58(data):
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = ALPHABET[rest] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


class Agent:
    """A registered agent of team acme/ops."""

    def __init__(self, name, parent=None):
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.did = "did:key:z" + base58(b"\xed\x01" + public)
        self.id = common.AgentId(org_id="acme", team_id="ops", agent_id=self.did)
        nonce = challenge(lifecycle.ChallengeRequest(agent_id=self.id, public_key=public.hex())).nonce
        request = lifecycle.RegisterRequest(
            agent_id=self.id, name=name, framework="python", version="1", risk_tier=1, public_key=public.hex(),
            registration_nonce=nonce, possession_proof=key.sign(nonce),
        )
        if parent is not None:
            request.parent_agent_id = parent.did
        self.token = register(request).credential_token

    def metadata(self):
        return [("x-aa-credential-token", self.token)]

    def check(self, amount, *metadata):
        request = policy.CheckActionRequest(
            agent_id=self.id, credential_token=self.token, trace_id="flow", span_id="1", action_type=2,
            context=policy.ActionContext(tool_call=policy.ToolCallContext(
                tool_name="pay", args_json=json.dumps({"amount": amount}).encode())),
        )
        try:
            response, rpc = check.with_call(request, timeout=TIMEOUT_S, metadata=list(metadata))
        except grpc.RpcError as error:
            return {"status": error.code().name, "details": error.details()}
        trailers = {key: value for key, value in rpc.trailing_metadata() if key == "aasm-resume"}
        return {"decision": response.decision, "reason": response.reason, "rule": response.policy_rule,
                "approval_id": response.approval_id, **trailers}

    def pending(self):
        return list(list_pending(approval.ListPendingRequest(), metadata=self.metadata()).requests)

    def decide(self, request_id, verdict, reason=""):
        try:
            response = decide(approval.DecideRequest(request_id=request_id, decision=verdict, reason=reason, decided_by="the boss"),
                              metadata=self.metadata())
        except grpc.RpcError as error:
            return {"status": error.code().name, "details": error.details()}
        return {"success": response.success, "error": response.error_message}


def wait_for_request(agent, known=()):
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        found = [one for one in agent.pending() if one.request_id not in known]
        if found:
            return found[0]
        time.sleep(0.05)
    raise TimeoutError("no approval request appeared")


steps = {}
worker, colleague = Agent("worker"), Agent("colleague")
child = Agent("child of worker", parent=worker)

# Blocking, as the reference's clients do: the call hangs until another principal decides.
box = {}
thread = threading.Thread(target=lambda: box.update(worker.check(500)))
thread.start()
held = wait_for_request(colleague)
steps["held"] = {"agent": held.agent_id == worker.did, "team": held.team_id, "condition": held.condition_triggered}
steps["self_approval"] = worker.decide(held.request_id, approval.APPROVED)
steps["lineage_approval"] = child.decide(held.request_id, approval.APPROVED)
steps["still_held"] = thread.is_alive()
steps["rejected_without_reason"] = colleague.decide(held.request_id, approval.REJECTED)
steps["decided"] = colleague.decide(held.request_id, approval.APPROVED)
thread.join(TIMEOUT_S)
steps["allowed"] = box
steps["decided_again"] = colleague.decide(held.request_id, approval.APPROVED)
steps["unknown"] = colleague.decide("00000000-0000-4000-8000-000000000000", approval.APPROVED)
steps["not_a_uuid"] = colleague.decide("nope", approval.APPROVED)

# Deferred: the call comes back at once with a token, and is asked again once it is decided.
defer = ("aasm-approval", "defer")
pending = worker.check(900, defer)
steps["deferred"] = {"decision": pending.get("decision"), "token": "aasm-resume" in pending}
resume = ("aasm-resume", pending.get("aasm-resume", ""))
steps["decided_deferred"] = colleague.decide(pending.get("approval_id", ""), approval.APPROVED)
steps["mutated"] = worker.check(901, defer, resume)
steps["stolen"] = colleague.check(900, defer, resume)
steps["resumed"] = worker.check(900, defer, resume)
steps["second_use"] = worker.check(900, defer, resume)

refused = worker.check(700, defer)
steps["rejected"] = colleague.decide(refused.get("approval_id", ""), approval.REJECTED, "not this month")
steps["after_rejection"] = worker.check(700, defer, ("aasm-resume", refused.get("aasm-resume", "")))
print(json.dumps(steps))
