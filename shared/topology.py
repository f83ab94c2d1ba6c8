"""Every exchange, queue, routing key and queue argument. Tried on RabbitMQ 3.10 and 4.x.

What an operator may want to tune (max-length, delivery-limit) is set by policy (infra/rabbitmq/), never as a
queue argument, because arguments cannot change while the queue lives.
"""

from __future__ import annotations

import re

REQUESTS_EXCHANGE = "chat.req"  # direct, durable; key = lane
DEAD_EXCHANGE = "chat.dlx"  # direct, durable
DEAD_QUEUE = "chat.req.dead"  # quorum
TOKENS_EXCHANGE = "chat.tok"  # direct, durable; key = web node id
CONTROL_EXCHANGE = "chat.ctl"  # topic, durable

CANCEL_KEY = "cancel"
ADAPTERS_KEY = "adapters.reload"

CHAT_JOBS = "chat"  # the kind of job that answers a turn of a conversation
INGEST_LANE = "ingest.documents"  # the kind of job that reads a document; no model is in it
REINDEX_LANE = "reindex.documents"  # the kind of job that indexes a document anew that was read already
DIGEST_LANE = "digest.articles"  # the kind of job that digests an article

# Looking at a dead letter delivers it, and RabbitMQ 4 drops what was delivered 20 times from a queue without a limit.
DEAD_QUEUE_ARGUMENTS: dict[str, str | int] = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}
REQUEST_QUEUE_ARGUMENTS: dict[str, str | int] = {
    "x-queue-type": "quorum",
    "x-overflow": "reject-publish",
    "x-dead-letter-exchange": DEAD_EXCHANGE,
    "x-dead-letter-routing-key": DEAD_QUEUE,
    "x-dead-letter-strategy": "at-least-once",
}
NODE_QUEUE_ARGUMENTS: dict[str, str | int] = {"x-max-length": 20_000, "x-overflow": "drop-head"}


def lane(kind: str, model_name: str) -> str:
    """`<kind of job>.<model>`, for example `chat.reference`: one queue for all who can do this job."""
    return f"{kind}.{model_name}"


def request_queue(lane_name: str) -> str:
    return f"chat.req.{lane_name}.v1"


def worker_key(worker_id: str) -> str:
    """Routing key of commands to one worker."""
    return f"worker.{worker_id}.command"


def worker_binding(worker_id: str) -> str:
    return f"worker.{worker_id}.#"


def model_slug(model: str) -> str:
    """The name of a model in lanes and pages: the last part of its path or hub id, lower case, safe characters."""
    last = re.split(r"[/\\]+", model.rstrip("/\\"))[-1].lower()
    return re.sub(r"[^a-z0-9._-]+", "-", last).strip("-.") or "model"
