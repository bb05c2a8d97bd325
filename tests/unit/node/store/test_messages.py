from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.store.messages import AnalyseMessage, DecodeError


@given(st.integers(min_value=1))
def test_what_was_encoded_is_decoded(job_id: int) -> None:
    assert AnalyseMessage.decode(json.loads(json.dumps(AnalyseMessage(job_id).encode()))) == AnalyseMessage(job_id)


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        "1",
        {},
        {"job_id": 1},
        {"version": 1},
        {"version": 2, "job_id": 1},
        {"version": 1, "job_id": 1, "patient_name": "x"},
        {"version": 1, "job_id": 0},
        {"version": 1, "job_id": -3},
        {"version": 1, "job_id": True},
        {"version": 1, "job_id": 1.0},
        {"version": 1, "job_id": "1"},
        {"version": 1, "job_id": None},
    ],
)
def test_anything_else_is_refused(message: object) -> None:
    with pytest.raises(DecodeError):
        AnalyseMessage.decode(message)


def test_a_message_holds_nothing_but_ids() -> None:
    assert AnalyseMessage(7).encode() == {"version": 1, "job_id": 7}
