"""The demonstration's comparison: whatever keeps a study from its stated outcome is found, and nothing else."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from node.demo.cases import ABDOMEN, DOWNLOADS, FILM, HEAD, Case, Received, faults, reasons, shipped_cases

HERE = {one.name: Path(one.name) for one in DOWNLOADS}
CASES = shipped_cases(HERE)


def job(model: str, state: str = "published", reason: str = "", **parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "job_id": 1,
        "model": model,
        "state": state,
        "reason": reason,
        "findings": [],
        "measurements": [],
        "notes": [],
    } | parts


def study(*jobs: dict[str, Any], decisions: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {
        "study_uid": "1.2",
        "state": "finished",
        "jobs": list(jobs),
        "deliveries": [],
        "decisions": list(decisions),
        "events": [],
    }


def area(name: str, unit: str = "mm2") -> dict[str, Any]:
    return {"name": name, "quantity": "area", "value": 1.0, "unit": unit}


FILM_STUDY = study(
    job("cxr-lungs", measurements=[area("Right lung", "pixels")]),
    job("cxr-pneumonia", findings=[{"name": "Pneumonia", "probability": 0.1, "verdict": "absent"}]),
)
FILM_RECEIVED = [
    Received(Path("a"), "seg", "cxr-lungs", ("Right lung", "Left lung")),
    Received(Path("b"), "measurements", "cxr-lungs", units=("{pixels}",)),
    Received(Path("c"), "report", "cxr-lungs"),
    Received(Path("d"), "report", "cxr-pneumonia", units=("%",)),
    Received(Path("e"), "measurements", "cxr-pneumonia", units=("%",)),
]
ABDOMEN_STUDY = study(job("ct-tissue", measurements=[area("Bone"), area("Body")]))
ABDOMEN_RECEIVED = [
    Received(Path("a"), "seg", "ct-tissue", ("Bone", "Body")),
    Received(Path("b"), "measurements", "ct-tissue", units=("mm2", "[hnsf'U]")),
    Received(Path("c"), "report", "ct-tissue"),
]
HEAD_STUDY = study(
    decisions=({"model": "", "outcome": "refused", "reason": "the CT has lost its Frame of Reference UID", "slices": 1},)
)


def test_each_shipped_case_can_be_reached() -> None:
    film, abdomen, head = CASES
    assert faults(film, FILM_STUDY, FILM_RECEIVED) == []
    assert faults(abdomen, ABDOMEN_STUDY, ABDOMEN_RECEIVED) == []
    assert faults(head, HEAD_STUDY, []) == []
    assert [film.paths, abdomen.paths, head.paths] == [(Path(one.name),) for one in (FILM, ABDOMEN, HEAD)]


@pytest.mark.parametrize("missing", range(5))
def test_every_object_of_the_film_is_missed(missing: int) -> None:
    received = [one for number, one in enumerate(FILM_RECEIVED) if number != missing]
    (fault,) = [one for one in faults(CASES[0], FILM_STUDY, received) if "came back" in one]
    assert FILM_RECEIVED[missing].kind in fault


def test_mm2_on_the_film_is_found_in_the_answer_and_in_the_report() -> None:
    said = deepcopy(FILM_STUDY)
    said["jobs"][0]["measurements"][0]["unit"] = "mm2"
    assert faults(CASES[0], said, FILM_RECEIVED) == ["mm2 occurs in the results"]
    received = [*FILM_RECEIVED, Received(Path("e"), "report", "cxr-lungs", units=("mm2",))]
    assert faults(CASES[0], FILM_STUDY, received) == ["mm2 occurs in the results"]


def test_a_lung_in_the_abdomen_is_found() -> None:
    received = [*ABDOMEN_RECEIVED, Received(Path("e"), "seg", "ct-tissue", ("Left lung",))]
    assert faults(CASES[1], ABDOMEN_STUDY, received) == ["a segment is labelled 'left lung'"]


def test_an_abdomen_without_areas_or_bone_is_found() -> None:
    said = study(job("ct-tissue"))
    assert faults(CASES[1], said, ABDOMEN_RECEIVED) == ["ct-tissue measured no area"]
    received = [Received(Path("a"), "seg", "ct-tissue", ("Body",)), *ABDOMEN_RECEIVED[1:]]
    assert faults(CASES[1], ABDOMEN_STUDY, received) == ["ct-tissue outlined no bone"]


def test_a_model_that_gave_no_answer_is_named_with_its_reason() -> None:
    said = study(
        job("cxr-lungs", "refused", "lung fields not found"),
        job("cxr-pneumonia", findings=[{"name": "Pneumonia", "probability": 0.1, "verdict": "absent"}]),
    )
    assert faults(CASES[0], said, FILM_RECEIVED) == ["cxr-lungs gave no answer: lung fields not found"]


def test_a_missing_finding_is_found() -> None:
    said = study(FILM_STUDY["jobs"][0], job("cxr-pneumonia"))
    assert faults(CASES[0], said, FILM_RECEIVED) == ["cxr-pneumonia did not rate Pneumonia"]


def test_the_head_must_be_refused_for_that_very_reason() -> None:
    other = study(decisions=({"model": "", "outcome": "refused", "reason": "no pixel data", "slices": 1},))
    assert faults(CASES[2], other, []) == ["no reason names the frame of reference"]
    answered = faults(CASES[2], HEAD_STUDY, [Received(Path("a"), "seg", "ct-tissue")])
    assert answered == ["seg of ct-tissue came back, though it was to be refused"]


def test_unfinished_failed_and_undelivered_are_faults_of_any_case() -> None:
    case = Case("own", (Path("x"),), "something is said")
    said = study(job("ct-tissue", "failed", "the worker died"))
    said["state"] = "reading"
    said["deliveries"] = [{"kind": "seg", "destination": "archive", "state": "failed", "reason": "A900"}]
    assert faults(case, said, []) == [
        "it is still reading",
        "ct-tissue failed: the worker died",
        "seg did not reach archive: A900",
    ]


def test_an_own_study_needs_an_answer_or_a_reason() -> None:
    case = Case("own", (Path("x"),), "something is said")
    assert faults(case, study(), []) == ["nothing was said of it"]
    assert faults(case, study(decisions=({"model": "m", "outcome": "not chosen", "reason": "reads CT"},)), []) == []
    assert faults(case, study(job("m")), [Received(Path("a"), "seg", "m")]) == []


def test_reasons_put_refusals_before_models_not_meant() -> None:
    said = study(
        job("a", "refused", "first"),
        decisions=(
            {"model": "c", "outcome": "not chosen", "reason": "third"},
            {"model": "b", "outcome": "refused", "reason": "second"},
        ),
    )
    assert reasons(said) == [("a", "first"), ("b", "second"), ("c", "third")]
