from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from node.demo.cases import Case
from node.demo.play import Played
from node.demo.show import answers, show_results
from tests.unit.node.demo.test_cases import CASES, FILM_STUDY, HEAD_STUDY, job, study


def played(case: Case, said: dict[str, object], *faults: str) -> Played:
    return Played(case, said, (), faults, (Path("a.dcm"),), 1.0)


def test_answers_of_those_who_read_it() -> None:
    assert answers(played(CASES[0], FILM_STUDY)) == [
        ("cxr-lungs", "Right lung: area 1 pixels"),
        ("cxr-pneumonia", "Pneumonia: absent (10 %)"),
    ]


def test_refusals_come_without_those_who_were_never_meant() -> None:
    said = study(
        decisions=(
            {"model": "cxr-lungs", "outcome": "not chosen", "reason": "reads CR"},
            {"model": "ct-tissue", "outcome": "refused", "reason": "no Frame of Reference UID"},
        )
    )
    assert answers(played(CASES[2], said)) == [("ct-tissue", "refused: no Frame of Reference UID")]
    said["decisions"].pop()
    assert answers(played(CASES[2], said)) == [("cxr-lungs", "not chosen: reads CR")]
    assert answers(played(CASES[2], study())) == [("none", "nothing was said")]
    assert answers(played(CASES[2], study(job("a", "refused", "lateral")))) == [("a", "refused: lateral")]


def test_table_has_outcome_or_faults(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    show_results([played(CASES[0], FILM_STUDY, "mm2 occurs in the results"), played(CASES[2], HEAD_STUDY)], tmp_path, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "mm2 occurs in the results" in text
    assert CASES[2].outcome in text
    assert "2 result files" in text
