"""The studies of the demonstration, what each must come to, and whether it did. Data and comparison; results are never here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

Study = dict[str, Any]
"""What ``overread study UID --json`` prints (`node.page.plain.study_in_full`)."""

PACKAGE: Final = "pypi:pydicom-data==1.0.0#data_store/data"


@dataclass(frozen=True, slots=True)
class Received:
    """One object that came back to the archive, as far as an outcome speaks of it.

    Parameters
    ----------
    kind
        As the node calls it: ``seg``, ``measurements`` or ``report``.
    model
        Manufacturer's Model Name of the object.
    segments
        Segment Labels, of a SEG.
    units
        Code values of all units of measurement in it, of an SR.
    """

    path: Path
    kind: str
    model: str
    segments: tuple[str, ...] = ()
    units: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Expected:
    """What one model must say of a study.

    Parameters
    ----------
    model
        Its name.
    kinds
        Kinds of object that must come back.
    findings
        Names of findings that must be rated.
    segments
        Words of which each must be in the label of a segment, lower case.
    quantities
        Quantities that must be measured, e.g. ``area``.
    """

    model: str
    kinds: tuple[str, ...]
    findings: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    quantities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """A study and its stated outcome.

    Parameters
    ----------
    outcome
        The statement, for a person.
    expected
        Models that must answer. Empty together with `refused_for`: any answer or reason will do.
    no_units
        Units that must not occur anywhere in the results.
    no_segments
        Words that must not be in any segment's label.
    refused_for
        Text that the reason of a refusal must hold; nothing may come back then.
    """

    title: str
    paths: tuple[Path, ...]
    outcome: str
    expected: tuple[Expected, ...] = ()
    no_units: tuple[str, ...] = ()
    no_segments: tuple[str, ...] = ()
    refused_for: str = ""


@dataclass(frozen=True, slots=True)
class Download:
    """One file of the demonstration."""

    name: str
    sha256: str

    @property
    def source(self) -> str:
        return f"{PACKAGE}/{self.name}"


FILM: Final = Download("RG1_J2KR.dcm", "7fbfd29360af806770102fd7c4ffcb2a133075bd00920a4bb63460d516f67ac4")
ABDOMEN: Final = Download("explicit_VR-UN.dcm", "28c4a61022d7dbebec97e2f1bbdad0ed097bee2c62727c26a3f3720248c9c6e7")
HEAD: Final = Download("693_J2KR.dcm", "c392d8bd1f952ed2d9387d5143d34c5a29ac9d74566688169731a50ac6a82aa2")
DOWNLOADS: Final = (FILM, ABDOMEN, HEAD)


def shipped_cases(folder: dict[str, Path]) -> tuple[Case, ...]:
    """The three studies; `folder` holds each download's path by its name."""
    return (
        Case(
            "chest radiograph",
            (folder[FILM.name],),
            "lungs segmented, pneumonia rated, nothing in mm2",
            expected=(
                Expected("cxr-lungs", ("seg", "measurements", "report"), segments=("right lung", "left lung")),
                Expected("cxr-pneumonia", ("measurements", "report"), findings=("Pneumonia",)),
            ),
            no_units=("mm2", "cm2"),
        ),
        Case(
            "abdominal CT slice",
            (folder[ABDOMEN.name],),
            "bone and body with areas, no lungs where there are none",
            expected=(Expected("ct-tissue", ("seg", "measurements", "report"), segments=("bone", "body"), quantities=("area",)),),
            no_segments=("lung",),
        ),
        Case(
            "head CT slice",
            (folder[HEAD.name],),
            "refused for the missing Frame of Reference UID",
            refused_for="frame of reference",
        ),
    )


def faults(case: Case, study: Study, received: Sequence[Received]) -> list[str]:
    """What keeps a study from its stated outcome, in words; empty where it reached it."""
    found = [] if study["state"] == "finished" else [f"it is still {study['state']}"]
    found += [f"{job['model']} failed: {job['reason']}" for job in study["jobs"] if job["state"] == "failed"]
    found += [
        f"{one['kind']} did not reach {one['destination']}: {one['reason'] or one['state']}"
        for one in study["deliveries"]
        if one["state"] != "sent"
    ]
    if case.refused_for:
        found += _refusal_faults(case, study, received)
    elif not case.expected and not reasons(study) and not received:
        found.append("nothing was said of it")
    for expected in case.expected:
        found += _model_faults(expected, study, received)
    labels = [label.lower() for one in received for label in one.segments]
    found += [f"a segment is labelled {label!r}" for label in labels for word in case.no_segments if word in label]
    units = {unit for one in received for unit in one.units} | {one["unit"] for one in measurements(study)}
    found += [f"{unit} occurs in the results" for unit in case.no_units if unit in units]
    return found


def _model_faults(expected: Expected, study: Study, received: Sequence[Received]) -> list[str]:
    jobs = [job for job in study["jobs"] if job["model"] == expected.model and job["state"] == "published"]
    if not jobs:
        why = [reason for model, reason in reasons(study) if model == expected.model]
        return [f"{expected.model} gave no answer" + (f": {'; '.join(why)}" if why else "")]
    mine = [one for one in received if one.model == expected.model]
    kinds = {one.kind for one in mine}
    found = [f"no {kind} of {expected.model} came back" for kind in expected.kinds if kind not in kinds]
    rated = {finding["name"] for job in jobs for finding in job["findings"]}
    found += [f"{expected.model} did not rate {name}" for name in expected.findings if name not in rated]
    labels = [label.lower() for one in mine for label in one.segments]
    found += [f"{expected.model} outlined no {word}" for word in expected.segments if not any(word in label for label in labels)]
    quantities = {one["quantity"] for job in jobs for one in job["measurements"]}
    found += [
        f"{expected.model} measured no {quantity}"
        for quantity in expected.quantities
        if not any(quantity in measured for measured in quantities)
    ]
    return found


def _refusal_faults(case: Case, study: Study, received: Sequence[Received]) -> list[str]:
    found = [f"{one.kind} of {one.model} came back, though it was to be refused" for one in received]
    if not any(case.refused_for in reason.lower() for _, reason in reasons(study)):
        found.append(f"no reason names the {case.refused_for}")
    return found


def reasons(study: Study) -> list[tuple[str, str]]:
    """``(model, reason)`` of every refusal, the models' own first; models that were merely not meant for it come last."""
    refused = [(job["model"], job["reason"]) for job in study["jobs"] if job["state"] in {"refused", "failed"}]
    for outcome in ("refused", "not chosen"):
        refused += [(one["model"], one["reason"]) for one in study.get("decisions", []) if one["outcome"] == outcome]
    return refused


def measurements(study: Study) -> list[dict[str, Any]]:
    """All that was measured."""
    return [one for job in study["jobs"] for one in job["measurements"]]
