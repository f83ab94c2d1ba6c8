"""/healthz, /readyz and /acceptz, for those who run the house."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from quart import Blueprint, Quart, current_app
from quart.typing import ResponseReturnValue

from shared.broker.base import Broker
from shared.errors import StoreUnavailable
from shared.store import Store

_DRAINING = "nunmal_draining"


def begin_drain(app: Quart) -> None:
    """From now on /acceptz and /readyz answer 503, so that balancers send nobody new; all else is still served."""
    app.extensions[_DRAINING] = True


def ops_blueprint(
    store: Store, broker: Broker, lane: str, stale_after_s: float, extra_ready: Callable[[], bool] | None
) -> Blueprint:
    """`extra_ready`: one more condition, asked at each request (`nunmal up` waits for its worker's self-test)."""
    blueprint = Blueprint("ops", __name__)
    stale_after = timedelta(seconds=stale_after_s)

    @blueprint.get("/healthz")
    async def healthz() -> ResponseReturnValue:
        """The event loop turns."""
        return {"alive": True}

    @blueprint.get("/acceptz")
    async def acceptz() -> ResponseReturnValue:
        """200 until this node ends: what a balancer asks. Where store or broker are away, every node tells people so
        itself, and shows what can be shown."""
        is_draining = current_app.extensions.get(_DRAINING, False)
        return {"accepts": not is_draining}, 503 if is_draining else 200

    @blueprint.get("/readyz")
    async def readyz() -> ResponseReturnValue:
        """200 if people can be served; the workers' state is told, not required."""
        try:
            await store.ping()
            workers = await store.workers.alive(stale_after, lane)
            has_store = True
        except StoreUnavailable:
            workers, has_store = [], False
        has_broker = broker.is_connected
        is_draining = current_app.extensions.get(_DRAINING, False)
        is_ready = has_store and has_broker and not is_draining and (extra_ready is None or extra_ready())
        report = {
            "ready": is_ready,
            "draining": is_draining,
            "store": has_store,
            "broker": has_broker,
            "workers": {
                "lane": lane,
                "alive": len(workers),
                "slots": sum(worker.slots for worker in workers),
                "busy": sum(worker.busy for worker in workers),
            },
        }
        return report, 200 if is_ready else 503

    return blueprint
