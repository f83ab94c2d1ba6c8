"""What the bench of digests counts."""

from __future__ import annotations

import pytest

from tests.bench.digest.__main__ import kendall


def test_kendall_knows_order_and_ties() -> None:
    assert kendall([1, 2, 3], [1, 2, 3]) == pytest.approx(1.0)
    assert kendall([3, 2, 1], [1, 2, 3]) == pytest.approx(-1.0)
    # By hand: of 6 pairs 5 differ on the left and 4 on the right; 3 agree and none disagrees.
    assert kendall([1, 2, 2, 3], [0, 0, 1, 1]) == pytest.approx(3 / (5 * 4) ** 0.5)
    assert kendall([1, 1], [0, 1]) == 0.0
