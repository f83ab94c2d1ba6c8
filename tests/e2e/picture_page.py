"""What a person does with pictures on the chat page."""

from __future__ import annotations

from playwright.async_api import FilePayload, Page

from shared.chat import Generation
from tests.e2e.conftest import Site


def file(name: str, data: bytes) -> FilePayload:
    """As somebody's computer offers it, whatever is in it."""
    return {"name": name, "mimeType": "image/png", "buffer": data}


async def choose(page: Page, *pictures: bytes) -> None:
    """By the button; their names are 0.png, 1.png, ..."""
    files = [file(f"{number}.png", data) for number, data in enumerate(pictures)]
    await page.get_by_label("사진 추가").set_input_files(files)


async def send(page: Page, text: str) -> None:
    await page.get_by_label("메시지").fill(text)
    await page.get_by_role("button", name="보내기").click()


async def asked(site: Site) -> list[Generation]:
    """All questions in the store, oldest first."""
    rows = await site.store.generations._generations.find({}, {"_id": 1}).to_list(None)
    found = await site.store.generations.get_many(str(row["_id"]) for row in rows)
    return [found[key] for key in sorted(found)]
