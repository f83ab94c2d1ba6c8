"""Jobs: the same generations, asked now and fetched later, from anywhere."""

from __future__ import annotations

import pytest
from quart import Quart

from shared.chat import GenerationState, JobClass
from shared.errors import GenerationCrashed
from shared.store import Store
from tests.integration.web.api.conftest import HELLO, Desk, program_of
from tests.integration.web.api.conftest import Program as Client
from tests.scripted_worker import ScriptedWorker
from tests.web_visitor import parse_events, text_of

pytestmark = pytest.mark.timeout(30)


async def test_a_job_is_accepted_followed_and_fetched(program: Client, worker: ScriptedWorker) -> None:
    response = await program.post("/v1/jobs", HELLO)
    job = await response.get_json()
    assert response.status_code == 202
    assert response.headers["Location"] == job["status_url"]
    assert job["completion_id"] == f"chatcmpl-{job['id']}"

    events = parse_events(await (await program.get(job["stream_url"])).get_data(as_text=True))
    for name in (job["id"], job["completion_id"]):
        found = await (await program.get(f"/v1/jobs/{name}")).get_json()
        assert (found["status"], found["text"], found["place"]) == ("done", "안녕하세요!", None)
        assert found["result"]["choices"][0]["message"]["content"] == "안녕하세요!"
        assert found["result"]["id"] == job["completion_id"]
        assert events[-1].data == found
    assert text_of(events) == "안녕하세요!"
    assert events[-1].name == "done"


async def test_a_stream_goes_on_where_it_broke_off(program: Client, worker: ScriptedWorker) -> None:
    job = await (await program.post("/v1/jobs", HELLO)).get_json()
    await (await program.get(job["stream_url"])).get_data()

    response = await program.get(job["stream_url"], **{"Last-Event-ID": "1.2"})
    events = parse_events(await response.get_data(as_text=True))

    assert [(event.name, event.id) for event in events] == [("text", "1.6"), ("done", "1.6")]
    assert events[0].data == {"offset": 2, "text": "하세요!"}


async def test_a_job_that_waits_tells_its_place(program: Client) -> None:
    await program.post("/v1/jobs", HELLO)
    job = await (await program.post("/v1/jobs", HELLO)).get_json()

    assert (job["status"], job["place"]) == ("queued", {"ahead": 1, "wait_s": None})


async def test_bulk_goes_after_who_waits(program: Client, store: Store) -> None:
    bulk = await (await program.post("/v1/jobs", HELLO | {"priority": "bulk"})).get_json()
    soon = await (await program.post("/v1/jobs", HELLO)).get_json()

    claims = [await store.generations.claim("chat.test", "w") for _ in range(2)]
    assert [claim.id for claim in claims if claim] == [soon["id"], bulk["id"]]
    assert [claim.job_class for claim in claims if claim] == [JobClass.INTERACTIVE, JobClass.BULK]
    assert (bulk["priority"], soon["priority"]) == ("bulk", "interactive")


async def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_is_told(program: Client, desk: Desk) -> None:
    running = await (await program.post("/v1/jobs", HELLO)).get_json()
    await desk.claimed()
    response = await program.post(running["cancel_url"], {})

    assert response.status_code == 200
    assert await desk.cancelled() == running["id"]


async def test_a_job_nobody_took_is_stopped_with_what_it_has(program: Client) -> None:
    waiting = await (await program.post("/v1/jobs", HELLO)).get_json()
    stopped = await (await program.post(waiting["cancel_url"], {})).get_json()
    again = await (await program.post(waiting["cancel_url"], {})).get_json()

    assert stopped["status"] == "stopped"
    assert stopped["result"]["choices"][0]["message"]["content"] == ""
    assert again == stopped


async def test_a_failed_job_says_why(program: Client, store: Store, desk: Desk) -> None:
    job = await (await program.post("/v1/jobs", HELLO)).get_json()
    claimed = await desk.claimed()
    await store.generations.finish(claimed.id, 1, GenerationState.FAILED, [], "", GenerationCrashed())

    found = await (await program.get(job["status_url"])).get_json()
    assert (found["status"], found["result"]) == ("failed", None)
    assert found["error"]["code"] == "generation_crashed"


async def test_jobs_are_listed_the_last_first_and_completions_are_not(program: Client, worker: ScriptedWorker) -> None:
    ids = [(await (await program.post("/v1/jobs", HELLO)).get_json())["id"] for _ in range(3)]
    completion = await (await program.post("/v1/chat/completions", HELLO)).get_json()

    listed = await (await program.get("/v1/jobs?limit=2")).get_json()
    assert [job["id"] for job in listed["data"]] == ids[:0:-1]
    found = await (await program.get(f"/v1/jobs/{completion['id']}")).get_json()
    assert found["result"] == completion


async def test_foreign_jobs_are_not_there(app: Quart, store: Store, program: Client) -> None:
    job = await (await program.post("/v1/jobs", HELLO)).get_json()
    other = await program_of(app, store)

    assert (await other.get(job["status_url"])).status_code == 404
    assert (await other.get(job["stream_url"])).status_code == 404
    assert (await other.post(job["cancel_url"], {})).status_code == 404
    assert (await (await other.get("/v1/jobs")).get_json())["data"] == []
    turn = await store.generations.get(job["id"])
    assert turn is not None
    assert turn.cancel_requested_at is None
