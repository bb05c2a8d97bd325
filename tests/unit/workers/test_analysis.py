from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread

from models.manifest import read_library
from node.store.errors import Permanent, Refused
from node.store.naming import OWN, SeriesNaming
from node.store.profiles import PROFILES
from node.store.records import Claim, Superseded, SupersededObject
from node.store.settings import Settings
from node.store.spool import Spool
from tests.integration.phantom import ct_phantom
from tests.unit.models.phantom import chest, image
from workers.analysis import RESULTS, Analyst, _of_naming

MODEL = read_library()["ct-tissue"]


def claim(folder: Path, **values: object) -> Claim:
    phantom = ct_phantom(folder, slices=6, size=64)
    made = Claim(
        job_id=7,
        fence=1,
        study_uid=phantom.study_uid,
        series_uid=phantom.series_uid,
        stack_key="1",
        facts={},
        model=MODEL.name,
        fingerprint=MODEL.fingerprint,
        instance_paths=tuple(map(str, phantom.paths)),
        revision=1,
        run=1,
        attempt=1,
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
        installation="b9f3c6f8-6a34-4b0e-8d0c-0d7b8f5f2a11",
    )
    return replace(made, **values)  # type: ignore[arg-type]


def test_another_attempt_of_a_job_makes_the_same_bytes_in_a_folder_of_its_own(tmp_path: Path) -> None:
    first, spool = claim(tmp_path / "ct"), Spool(tmp_path / "spool")
    settings = Settings(data=tmp_path)

    once = Analyst(settings).analyse(first, spool)
    again = Analyst(settings).analyse(replace(first, fence=2, attempt=2), spool)

    assert {one.kind for one in once.objects} == {"seg", "measurements", "report"}
    assert [replace(one, path="") for one in once.objects] == [replace(one, path="") for one in again.objects]
    for left, right in zip(once.objects, again.objects, strict=True):
        assert left.path.startswith(f"{RESULTS}/{first.study_uid}/7.1/")
        assert right.path.startswith(f"{RESULTS}/{first.study_uid}/7.2/")
        assert spool.absolute(left.path).read_bytes() == spool.absolute(right.path).read_bytes()


def test_a_model_that_is_not_the_one_of_the_job_answers_nothing(tmp_path: Path) -> None:
    made, spool = claim(tmp_path / "ct"), Spool(tmp_path / "spool")
    analyst = Analyst(Settings(data=tmp_path))
    with pytest.raises(Permanent, match="has changed since this job was made"):
        analyst.analyse(replace(made, fingerprint="0" * 64), spool)
    with pytest.raises(Permanent, match="no-such is not installed"):
        analyst.analyse(replace(made, model="no-such"), spool)
    assert not (tmp_path / "spool" / RESULTS).exists()


def test_what_is_refused_leaves_nothing_in_the_spool(tmp_path: Path) -> None:
    made, spool = claim(tmp_path / "ct"), Spool(tmp_path / "spool")
    with pytest.raises(Refused):
        Analyst(Settings(data=tmp_path)).analyse(
            replace(made, instance_paths=made.instance_paths[:2] + made.instance_paths[3:]), spool
        )
    assert not (tmp_path / "spool" / RESULTS).exists()


def test_heat_maps_are_made_only_where_somebody_is_sent_pictures(tmp_path: Path) -> None:
    shipped = read_library()["cxr-tb"]
    manifest = shipped.model_copy(update={"parameters": {**shipped.parameters, "strangest": 1e9}})  # it reads a drawn film
    film = image(chest())

    without, pictured = (
        Analyst(Settings(data=tmp_path), {manifest.name: manifest}, PROFILES[profile])._model(manifest).predict(film)
        for profile in ("standard", "any-pacs")
    )

    assert not without.heat_maps
    assert pictured.heat_maps
    assert without.ratings == pictured.ratings


def test_destinations_that_name_series_alike_share_a_set_and_messages_tell_of_the_first(tmp_path: Path) -> None:
    def folder(name: str, **says: object) -> dict[str, object]:
        return {"name": name, "folder": str(tmp_path), "kinds": ["seg", "report"], **says}

    named = {"series_number": "90{kind}", "series_description": "AI {kind}"}
    destinations = [
        folder("one", **named),
        folder("two", **named, language="de"),
        folder("own"),
        {"name": "ris", "mllp": "127.0.0.1:9"},
    ]
    made, spool = claim(tmp_path / "ct"), Spool(tmp_path / "spool")
    settings = Settings.model_validate({"data": tmp_path, "destinations": destinations})
    found = Analyst(settings).analyse(made, spool)
    kinds: dict[str, list[str]] = {}
    for one in found.objects:
        kinds.setdefault(one.naming, []).append(one.kind)
    key = settings.destinations[0].naming.key
    assert {naming: sorted(of) for naming, of in kinds.items()} == {
        "": ["hl7", "measurements", "report", "seg"],
        key: ["report", "report.de", "seg"],
    }
    numbers = {one.naming: dcmread(spool.absolute(one.path)).SeriesNumber for one in found.objects if one.kind == "seg"}
    assert numbers[key] == 901
    assert numbers[""] >= 10000
    alone = Analyst(Settings.model_validate({"data": tmp_path, "destinations": destinations[:1]})).analyse(made, spool)
    assert {one.sha256 for one in alone.objects} >= {
        one.sha256 for one in found.objects if one.naming and one.kind in {"seg", "report"}
    }


def test_replaced_are_the_objects_that_are_named_alike(tmp_path: Path) -> None:
    named = SeriesNaming("9000")
    gone = tuple(SupersededObject("seg", "1.2", f"2.25.{number}", "2.25.9", key) for number, key in enumerate(("", named.key)))
    before = Superseded(1, 1, "f" * 64, gone)
    assert [[one.naming for one in of.objects] for of in (_of_naming(before, OWN), _of_naming(before, named)) if of] == [
        [""],
        [named.key],
    ]
    other = _of_naming(before, SeriesNaming("1"))
    assert other is not None
    assert [one.naming for one in other.objects] == [""]
    assert _of_naming(None, OWN) is None
