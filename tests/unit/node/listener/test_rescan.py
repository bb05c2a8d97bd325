"""The start-up scan reads arrivals back from files alone."""

from __future__ import annotations

from pathlib import Path

from node.doubles.intake import MemoryIntake
from node.listener.rescan import rescan
from node.store.spool import Spool, instance_path
from tests.unit.node.listener.encoded import contributing, file_bytes, image


def spool_of(tmp_path: Path, *numbers: int) -> Spool:
    spool = Spool(tmp_path / "spool")
    for number in numbers:
        spool.keep(instance_path("1.2.3", "1.2.3.4", f"1.2.3.4.{number}"), file_bytes(image(number)))
    return spool


def test_tells_what_is_not_known_and_nothing_twice(tmp_path: Path) -> None:
    spool, intake = spool_of(tmp_path, 1, 2, 3), MemoryIntake()
    assert rescan(spool, intake) == 3
    assert rescan(spool, intake) == 0
    intake.arrivals.pop("in/1.2.3/1.2.3.4/1.2.3.4.2.dcm")
    assert rescan(spool, intake) == 1
    assert len(intake.arrivals) == 3


def test_a_file_that_cannot_be_read_is_reported_and_costs_the_others_nothing(tmp_path: Path) -> None:
    spool, intake = spool_of(tmp_path, 1, 3), MemoryIntake()
    spool.keep(instance_path("1.2.3", "1.2.3.4", "1.2.3.4.2"), file_bytes(image(2))[:-9])
    spool.keep(instance_path("1.2.3", "1.2.3.4", "1.2.3.4.4"), b"")
    spool.keep(instance_path("9.9", "1.2.3.4", "1.2.3.4.5"), file_bytes(image(5)))
    assert rescan(spool, intake) == 2
    assert [(kind, study) for kind, _, study in intake.events] == [
        ("unreadable", "1.2.3"),
        ("unreadable", "1.2.3"),
        ("unreadable", "9.9"),
    ]
    assert len(list(spool.scan())) == 5, "nothing is removed"


def test_our_own_results_are_known_again(tmp_path: Path) -> None:
    spool, intake = spool_of(tmp_path, 1, 2), MemoryIntake()
    derived = image(3)
    derived.ContributingEquipmentSequence = contributing("Overread")
    spool.keep(instance_path("1.2.3", "1.2.3.4", "1.2.3.4.3"), file_bytes(derived))
    intake.made.add("1.2.3.4.1")
    rescan(spool, intake)
    assert [arrival.own_result for _, arrival in sorted(intake.arrivals.items())] == [True, False, True]


def test_stops_when_asked(tmp_path: Path) -> None:
    assert rescan(spool_of(tmp_path, 1), MemoryIntake(), lambda: True) == 0
