"""A long conversation opens at its end; what came before is one link away."""

from __future__ import annotations

import re

from quart import Quart

from shared.store import Store
from tests.long_conversation import talk_long
from tests.web_operators import id_of
from tests.web_visitor import WebVisitor
from web.chat.windowing import AT_ONCE


async def test_the_last_turns_are_shown_and_a_link_leads_to_all(app: Quart, store: Store) -> None:
    person = WebVisitor(app)
    ids = await talk_long(store, await id_of(store, await person.sign_up()), AT_ONCE + 5, "**네**, 맞아요.")
    await person.get(f"/chat/{ids[0]}")
    assert re.findall(r'id="turn-([^"]+)"', person.page) == ids[5:]
    assert "(앞에 5번 더 있어요)" in person.page

    (link,) = re.findall(r'class="note earlier"><a href="([^"#]+)#', person.page)
    await person.get(link)
    assert re.findall(r'id="turn-([^"]+)"', person.page) == ids
    assert "earlier" not in person.page

    response = await person.post(f"/chat/{ids[0]}/turns/{ids[1]}/pin", pinned="1")
    await person.get((response.location or "").partition("#")[0])
    assert f'id="turn-{ids[1]}"' in person.page
