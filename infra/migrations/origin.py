"""Turns that were written before questions came through more than one door do not say that they came from a page."""

from __future__ import annotations

from infra.migrations.migration import Migration
from shared.chat import Origin

ORIGIN = Migration(
    name="generations-origin",
    why="turns older than /v1 say that they were asked on a page, so that a query by door finds them too",
    collection="generations",
    missing="origin",
    values={"origin": str(Origin.PAGE)},
)
