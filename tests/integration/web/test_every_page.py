"""No page is forgotten where all pages are looked at (tests/ux)."""

from __future__ import annotations

from quart import Quart

from tests.ux.addresses import FOR_PROGRAMS, OTHER, PAGES


async def test_every_address_is_known_as_a_page_or_as_something_else(app: Quart) -> None:
    rules = {rule.rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}

    assert {rule for rule in rules if not rule.startswith(FOR_PROGRAMS)} == PAGES | OTHER
    assert not PAGES & OTHER
