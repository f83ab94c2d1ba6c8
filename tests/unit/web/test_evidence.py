"""Where outlines and their numbers stand on a picture."""

from __future__ import annotations

from shared.chat import PictureRef
from shared.evidence import Evidence, EvidenceObject, PictureEvidence
from tests.factories import generation
from web.chat.evidence import SeenPicture, pictures_of, view_of_evidence


def _seen(*objects: EvidenceObject, width: int = 96, height: int = 48) -> SeenPicture:
    turn = generation(pictures=(PictureRef("p", "0" * 64, width, height),))
    evidence = Evidence(source="model", pictures=(PictureEvidence(picture_id="p", objects=objects),))
    (seen,) = view_of_evidence(evidence, pictures_of([turn])).pictures
    return seen


def _object(
    number: int, box: tuple[float, float, float, float] = (0.25, 0.5, 0.75, 1), *, used: bool = False
) -> EvidenceObject:
    return EvidenceObject(number=number, box=box, name="빨간 공", used=used)


def test_a_box_is_percent_of_its_picture() -> None:
    (outline,) = _seen(_object(1)).outlines

    assert (outline.left, outline.top, outline.width, outline.height) == (25, 50, 50, 50)


def test_a_small_picture_is_enlarged_and_a_large_one_is_not() -> None:
    small, large = _seen(_object(1)), _seen(_object(1), width=1500, height=500)

    assert ((small.width, small.height), (large.width, large.height)) == ((480, 240), (1500, 500))


def test_a_number_stands_above_its_box_or_inside_it_at_the_upper_edge() -> None:
    below, at_edge = _seen(_object(1), _object(2, (0, 0.05, 0.5, 1))).outlines

    assert (below.shift_y, at_edge.shift_y) == (-18, 0)


def test_a_number_at_the_right_edge_stays_on_the_picture() -> None:
    (outline,) = _seen(_object(12, (0.99, 0.5, 1, 1))).outlines

    assert 480 * outline.left / 100 + outline.shift_x + outline.tab_width <= 480.5


def test_names_are_in_the_order_of_their_numbers_and_used_outlines_lie_on_top() -> None:
    seen = _seen(_object(2), _object(3), _object(1, used=True))

    assert [each.number for each in seen.objects] == [1, 2, 3]
    assert [each.number for each in seen.outlines] == [2, 3, 1]


def test_a_picture_keeps_the_number_it_has_in_its_question() -> None:
    turns = [generation(pictures=tuple(PictureRef(name, "0" * 64, 8, 8) for name in "abc")), generation()]
    evidence = Evidence(source="both", pictures=(PictureEvidence(picture_id="c", objects=()),))

    assert [seen.number for seen in view_of_evidence(evidence, pictures_of(turns)).pictures] == [3]


def test_what_is_gone_is_left_out() -> None:
    evidence = Evidence(source="model", pictures=(PictureEvidence(picture_id="gone", objects=(_object(1),)),))
    view = view_of_evidence(evidence, {})

    assert (view.pictures, view.has_used) == ((), False)
