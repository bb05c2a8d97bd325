"""Whatever a sender breaks, planning answers for every file, and loading answers or refuses: nothing else may be raised."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.store.errors import Refused
from node.store.settings import Settings
from node.studies.plan import Planner
from tests import dicom
from tests.unit.node.routing.manifests import LIBRARY
from workers.series.stack import load_stack

HEADER_FROM = 300
"""Preamble and file meta are the listener's own; damage comes behind them."""

damage = st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6), st.integers(0, 6)), min_size=1, max_size=6)


def damaged(content: bytes, changes: list[tuple[float, bytes, int]]) -> bytes:
    for where, put, cut in changes:
        at = HEADER_FROM + int(where * (len(content) - HEADER_FROM))
        content = content[:at] + put + content[at + cut :]
    return content


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("study")
    small = {"slices": 2, "shape": (4, 4)}
    rows = dicom.stored(
        [
            *dicom.ct_series(**small),
            *dicom.mr_series(series="mr", **small),
            dicom.radiograph(),
            dicom.photograph(series="photograph"),
            dicom.enhanced(series="enhanced", **small),
            dicom.report(),
        ],
        folder,
    )
    return folder, rows, [(folder / row.arrival.path).read_bytes() for row in rows]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(damage, min_size=8, max_size=8))
def test_damage_is_planned_or_refused(study, changes) -> None:
    folder, rows, contents = study
    paths = [Path(folder / row.arrival.path) for row in rows]
    for path, content, change in zip(paths, contents, changes, strict=True):
        path.write_bytes(damaged(content, change))
    stacks = Planner(Settings(), LIBRARY, folder)(rows)
    planned = [number for stack in stacks for number in stack.instance_ids]
    assert len(planned) == len(set(planned))
    assert all(stack.decisions for stack in stacks)
    assert {row.instance_id for row in rows} - set(planned) == set()
    for path in paths:
        with suppress(Refused):
            assert load_stack([path]).image.array.size > 0
