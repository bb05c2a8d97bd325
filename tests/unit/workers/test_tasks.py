from __future__ import annotations

from pathlib import Path

import pytest

from node.store.errors import ConfigurationError
from node.store.records import Claim, ResultSet
from node.store.settings import Settings
from workers.job import Workshop
from workers.tasks import AnalyseTask


class NothingDue:
    """A desk at which no job is due."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []

    def claim(self, job_id: int, worker: str, lease_s: float) -> Claim | None:
        self.asked.append((job_id, worker))
        return None


def analyse(claim: Claim) -> ResultSet:
    raise AssertionError("nothing is due")


def test_a_message_is_decoded_and_its_job_claimed_under_the_workers_name() -> None:
    desk, opened = NothingDue(), []

    def opens(settings: Settings) -> Workshop:
        opened.append(settings)
        return Workshop(desk, analyse)  # type: ignore[arg-type]

    task = AnalyseTask(Settings(), "w1", opens)
    assert opened == [], "nothing is opened before the fork"
    assert task({"version": 1, "job_id": 7}) == "not due"
    assert task({"version": 1, "job_id": 8}) == "not due"
    assert desk.asked == [(7, "w1"), (8, "w1")]
    assert len(opened) == 1


@pytest.mark.parametrize("message", [None, {}, {"version": 2, "job_id": 1}, {"version": 1, "job_id": "1"}, "1"])
def test_a_message_that_is_not_understood_is_dropped(message: object) -> None:
    def opens(settings: Settings) -> Workshop:
        raise AssertionError("not for such a message")

    assert AnalyseTask(Settings(), "w1", opens)(message) == "dropped"


def test_warming_says_what_is_missing_and_the_job_says_it_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def opens(settings: Settings) -> Workshop:
        raise ConfigurationError("two models are named ct-tissue")

    task = AnalyseTask(Settings(data=tmp_path), "w1", opens)
    task.warm()
    assert "two models are named ct-tissue" in capsys.readouterr().out
    with pytest.raises(ConfigurationError):
        task({"version": 1, "job_id": 7})
