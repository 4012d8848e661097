"""
Automatic scaling of task nodes (V1.1).

Source: v1.1 reference (auto scaling). Its limits are not documented; a policy is read back by V2 alone.
"""

from __future__ import annotations

from typing import Final

from mrs_relay.mrs import operation
from mrs_relay.mrs.models import clusters, policies

CREATE_SCALING_POLICY: Final[operation.Operation[policies.PolicyToSet, clusters.OutcomeReply]] = operation.Operation(
    name="CreateScalingPolicy",
    verb="POST",
    path="/v1.1/{project_id}/autoscaling-policy/{cluster_id}",
    safety=operation.Safety.REPEATABLE_WRITE,
    per_minute=None,
    body=policies.PolicyToSet,
    reply=clusters.OutcomeReply,
    accepted=frozenset({200, 202}),
    source="mrs_02_0056",
)
"""Set the policy of the task nodes; the one before it is replaced as a whole."""
