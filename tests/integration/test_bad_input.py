"""Every row of the table of bad input (`bad_input.TABLE`, `docs/bad-input.md`) against one running node."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset

from node import command_set, upper_layer
from node.command_set import ERROR_COMMENT, STATUS
from node.demo.cases import FILM
from node.demo.stage import cache_folder
from node.doubles.intake import MemoryIntake
from node.doubles.peer import Requestor
from node.listener.listener import Listener
from node.store.download import fetch
from node.store.errors import DownloadFailed
from node.store.part10 import read_head
from node.store.reserve import Reserve
from node.store.settings import Limits, Settings
from node.upper_layer import Context
from tests.integration import bad_objects
from tests.integration.bad_input import CASES, FILM_CASES, FULL, LOST, SUCCESS, TABLE, Case, Fate
from tests.integration.bad_objects import Input, Sent
from tests.integration.node_under_test import Node, running_node, wait_for

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "bad-input.md"
HEAD = ("| input | answer to the C-STORE | the study | words |", "|---|---|---|---|")

_FRAGMENT = 16000
_ABSENT = """import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"gdcm", "jpeg_ls"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, Absent())
"""
"""A ``sitecustomize`` by which every process of the node lacks both decoders of JPEG-LS, as on a machine without their packages."""

long = [pytest.mark.slow, pytest.mark.promise, pytest.mark.timeout(420)]


@dataclass
class Night:
    """A node to which everything has been sent, one case after the other, before anything is asked."""

    node: Node
    reference: Input
    last: Input
    made: dict[str, Input] = field(default_factory=dict)
    answers: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    no_film: str = ""

    def objects(self, study: dict[str, Any], modality: str = "SEG") -> list[FileDataset]:
        """What the archive received of a study, of one modality."""
        uids = {one["sop_instance_uid"] for one in study["deliveries"]}
        found = (dcmread(path) for path in sorted(self.node.archive.folder.rglob("*.dcm")) if path.stem in uids)
        return [one for one in found if one.Modality == modality]

    @property
    def log(self) -> str:
        return (self.node.folder / "serve.log").read_text(encoding="utf-8", errors="replace")

    @property
    def spool(self) -> Path:
        return self.node.folder / "data" / "spool"


def store(port: int, sent: Sequence[Sent]) -> list[tuple[int, str]]:
    """C-STORE over one association, byte for byte as given; status and Error Comment of each answer."""
    kinds = list(dict.fromkeys((one.sop_class_uid, one.transfer_syntax_uid) for one in sent))
    answers = []
    with Requestor(port, [Context(sop_class, (syntax,)) for sop_class, syntax in kinds]) as requestor:
        requestor.associate()
        for number, one in enumerate(sent, start=1):
            context_id = 2 * kinds.index((one.sop_class_uid, one.transfer_syntax_uid)) + 1
            requestor.command(context_id, command_set.store_request(number, one.sop_class_uid, one.sop_instance_uid))
            content = one.content[: int(len(one.content) * one.part)]
            for at in range(0, max(1, len(content)), _FRAGMENT):
                last = at + _FRAGMENT >= len(content) and one.part == 1
                requestor.data(context_id, content[at : at + _FRAGMENT], last=last)
            if one.part < 1:
                return [*answers, (LOST, "")]
            response = requestor.response()
            answers.append((response.number(STATUS) or 0, response.text(ERROR_COMMENT)))
        requestor.send(upper_layer.RELEASE_REQUEST)
        assert requestor.receive()[0] == upper_layer.A_RELEASE_RP
    return answers


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    folder = tmp_path_factory.mktemp("night")
    absent = folder / "absent"
    absent.mkdir()
    (absent / "sitecustomize.py").write_text(_ABSENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(absent), os.environ.get("PYTHONPATH")))))
        with running_node(folder) as node:
            one = Night(node, bad_objects.good(folder / "first"), bad_objects.good(folder / "last"))
            store(node.port, one.reference.sent)
            for number, case in enumerate(CASES):
                _send(one, case, folder / str(number))
            try:
                path = fetch(FILM.source, FILM.sha256, cache_folder())
            except DownloadFailed as reason:
                one.no_film = f"the chest film cannot be fetched: {reason}"
            else:
                for case in FILM_CASES:
                    _send(one, case, path)
            store(node.port, one.last.sent)
            yield one


def _send(night: Night, case: Case, place: Path) -> None:
    made = night.made[case.title] = case.make(place)
    night.answers[case.title] = store(night.node.port, made.sent)


def every(cases: Sequence[Case]) -> Any:
    return pytest.mark.parametrize("case", [pytest.param(case, id=case.title, marks=long) for case in cases])


def said(study: dict[str, Any]) -> list[str]:
    """All that a person reads of a study."""
    parts = (*study["jobs"], *study["decisions"])
    return [*(one["reason"] for one in parts), *(event["detail"] for event in study["events"])]


def as_pattern(words: str) -> str:
    return ".+".join(re.escape(piece) for piece in words.split("…"))


@every(CASES)
def test_the_sender_is_answered(night: Night, case: Case) -> None:
    odd = night.made[case.title].odd
    for at, (status, comment) in enumerate(night.answers[case.title]):
        expected = case.status if at in odd or not odd else SUCCESS
        assert f"{status:04X}" == f"{expected:04X}"
        if expected not in (SUCCESS, LOST):
            assert comment == case.words
            assert case.words in night.log
        else:
            assert not comment


@every(CASES)
def test_what_was_acknowledged_is_kept_byte_for_byte_and_nothing_else(night: Night, case: Case) -> None:
    for one, (status, _) in zip(night.made[case.title].sent, night.answers[case.title], strict=True):
        kept = [path for path in night.spool.rglob("*.dcm") if path.stem == one.sop_instance_uid]
        assert len(kept) == (status == SUCCESS)
        for path in kept:
            with path.open("rb") as file:
                file.seek(read_head(file).offset)
                assert file.read() == one.content
    assert not list(night.node.folder.parent.rglob("*evil*"))


@every([case for case in CASES if case.fate is Fate.NOTHING])
def test_a_study_that_was_refused_is_unknown(night: Night, case: Case) -> None:
    uid = night.made[case.title].study_uid
    listed = {one.name for one in (night.spool / "in").iterdir()}
    assert uid not in listed
    if uid:
        assert night.node.study(uid) is None


@every([case for case in CASES if case.fate is Fate.KEPT])
def test_what_is_not_analysed_says_why(night: Night, case: Case) -> None:
    if "not shipped" in case.title and find_spec("libjpeg") is not None:
        pytest.skip("the decoder for 12-bit JPEG is installed here")
    made = night.made[case.title]
    study = night.node.finished(made.study_uid, 120)
    assert study["instances"] == len(made.sent)
    assert not [job for job in study["jobs"] if job["state"] != "refused"]
    assert not study["deliveries"]
    assert [words for words in said(study) if re.fullmatch(as_pattern(case.words), words)], said(study)


@every([case for case in CASES if case.detail.startswith(("the same result", "the name"))])
def test_what_only_looks_bad_is_read_right(night: Night, case: Case) -> None:
    """Refusing it, or reading other values from it, would be a fault."""
    reference = night.node.finished(night.reference.study_uid, 120)
    study = night.node.finished(night.made[case.title].study_uid, 120)
    [expected] = _published(reference)
    [job] = _published(study)
    assert job["model"] == "ct-tissue"
    assert job["measurements"] == expected["measurements"] != []
    [mine], [right] = night.objects(study), night.objects(reference)
    assert mine.PixelData == right.PixelData
    assert {one["kind"] for one in job["objects"]} == {one["kind"] for one in expected["objects"]}
    assert not case.words or case.words in job["notes"]


@every([case for case in CASES if case.detail.startswith("the name")])
def test_names_come_back_byte_for_byte(night: Night, case: Case) -> None:
    made = night.made[case.title]
    study = night.node.finished(made.study_uid, 120)
    source = dcmread(BytesIO(made.sent[0].content), force=True)
    name = source.get_item("PatientName").value
    assert not name.isascii() or b"\x1b" in name
    results = night.objects(study) + night.objects(study, "SR")
    assert len(results) >= 2
    for result in results:
        assert result.get_item("PatientName").value == name
        assert result.get("SpecificCharacterSet") == source.get("SpecificCharacterSet")


@pytest.mark.slow
@pytest.mark.promise
@pytest.mark.timeout(420)
class TestReadInParts:
    def test_mixed_orientations_are_two_stacks(self, night: Night) -> None:
        study = night.node.finished(night.made["mixed orientations in one series"].study_uid, 120)
        jobs = _published(study)
        assert {job["model"] for job in jobs} == {"ct-tissue"}
        assert len({job["stack"] for job in jobs}) == len(jobs) == 2
        assert {one["description"].split(", ")[1] for one in study["decisions"]} == {"axial", "coronal"}
        axes = {tuple(_orientation(one)) for one in night.objects(study)}
        assert axes == {(1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, -1)}

    def test_a_sender_lost_in_mid_study_costs_only_the_broken_object(self, night: Night) -> None:
        made = night.made["a sender that is lost in mid-study"]
        assert "an object was broken off and is not kept" in night.log
        first = night.node.finished(made.study_uid, 120)
        assert first["instances"] == 3
        assert [job["revision"] for job in _published(first)] == [1]
        assert {status for status, _ in store(night.node.port, made.again)} == {SUCCESS}
        second = night.node.finished(made.study_uid, 120, revision=2)
        assert second["instances"] == len(made.again)
        newest = [job for job in _published(second) if job["revision"] == 2]
        [right] = _published(night.node.finished(night.reference.study_uid))
        assert [job["measurements"] for job in newest] == [right["measurements"]]

    def test_other_bytes_under_one_uid_are_kept_beside_the_first(self, night: Night) -> None:
        [case] = [case for case in CASES if case.make is bad_objects.other_bytes]
        made = night.made[case.title]
        first = night.node.finished(made.study_uid, 120)
        assert [status for status, _ in store(night.node.port, made.again)] == [case.status]
        study = night.node.finished(made.study_uid, 120, revision=2)
        assert [words for words in said(study) if re.fullmatch(as_pattern(case.words), words)]
        folder = night.spool / "in" / made.study_uid
        [changed] = made.again
        kept = {path.name for path in folder.rglob("*.dcm") if path.name.startswith(changed.sop_instance_uid)}
        assert kept == {f"{changed.sop_instance_uid}.dcm", f"{changed.sop_instance_uid}.v2.dcm"}
        assert sorted(job["revision"] for job in _published(study)) == [1, 2]
        assert len({one.PixelData for one in night.objects(study)}) == 2
        assert {one.SOPInstanceUID for one in night.objects(first)} < {one.SOPInstanceUID for one in night.objects(study)}


@every(FILM_CASES)
def test_a_film_is_read_right(night: Night, case: Case) -> None:
    if night.no_film:
        pytest.skip(night.no_film)
    assert {status for status, _ in night.answers[case.title]} == {case.status}
    both = [night.node.finished(night.made[one.title].study_uid, 180) for one in FILM_CASES]
    one, other = (next(job for job in _published(study) if job["model"] == "cxr-lungs") for study in both)
    assert one["measurements"] == other["measurements"] != []
    outlines = [{found.PixelData for found in night.objects(study)} for study in both]
    assert outlines[0] == outlines[1] != set()
    study = both[FILM_CASES.index(case)]
    units = {measured["unit"] for job in _published(study) for measured in job["measurements"]}
    assert units == {"pixels"}
    content = [one.to_json() for one in night.objects(study, "SR")]
    assert any("{pixels}" in one for one in content)
    assert not [one for one in content if re.search(r"\b[cm]m2\b", one)]


@pytest.mark.slow
@pytest.mark.promise
@pytest.mark.timeout(420)
def test_nothing_else_suffers(night: Night) -> None:
    """The studies before and after all that are read, and read alike; nothing half-done lies about."""
    before, after = (night.node.finished(one.study_uid, 180) for one in (night.reference, night.last))
    assert [job["measurements"] for job in _published(before)] == [job["measurements"] for job in _published(after)]
    assert [one.PixelData for one in night.objects(before)] == [one.PixelData for one in night.objects(after)]
    assert not [job for job in after["jobs"] if job["state"] == "failed"]
    wait_for(lambda: not list(night.spool.rglob("*.part")), 10, "no temporary file is left")
    assert night.node.process is not None
    assert night.node.process.poll() is None
    logged = [json.loads(line)["sop_instance_uid"] for line in night.node.archive.log.read_text(encoding="utf-8").splitlines()]
    assert len(logged) == len(set(logged))


@pytest.mark.slow
@pytest.mark.promise
@pytest.mark.timeout(420)
def test_no_patient_is_named_in_the_log(night: Night) -> None:
    night.node.finished(night.last.study_uid, 180)
    content = night.log.encode() + night.log.encode("unicode_escape")
    patients = ("Yamada", "山田", "Hong^Gildong", "홍", "Müller", "Ground", "SOMEBODY-ELSE", "PHANTOM-", "19700101", "evil")
    assert not [one for one in patients if one.encode() in content or one.encode("unicode_escape") in content]


class Filling(Reserve):
    """A disk that is full once an association is open."""

    looks = 0

    def has_room(self) -> bool:
        self.looks += 1
        return self.looks == 1


def test_a_full_disk_is_said_before_anything_is_taken(tmp_path: Path) -> None:
    intake = MemoryIntake()
    limits = Limits(disk_reserve_mb=100)
    listener = Listener(Settings(data=tmp_path / "data", host="127.0.0.1", port=0, limits=limits), intake)
    listener.start()
    listener.spool.reserve = Filling(tmp_path, 100_000_000)
    try:
        answers = store(listener.port, FULL.make(tmp_path / "good").sent)
    finally:
        listener.stop(drain_s=1)
    assert {status for status, _ in answers} == {FULL.status}
    assert all(re.fullmatch(as_pattern(FULL.words), comment) for _, comment in answers), answers
    assert not [path for path in (tmp_path / "data").rglob("*") if path.suffix in {".dcm", ".part"}]
    assert not intake.arrivals


def test_the_document_has_the_rows_that_are_tested() -> None:
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("|")] == [*HEAD, *(case.row for case in TABLE)]


def _published(study: dict[str, Any]) -> list[dict[str, Any]]:
    return [job for job in study["jobs"] if job["state"] == "published"]


def _orientation(segmentation: FileDataset) -> Sequence[float]:
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    return [round(float(value)) for value in shared.PlaneOrientationSequence[0].ImageOrientationPatient]
