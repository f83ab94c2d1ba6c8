"""From what people said to pairs that a model learns from: only of those who agree, and nothing that names them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra import votes
from shared.audit import AuditAction
from shared.chat import AccountRole, GenerationState, Origin, PictureRef, User
from shared.comparisons import Choice, Comparison
from shared.errors import ConfigError
from shared.ids import new_id
from shared.settings import Settings, load_settings
from shared.store import Store
from shared.votes import Reason, Vote, VoteValue
from tests.factories import generation
from training.data.convert import main as convert


@pytest.fixture
def settings(store: Store, store_url: str) -> Settings:
    return load_settings({"NUNMAL_STORE_URL": store_url, "NUNMAL_STORE_DATABASE": store._database.name})


async def _person(store: Store, name: str = "박도윤", *, agrees: bool = True) -> User:
    user = await store.users.create(f"{new_id()}@example.com", name, b"x", AccountRole.USER)
    await store.users.set_agreed(user.id, agrees=agrees)
    return user


async def _turn(store: Store, user: User, question: str, answer: str, **more: Any) -> str:
    """An answer that is over."""
    turn = generation(user_id=user.id, question=question, **more)
    await store.generations.add(turn)
    if turn.lane == "chat.test":
        claimed = await store.generations.claim(turn.lane, "w")
        assert claimed is not None and claimed.id == turn.id
        await store.generations.finish(turn.id, claimed.attempt, GenerationState.DONE, [1], answer)
    return turn.id


async def _vote(store: Store, user: User, turn_id: str, value: VoteValue, words: str = "") -> Vote:
    reasons = (Reason.WRONG,) if value is VoteValue.DOWN else ()
    vote = Vote(turn_id, "c", user.id, value, reasons, words, "test", None, None, datetime.now(UTC))
    await store.votes.put(vote)
    return vote


async def _compare(store: Store, user: User, question: str, answers: tuple[str, str], choice: Choice) -> str:
    comparison = Comparison(new_id(), user.id, question, None, "wall@1", datetime.now(UTC))
    await store.comparisons.add(comparison)
    for answer in answers:
        await _turn(store, user, "", answer, conversation_id=comparison.id, origin=Origin.COMPARISON)
    await store.comparisons.choose(comparison.id, user.id, choice)
    return comparison.id


async def _exported(store: Store) -> tuple[list[dict[str, Any]], votes.Told]:
    counted = votes.Told()
    return [row async for row in votes.rows(store, counted)], counted


async def test_a_vote_is_a_row_with_what_the_model_read(store: Store) -> None:
    user = await _person(store)
    first = await _turn(store, user, "하나?", "첫 답", conversation_id="c")
    second = await _turn(store, user, "둘?", "둘째 답", conversation_id="c", parent_id=first, system="짧게.")
    await _vote(store, user, second, VoteValue.DOWN, "숫자가 달라요")

    rows, counted = await _exported(store)

    assert rows == [
        {
            "id": second,
            "turns": [
                {"role": "system", "content": "짧게."},
                {"role": "user", "content": "하나?"},
                {"role": "assistant", "content": "첫 답"},
                {"role": "user", "content": "둘?"},
            ],
            "answer": "둘째 답",
            "vote": "down",
            "reason": "wrong: 숫자가 달라요",
            "consent": True,
        }
    ]
    assert counted.lines == "1 rows of 1 people: down 1\nleft out: none\npersonal things found: none\n"


async def test_only_what_was_said_while_agreeing_is_exported(store: Store) -> None:
    user, silent = await _person(store), await _person(store, agrees=False)
    vote = await _vote(store, user, await _turn(store, user, "하나?", "답"), VoteValue.UP)
    await _vote(store, silent, await _turn(store, silent, "둘?", "답"), VoteValue.UP)
    await _compare(store, silent, "셋?", ("가", "나"), Choice.LEFT)
    assert [row["id"] for row in (await _exported(store))[0]] == [vote.turn_id]

    await store.users.set_agreed(user.id, agrees=False)
    assert (await _exported(store))[0] == []

    await store.users.set_agreed(user.id, agrees=True)
    assert (await _exported(store))[0] == []
    await store.votes.put(replace(vote, voted_at=datetime.now(UTC)))
    assert [row["id"] for row in (await _exported(store))[0]] == [vote.turn_id]


async def test_what_points_to_a_person_is_left_out_and_counted(store: Store) -> None:
    user = await _person(store, "박도윤")
    for question, answer, words in (
        ("제 번호는 010-1234-5678이에요", "네", ""),
        ("뭐라고 부를까요?", "박도윤 님", ""),
        ("안녕?", "네", "a@b.kr로 알려 주세요"),
        ("괜찮은 질문?", "괜찮은 답", ""),
    ):
        await _vote(store, user, await _turn(store, user, question, answer), VoteValue.UP, words)
    shown = (PictureRef(new_id(), "0" * 64, 1, 1),)
    await _vote(store, user, await _turn(store, user, "이건?", "공", pictures=shown), VoteValue.UP)
    foreign = await _turn(store, user, "남의 것?", "", conversation_id="d", lane="import.gpt")
    await _vote(
        store, user, await _turn(store, user, "우리 것?", "네", conversation_id="d", parent_id=foreign), VoteValue.UP
    )

    rows, counted = await _exported(store)

    assert [row["answer"] for row in rows] == ["괜찮은 답"]
    assert counted.left_out == {"personal": 3, "pictures": 1, "imported": 1}
    assert counted.found == {"phone": 1, "email": 1, "own_name": 1}
    text = json.dumps(rows, ensure_ascii=False)
    assert user.id not in text and user.email not in text


async def test_a_comparison_is_the_better_answer_beside_the_other(store: Store) -> None:
    user = await _person(store)
    await _compare(store, user, "왼쪽?", ("가", "나"), Choice.LEFT)
    await _compare(store, user, "오른쪽?", ("다", "라"), Choice.RIGHT)
    await _compare(store, user, "같나?", ("마", "바"), Choice.SAME)
    await _compare(store, user, "둘 다?", ("사", "아"), Choice.BAD)

    rows, _ = await _exported(store)

    told = [(row["turns"][0]["content"], row["vote"], row["answer"], row.get("rejected")) for row in rows]
    assert sorted(told, key=str) == [
        ("둘 다?", "down", "사", None),
        ("둘 다?", "down", "아", None),
        ("오른쪽?", "better", "라", "다"),
        ("왼쪽?", "better", "가", "나"),
    ]


async def test_the_file_is_new_private_and_accounted_for(store: Store, settings: Settings, tmp_path: Path) -> None:
    user = await _person(store)
    await _vote(store, user, await _turn(store, user, "안녕?", "네"), VoteValue.UP)
    out = tmp_path / "votes.jsonl"

    await votes._export(settings, out)

    assert out.stat().st_mode & 0o777 == 0o600
    assert [json.loads(line)["answer"] for line in out.read_text("utf-8").splitlines()] == ["네"]
    (record,) = await store.audit.last(1)
    assert record["action"] == AuditAction.VOTES_EXPORTED
    with pytest.raises(ConfigError, match="File exists"):
        await votes._export(settings, out)


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")  # peft and trl, of newer names
async def test_what_people_said_becomes_pairs_that_a_model_learns_from(
    store: Store, settings: Settings, tmp_path: Path
) -> None:
    user = await _person(store)
    for number in range(6):
        await _compare(store, user, f"{number}번 질문?", (f"좋은 답 {number}", "그렇군요"), Choice.LEFT)
    liked = await _turn(store, user, "같은 질문?", "도움이 되는 답", conversation_id="c")
    disliked = await _turn(store, user, "같은 질문?", "엉뚱한 답", conversation_id="c")
    await _vote(store, user, liked, VoteValue.UP)
    await _vote(store, user, disliked, VoteValue.DOWN)
    await votes._export(settings, tmp_path / "votes.jsonl")

    files = [str(tmp_path / "votes.jsonl"), "--out", str(tmp_path / "learn.jsonl")]
    convert([*files, "--pairs", str(tmp_path / "preferred.jsonl")])

    learned = [json.loads(line) for line in (tmp_path / "learn.jsonl").read_text("utf-8").splitlines()]
    assert [row["messages"][-1]["content"] for row in learned] == ["도움이 되는 답"]
    pairs = [json.loads(line) for line in (tmp_path / "preferred.jsonl").read_text("utf-8").splitlines()]
    assert ("도움이 되는 답", "엉뚱한 답") in {(pair["chosen"], pair["rejected"]) for pair in pairs}
    assert len(pairs) == 7
    _learn(tmp_path)


def _learn(tmp_path: Path) -> None:
    """Two steps of preference on a tiny model."""
    pytest.importorskip("trl")
    from tests.tune_runs import stage, tiny_recipe
    from training.tune.run import run

    recipe = tiny_recipe(tmp_path, {"kind": "full"}, stages=[stage("dpo", "preferred")])
    summary = run(recipe, tmp_path)

    assert summary is not None
    manifest = json.loads((Path(summary["result"]) / "manifest.json").read_text("utf-8"))
    assert manifest["stage"] == "dpo" and list(manifest["data"]) == ["dpo"]
