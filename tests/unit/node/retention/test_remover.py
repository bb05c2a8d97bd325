"""Whenever the process dies, and whatever comes meanwhile: nothing acknowledged is lost, nothing removed rises again."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from node.retention import files
from node.store.states import StudyState
from tests.unit.node.retention.attic import STUDY, Attic


class Killed(BaseException):
    """The process is gone: nothing after it runs."""


class Killer:
    """Kills before the n-th step: a system call on a file or folder, or a transaction of the catalog."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, attic: Attic) -> None:
        self.left = 1_000_000
        self.steps = 0
        monkeypatch.setattr(Path, "unlink", self._before(Path.unlink))
        monkeypatch.setattr(files, "sync", self._before(files.sync))
        for name in ("begin", "finish"):
            monkeypatch.setattr(type(attic.catalog.removals), name, self._before(getattr(type(attic.catalog.removals), name)))

    def _before(self, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            self.steps += 1
            self.left -= 1
            if self.left < 0:
                raise Killed
            return real(*arguments, **named)

        return call


@pytest.mark.parametrize("step", range(12))
def test_killed_at_any_step_the_removal_is_finished_and_nothing_rises_again(
    attic: Attic, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    attic.delivered_study()
    attic.days_pass(31)
    with monkeypatch.context() as patched:
        killer = Killer(patched, attic)
        killer.left = step
        try:
            attic.sweep()
        except Killed:
            assert killer.steps == step + 1
        else:
            assert killer.steps <= step
    attic.restart()
    assert attic.story.study(STUDY).state == StudyState.FINISHED, "the start-up scan takes nothing for new"
    attic.sweep()
    assert attic.files("in") == attic.files("results") == []
    attic.restart()
    view = attic.story.study(STUDY)
    assert (view.state, view.revision, view.instances, len(view.deliveries)) == (StudyState.FINISHED, 1, 3, 1)
    assert [kind for _, kind, _ in view.events].count("originals removed") == 1
    assert [kind for _, kind, _ in view.events].count("results removed") == 1
    assert attic.catalog.removals.unfinished() == []


def test_the_steps_above_are_all_there_are(attic: Attic, monkeypatch: pytest.MonkeyPatch) -> None:
    attic.delivered_study()
    attic.days_pass(31)
    killer = Killer(monkeypatch, attic)
    attic.sweep()
    assert killer.steps == 2 + 3 + 1 + 2 + 1 + 1, "two transactions each, four files, a folder each"
    assert killer.steps < 12


@pytest.mark.parametrize("step", range(8))
@pytest.mark.parametrize("pixels", [b"\1\2" * 32, b"\5\6" * 32], ids=["same bytes", "other bytes"])
@pytest.mark.parametrize("listener", ["lives", "dies too"])
def test_what_comes_again_while_a_removal_is_half_done(
    attic: Attic, monkeypatch: pytest.MonkeyPatch, step: int, pixels: bytes, listener: str
) -> None:
    attic.delivered_study()
    attic.days_pass(11)
    with monkeypatch.context() as patched:
        Killer(patched, attic).left = step
        with contextlib.suppress(Killed):
            attic.sweep()
    arrivals = [attic.receive(number, told=listener == "lives", PixelData=pixels) for number in (1, 2, 3)]
    attic.restart()
    attic.sweep()
    attic.restart()
    known = attic.catalog.intake.known_paths(STUDY)
    there = set(attic.files())
    assert there == {path for path in known if path.startswith("in/")}, "what is there is known, what is known is there"
    acknowledged = {arrival.path for arrival in arrivals}
    if pixels != b"\1\2" * 32:
        assert acknowledged <= there, "nothing that was acknowledged with other bytes is lost"
        assert all(attic.absolute(path).read_bytes().count(pixels) for path in acknowledged)
    elif listener == "lives":
        assert {arrival.path for arrival in arrivals if arrival.fresh} <= there
    view = attic.story.study(STUDY)
    assert view.state == (StudyState.RECEIVING if there else StudyState.FINISHED)


def test_a_study_that_is_sent_again_after_its_removal_keeps_its_result(attic: Attic) -> None:
    attic.delivered_study()
    attic.days_pass(11)
    attic.sweep()
    for number in (1, 2, 3):
        attic.receive(number)
    view = attic.story.study(STUDY)
    assert (view.state, view.instances) == (StudyState.RECEIVING, 3)
    assert ("came again", "1 images came again after retention had removed them") in [event[1:] for event in view.events]
    attic.plan("pacs")
    view = attic.story.study(STUDY)
    assert view.state == StudyState.FINISHED
    assert len(view.jobs) == len(view.deliveries) == 1, "neither read nor sent again"
    attic.days_pass(11)
    attic.sweep()
    assert attic.files() == []


def test_a_late_image_of_a_removed_series_is_not_read_as_if_it_were_the_whole(attic: Attic) -> None:
    attic.delivered_study()
    attic.days_pass(11)
    attic.sweep()
    attic.receive(4)
    attic.clock.advance(60)
    (due,) = attic.story.complete()
    there = attic.catalog.worklist.instances(due.study_id)
    assert [one.removed_at is None for one in there] == [False, False, False, True]


def test_an_image_that_comes_between_the_look_and_the_removal_stops_it(attic: Attic, monkeypatch: pytest.MonkeyPatch) -> None:
    attic.delivered_study()
    attic.days_pass(11)
    real = files.content_hash

    def hashed(path: Path) -> str:
        if len(attic.files()) == 3:
            attic.receive(4)
        return real(path)

    monkeypatch.setattr("node.retention.remover.content_hash", hashed)
    assert attic.sweep() == 0
    assert len(attic.files()) == 4


def test_a_repeat_that_was_compared_before_the_removal_and_told_after_it_makes_no_row_without_a_file(attic: Attic) -> None:
    attic.delivered_study()
    attic.days_pass(11)
    repeat = attic.receive(2, told=False)
    assert not repeat.fresh
    attic.sweep()
    attic.catalog.intake.arrived([repeat])
    assert attic.story.study(STUDY).state == StudyState.FINISHED
    assert attic.files() == []


def test_the_hash_of_what_was_removed_is_kept(attic: Attic) -> None:
    attic.delivered_study(images=1)
    expected = files.content_hash(attic.absolute(attic.files()[0]))
    attic.days_pass(11)
    attic.sweep()
    with sqlite3.connect(os.fspath(attic.settings.data / "catalog.sqlite")) as database:
        assert database.execute("SELECT sha256, path FROM instances").fetchall() == [(expected, "removed/1")]
