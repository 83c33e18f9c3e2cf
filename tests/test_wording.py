"""Names and counts as people read them: order, quotation marks, singular."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundfold.wording import counted, format_interval, format_percent, format_size, natural_order, quoted


@given(st.lists(st.text(max_size=8), max_size=30))
def test_natural_order_is_an_order(names: list[str]) -> None:
    ordered = natural_order(names)
    assert sorted(ordered) == sorted(set(names))
    assert natural_order(reversed(ordered)) == ordered


@given(st.lists(st.integers(0, 10**6), unique=True))
def test_natural_order_counts(numbers: list[int]) -> None:
    assert natural_order(f"fold{n}" for n in numbers) == tuple(f"fold{n}" for n in sorted(numbers))


def test_names_for_messages() -> None:
    assert quoted("cab") == "'a', 'b', 'c'"
    assert quoted("abcdefg", most=2) == "'a', 'b' and others"


@pytest.mark.parametrize(("n", "told"), [(0, "0 clips"), (1, "1 clip"), (2, "2 clips"), (12345, "12,345 clips")])
def test_one_is_singular_and_nothing_else_is(n: int, told: str) -> None:
    assert counted(n, "clip") == told
    assert counted(n, "clip was", "clips were").endswith("clip was") == (n == 1)


def test_fractions_for_people() -> None:
    assert format_percent(0.71429) == "71.4 %"
    assert format_percent(1) == "100.0 %"
    assert format_interval(0.5, 0.75) == "50.0–75.0 %"


@pytest.mark.parametrize(
    ("n_bytes", "told"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1 kB"), (48_700, "49 kB"), (999_499, "999 kB"),
     (999_500, "1.0 MB"), (776_600_000, "776.6 MB"), (999_950_000, "1.0 GB")],
)  # fmt: skip
def test_a_size_is_told_in_a_unit_that_fits(n_bytes: int, told: str) -> None:
    assert format_size(n_bytes) == told
