import hashlib

import pytest

from models.manifest import library_folder, read_manifest
from models.runtimes.radiograph import LATERAL_VIEWS, MODALITIES, OTHER_BODY_PARTS

NAMES = ["cxr-lungs", "cxr-pneumonia", "cxr-tb"]


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_small_and_the_ones_that_are_named(name: str) -> None:
    manifest = read_manifest(library_folder() / name)
    assert manifest.name == name
    for weights in manifest.weights:
        path = manifest.folder / weights.file
        assert hashlib.sha256(path.read_bytes()).hexdigest() == weights.sha256
        assert path.stat().st_size <= 5_000_000


def test_all_look_at_chests_with_the_same_network() -> None:
    lungs, *others = (read_manifest(library_folder() / name) for name in NAMES)
    assert {one.weights[-1].sha256 for one in others} == {lungs.weights[0].sha256}


def test_tuberculosis_is_read_only_where_a_route_names_the_model() -> None:
    assert read_manifest(library_folder() / "cxr-tb").research_only


@pytest.mark.parametrize("name", NAMES)
def test_routing_and_runtime_exclude_the_same(name: str) -> None:
    rules = " ".join(one.rule for one in read_manifest(library_folder() / name).input.require)
    for word in (*MODALITIES, *OTHER_BODY_PARTS, *LATERAL_VIEWS):
        assert f'"{word}"' in rules, word


@pytest.mark.parametrize("name", NAMES)
def test_rules_decide_as_they_say(name: str) -> None:
    rule_engine = pytest.importorskip("rule_engine")
    chest = {"modality": "DX", "colour": False, "body_part": "CHEST", "view": "PA"}
    require = read_manifest(library_folder() / name).input.require

    def failed(**facts: object) -> list[str]:
        stated = {**chest, **facts}
        return [one.otherwise.format(**stated) for one in require if not rule_engine.Rule(one.rule).matches(stated)]

    assert failed() == []
    assert failed(body_part="", view="") == []
    assert failed(modality="CT") == ["reads chest radiographs (CR, DX, RG), this is CT"]
    assert failed(body_part="HAND") == ["reads chest radiographs, this is HAND"]
    assert failed(view="LL")[0].startswith("lateral view (LL)")
    assert failed(colour=True) == ["reads grey radiographs, this is a colour picture"]
