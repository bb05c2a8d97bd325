from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from workers.encode.uids import derived_number, derived_uid

PARTS = st.lists(st.text() | st.integers(), min_size=1, max_size=5)


@given(PARTS)
def test_a_uid_is_valid_short_and_the_same_again(parts: list[str | int]) -> None:
    made = derived_uid(*parts)

    assert UID(made).is_valid
    assert len(made) <= 44
    assert made == derived_uid(*parts)


@given(PARTS, PARTS)
def test_other_parts_make_another_uid(one: list[str | int], other: list[str | int]) -> None:
    assert (derived_uid(*one) == derived_uid(*other)) == ([str(part) for part in one] == [str(part) for part in other])


def test_where_one_part_ends_counts() -> None:
    assert derived_uid("a", "bc") != derived_uid("ab", "c")


def test_the_uids_of_published_results_never_change() -> None:
    assert derived_uid("installation", "1.2.3", 1) == "2.25.224627697365938751986386769455989565412"


@given(st.integers(min_value=1, max_value=10**6), PARTS)
def test_a_number_stays_below_its_modulus(modulus: int, parts: list[str | int]) -> None:
    assert 0 <= derived_number(modulus, *parts) < modulus
