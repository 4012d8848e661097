"""
The request types: a model each, a file for each resource; `parse` turns an envelope into a checked request.

A model's docstring and field descriptions are the reference that `schemas/` carries to other teams. Read `base.py`
first, then `jobs.py`. A new type needs a model and a line in `parsing.MODELS`.
"""

from mrs_relay.messages.requests.base import (
    Api,
    Cluster,
    ClusterChoice,
    ClusterId,
    JobName,
    Queued,
    RetryPolicy,
    Submission,
)
from mrs_relay.messages.requests.calls import Call
from mrs_relay.messages.requests.clusters import ClusterCreate, ClusterDelete, ClusterFlow, ClusterResize
from mrs_relay.messages.requests.control import JobCancel, JobResolve, Target
from mrs_relay.messages.requests.jobs import MAX_ARGUMENTS, MAX_PROPERTIES, BatchJob, JobDelete, JobSubmit, JobType
from mrs_relay.messages.requests.parsing import MODELS, ClusterRequest, Request, Work, faults, parse
from mrs_relay.messages.requests.sql import Delivery, SqlSubmit

__all__ = [
    "MAX_ARGUMENTS",
    "MAX_PROPERTIES",
    "MODELS",
    "Api",
    "BatchJob",
    "Call",
    "Cluster",
    "ClusterChoice",
    "ClusterCreate",
    "ClusterDelete",
    "ClusterFlow",
    "ClusterId",
    "ClusterRequest",
    "ClusterResize",
    "Delivery",
    "JobCancel",
    "JobDelete",
    "JobName",
    "JobResolve",
    "JobSubmit",
    "JobType",
    "Queued",
    "Request",
    "RetryPolicy",
    "SqlSubmit",
    "Submission",
    "Target",
    "Work",
    "faults",
    "parse",
]
