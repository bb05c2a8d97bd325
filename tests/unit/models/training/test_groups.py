"""Rows are told apart by what the folder says of them."""

import numpy as np
import pytest

from models.training.groups import groups_of


def test_values_of_a_column_and_spans_of_years_make_groups() -> None:
    rows = [{"sex": "f" if index % 2 else "m", "age": str(10 * index), "patient": str(index)} for index in range(10)]
    groups = groups_of(rows, least=1)
    assert sorted(groups) == [
        "age=18 to 39", "age=40 to 59", "age=60 to 74", "age=75 and over", "age=under 18", "sex=f", "sex=m",
    ]  # fmt: skip
    np.testing.assert_array_equal(np.flatnonzero(groups["age=18 to 39"]), [2, 3])
    assert all(chosen.sum() >= 3 for chosen in groups_of(rows, least=3).values())


@pytest.mark.parametrize("column", ["sex", "age", "patient"])
def test_one_group_is_none(column: str) -> None:
    assert groups_of([{column: "50"}] * 6) == {}


def test_what_is_unknown_belongs_to_no_group() -> None:
    rows = [{"age": ""}, {"age": "old"}, {}, {"age": "30"}, {"age": "70"}]
    assert sorted(groups_of(rows, least=1)) == ["age=18 to 39", "age=60 to 74"]
