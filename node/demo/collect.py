"""Which studies the demonstration sends, and what came back for them."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from node.demo.cases import Case, Received, Study
from node.store.errors import NotUnderstood, Permanent
from node.store.spool import check_uid


def study_uid(case: Case) -> str:
    """Study Instance UID of a case's files."""
    return str(dcmread(case.paths[0], stop_before_pixels=True, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)


def own_cases(paths: Iterable[Path]) -> tuple[Case, ...]:
    """A case for each study in files and folders of the user's own; what is no DICOM image is passed over.

    Raises
    ------
    Permanent
        Where there is no DICOM file.
    """
    by_study: defaultdict[str, list[Path]] = defaultdict(list)
    for path in _files(paths):
        try:
            head = dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID", "SOPInstanceUID"])
        except (InvalidDicomError, OSError):
            continue
        if _names_a_study(head):
            by_study[str(head.StudyInstanceUID)].append(path)
    if not by_study:
        raise Permanent("there is no DICOM file with a Study Instance UID among these paths")
    return tuple(Case(_common_name(files), tuple(files), "finished, and something said of it") for files in by_study.values())


def _names_a_study(head: Dataset) -> bool:
    """Whether it has the UIDs that the node asks for; results are kept in a folder that is named after the study."""
    try:
        return bool(check_uid(str(head.get("StudyInstanceUID", ""))) and head.get("SOPInstanceUID"))
    except NotUnderstood:
        return False


def _files(paths: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise Permanent(f"{path} does not exist")
        found += sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    return found


def _common_name(files: Sequence[Path]) -> str:
    return files[0].name if len(files) == 1 else f"{files[0].parent.name or files[0].name}, {len(files)} files"


def received_objects(study: Study, archive: Path) -> list[Received]:
    """The objects of a study that lie in the archive, read from their files."""
    models = {job["job_id"]: job["model"] for job in study["jobs"]}
    found = []
    for delivery in study["deliveries"]:
        path = archive / f"{delivery['sop_instance_uid']}.dcm"
        if path.is_file():
            found.append(_received(path, delivery["kind"], models[delivery["job_id"]]))
    return found


def _received(path: Path, kind: str, model: str) -> Received:
    one = dcmread(path)
    segments = tuple(str(segment.SegmentLabel) for segment in one.get("SegmentSequence", ()))
    return Received(path, kind, model, segments, tuple(dict.fromkeys(_units(one))))


def _units(one: Dataset) -> list[str]:
    """Code values of the units of all numbers in an SR (PS3.3 section C.18.1)."""
    return [
        str(unit.CodeValue)
        for element in one.iterall()
        if element.keyword == "MeasurementUnitsCodeSequence"
        for unit in element.value
        if "CodeValue" in unit
    ]


def keep_results(study: Study, received: Sequence[Received], out: Path) -> list[Path]:
    """Copy what came back to ``out/STUDY-UID/MODEL-KIND.dcm``, with what the node says of the study in ``study.json``.

    Results of an earlier demonstration there are replaced.
    """
    folder = out / study["study_uid"]
    folder.mkdir(parents=True, exist_ok=True)
    for earlier in folder.glob("*.dcm"):
        earlier.unlink()
    kept = []
    for one in received:
        name, number = f"{one.model}-{one.kind}", 1
        while (path := folder / (f"{name}.dcm" if number == 1 else f"{name}-{number}.dcm")) in kept:
            number += 1
        shutil.copyfile(one.path, path)
        kept.append(path)
    (folder / "study.json").write_text(json.dumps(study, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return kept
