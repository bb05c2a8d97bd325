from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from node.store.profiles import MESSAGES
from tests.unit.workers.encode.samples import CREATED_AT, identity
from workers.encode.identity import Kind

OTHER: dict[str, Any] = {
    "installation": "another",
    "study_uid": "1.2.3",
    "stack_key": "1.2.3#2",
    "model": "other-model",
    "version": "9.9.9",
    "fingerprint": "f" * 64,
    "revision": 2,
    "run": 2,
}


@pytest.mark.parametrize("field", OTHER)
def test_any_other_origin_is_another_instance_and_series(field: str) -> None:
    changed = identity(**{field: OTHER[field]})

    assert changed.instance_uid(Kind.SEG) != identity().instance_uid(Kind.SEG)
    assert changed.series_uid(Kind.SEG) != identity().series_uid(Kind.SEG)


def test_the_time_makes_no_other_instance() -> None:
    later = identity(created_at=CREATED_AT + timedelta(days=1))

    assert later.instance_uid(Kind.REPORT) == identity().instance_uid(Kind.REPORT)


def test_every_uid_of_a_result_set_is_its_own() -> None:
    one = identity()
    uids = [one.dimension_uid(Kind.SEG), one.device_uid, one.frame_of_reference_uid("1.2"), one.tracking_uid("bone")]
    for kind in Kind:
        uids += [one.instance_uid(kind), one.instance_uid(kind, "variant"), one.instance_uid(kind, part=2), one.series_uid(kind)]

    assert len(set(uids)) == len(uids)


@pytest.mark.parametrize("field", ["revision", "run", "version", "fingerprint"])
def test_a_structure_is_tracked_over_revisions_and_versions(field: str) -> None:
    assert identity(**{field: OTHER[field]}).tracking_uid("bone") == identity().tracking_uid("bone")


def test_series_numbers_are_five_digits_and_differ_by_kind() -> None:
    objects = [kind for kind in Kind if kind not in MESSAGES]  # messages are of no series
    numbers = [identity().series_number(kind) for kind in objects]

    assert all(10000 <= number <= 99999 for number in numbers)
    segs, measured = (Kind.LABELMAP, Kind.FRACTIONAL), (Kind.LABELMAP_MEASUREMENTS, Kind.FRACTIONAL_MEASUREMENTS)
    in_place = {**dict.fromkeys(segs, Kind.SEG), **dict.fromkeys(measured, Kind.MEASUREMENTS)}  # no destination gets two of them
    assert len(set(numbers)) == len(objects) - len(in_place)
    assert all(identity().series_number(one) == identity().series_number(other) for one, other in in_place.items())
    assert numbers == [identity(revision=2).series_number(kind) for kind in objects]


@pytest.mark.parametrize("field", ["version", "fingerprint"])
def test_a_retrained_model_is_another_device(field: str) -> None:
    assert identity(**{field: OTHER[field]}).device_uid != identity().device_uid
