"""`nunmal up` as an operator meets it: one line when something is wrong, nothing left behind, nothing lost."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.models import babbling_model
from tests.service import Person, Process, Transcript

LONG = 1500  # tokens; several seconds of writing


@pytest.fixture(scope="module")
def babbler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return babbling_model(tmp_path_factory.mktemp("model") / "babbler", max_new_tokens=LONG)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def up(home: Path, port: int = 0, model: Path | str = "reference") -> Process:
    return Process("up", "--port", str(port), NUNMAL_HOME=str(home), NUNMAL_MODEL=str(model))


class TestWhatIsWrongIsSaidInOneLine:
    def test_taken_port(self, tmp_path: Path) -> None:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = holder.getsockname()[1]

            with up(tmp_path, port) as process:
                code = process.wait()

        assert code == 2
        assert process.output == (
            f"nunmal: port {port} on 127.0.0.1 cannot be used (Address already in use); "
            "choose another: make run PORT=8123\n"
        )

    def test_home_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("not a directory")

        with up(tmp_path / "file" / "home") as process:
            code = process.wait()

        assert code == 2
        (line,) = process.output.splitlines()
        assert line.startswith(f"nunmal: NUNMAL_HOME={tmp_path}/file/home cannot be written (Not a directory)")

    def test_home_that_another_one_uses(self, tmp_path: Path) -> None:
        with up(tmp_path) as first:
            first.wait_ready()

            with up(tmp_path) as second:
                code = second.wait()

        assert code == 2
        (line,) = second.output.splitlines()
        assert line.startswith(f"nunmal: another Nunmal runs in {tmp_path}")

    @pytest.mark.parametrize(("name", "content"), [("nothing-here", None), ("broken", "{not json"), ("empty", "{}")])
    def test_broken_model_directory(self, tmp_path: Path, name: str, content: str | None) -> None:
        model = tmp_path / name
        if content is not None:
            model.mkdir()
            (model / "config.json").write_text(content)

        with up(tmp_path / "home", model=model) as process:
            code = process.wait(60)

        assert code == 2
        assert "Traceback" not in process.output
        last = process.output.splitlines()[-1]
        assert last.startswith("nunmal: ")
        assert name in last
        assert process.members() == []

    def test_a_model_that_embeds_and_is_not_there(self, tmp_path: Path) -> None:
        nowhere = tmp_path / "nowhere"
        with Process("up", "--port", "0", NUNMAL_HOME=str(tmp_path), NUNMAL_EMBEDDING__MODEL=str(nowhere)) as process:
            code = process.wait(60)

        assert code == 2
        said = f"NUNMAL_EMBEDDING__MODEL={nowhere} cannot be used: FileNotFoundError: there is no directory {nowhere}"
        assert process.output.splitlines()[-1] == f"nunmal: {said}"
        assert process.members() == []


class TestEndAndBeginAgain:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    @pytest.mark.parametrize("whole_group", [True, False])
    def test_signal_ends_everything_within_five_seconds(
        self, tmp_path: Path, number: signal.Signals, whole_group: bool
    ) -> None:
        with up(tmp_path) as process:
            process.wait_ready()
            began = time.monotonic()

            process.signal(number, whole_group=whole_group)
            code = process.wait(10)

        assert time.monotonic() - began < 5
        assert code == 0, process.output
        assert "Traceback" not in process.output
        assert process.members() == []

    def test_signal_in_mid_answer_ends_it_too_and_the_answer_goes_on(
        self, tmp_path: Path, babbler: Path, free_port: int
    ) -> None:
        with up(tmp_path, free_port, babbler) as process, Person(process.wait_ready()) as person:
            person.sign_up()
            conversation, have = self._half_an_answer(person)
            began = time.monotonic()
            process.signal(signal.SIGTERM)
            assert process.wait(10) == 0, process.output
            assert time.monotonic() - began < 5

            self._finishes_the_same_answer(tmp_path, babbler, person, conversation, have)

    def test_killing_the_whole_tree_loses_nothing(self, tmp_path: Path, babbler: Path) -> None:
        with up(tmp_path, model=babbler) as process, Person(process.wait_ready()) as person:
            person.sign_up()
            conversation, have = self._half_an_answer(person)
            process.kill()

            self._finishes_the_same_answer(tmp_path, babbler, person, conversation, have)

    def test_main_process_killed_alone_takes_its_store_along(self, tmp_path: Path) -> None:
        with up(tmp_path) as process:
            process.wait_ready()
            assert len(process.members()) > 1

            process.signal(signal.SIGKILL, whole_group=False)
            process.wait()
            end = time.monotonic() + 5
            while process.members() and time.monotonic() < end:
                os.sched_yield()

        assert process.members() == []

    def _half_an_answer(self, person: Person) -> tuple[str, Transcript]:
        conversation = person.ask("긴 이야기를 해 줘.")
        (turn,) = person.turns(conversation)
        for have in person.stream(conversation, turn.generation_id):
            if len(have.text) > 400:
                return conversation, have
        raise AssertionError(f"the answer ended early: {have}")

    def _finishes_the_same_answer(
        self, home: Path, model: Path, person: Person, conversation: str, have: Transcript
    ) -> None:
        """After a new start the person is still logged in, and the answer goes on where it was."""
        seen = have.text
        with up(home, model=model) as process, person.at(process.wait_ready()) as again:
            (turn,) = again.turns(conversation)
            whole = again.whole(conversation, turn.generation_id, have)

            assert whole.state == "done"
            (shown,) = again.turns(conversation)
            assert shown.state == "done"
            assert shown.text.startswith(seen.lstrip())
            assert len(shown.text) > len(seen)
            assert "\ufffd" not in shown.text

            fresh = again.ask("다시 한 번.", "/chat")
            (other,) = again.turns(fresh)
            assert again.whole(fresh, other.generation_id).state == "done"


class TestReadiness:
    def test_ready_only_after_the_self_test(self, tmp_path: Path, free_port: int) -> None:
        seen: list[int] = []
        with up(tmp_path, free_port) as process:
            end = time.monotonic() + 60
            while time.monotonic() < end and 200 not in seen:
                try:
                    seen.append(httpx.get(f"http://127.0.0.1:{free_port}/readyz", timeout=5).status_code)
                except httpx.TransportError:
                    os.sched_yield()
            process.wait_ready(5)

        assert seen[-1] == 200
        assert set(seen) <= {503, 200}

    def test_health_and_readiness_tell_the_workers_state(self, tmp_path: Path) -> None:
        with up(tmp_path) as process:
            address = process.wait_ready()
            health = httpx.get(f"{address}/healthz")
            report = httpx.get(f"{address}/readyz").json()
            metrics = re.search(r"metrics are at (\S+)", process.output)
            assert metrics
            measured = httpx.get(metrics[1]).text

        assert health.status_code == 200
        assert "nunmal_request_queue_time_seconds" in measured

        assert report["ready"] is True
        assert report["workers"]["alive"] == 1


class TestManyAtOnce:
    def test_sixteen_conversations_stream_at_the_same_time(self, tmp_path: Path, babbler: Path) -> None:
        people, start = 16, threading.Barrier(16)

        def converse(number: int) -> tuple[float, float, Transcript]:
            with Person(address) as person:
                person.sign_up(f"person{number}@example.com")
                start.wait(60)
                conversation = person.ask(f"{number}번째 이야기를 해 줘.")
                (turn,) = person.turns(conversation)
                first = None
                for have in person.stream(conversation, turn.generation_id):
                    if have.text and first is None:
                        first = time.monotonic()
                assert first is not None
                return first, time.monotonic(), have

        with up(tmp_path, model=babbler) as process:
            address = process.wait_ready()
            with ThreadPoolExecutor(people) as pool:
                results = list(pool.map(converse, range(people)))

        assert [have.state for _, _, have in results] == ["done"] * people
        assert max(first for first, _, _ in results) < min(end for _, end, _ in results), "they took turns"
        assert len({have.text for _, _, have in results}) == people
