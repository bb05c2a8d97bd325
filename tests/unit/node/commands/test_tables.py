from __future__ import annotations

import io

from rich.console import Console

from node.commands.tables import show_studies, show_study
from node.store.states import JobState, StudyState
from tests.unit.node.page.views import AT, a_job, a_study


def printed(show: object, *what: object) -> str:
    console = Console(file=io.StringIO(), width=200)
    show(*what, console)  # type: ignore[operator]
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_list() -> None:
    text = printed(show_studies, [a_study(), a_study("1.2.9", jobs=(a_job(JobState.REFUSED, reason="[lateral] view"),))], {})
    for part in ("1.2.3", "Pneumonia: present (93 %)", "pacs 1 of 2 sent, 1 failed", "[lateral] view"):
        assert part in text
    assert "Right lung 2310 ml" in text
    assert "no [such] images" in printed(show_studies, [a_study(jobs=())], {"1.2.3": "no [such] images"})
    assert "No study" in printed(show_studies, [], {})


def test_one_study_in_full() -> None:
    text = printed(show_study, a_study(originals_removed_at=AT))
    for part in (
        "quiet for 10 s",
        "reads CT, this is CR",
        "PA <chest>",
        "A900: no",
        "again at",
        "Right lung: volume 2310 ml",
        "Events",
        "received images, 2026-03-04",
        "Signals",
        "COMPLETED",
        "Storage commitment",
        "vna decides; 2 of 2 committed",
    ):
        assert part in text
    waiting = printed(show_study, a_study(state=StudyState.RECEIVING, evidence="waits: for more"))
    assert "not complete yet waits: for more" in waiting
