"""Checkpoints are tensors; whatever else a pickle names is refused and never run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from models.networks.checkpoint import read_state
from node.store.errors import ConfigurationError


class Hostile:
    """Pickles to a call that would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (os.system, (f"touch {self.path}",))


@pytest.mark.parametrize("new_layout", [True, False])
def test_reads_tensors_by_name(tmp_path: Path, new_layout: bool) -> None:
    state = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)}
    torch.save(state, tmp_path / "state.p", _use_new_zipfile_serialization=new_layout)

    read = read_state(tmp_path / "state.p")

    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], state[name]) for name in state)


@pytest.mark.parametrize("new_layout", [True, False, None])
def test_a_hostile_pickle_is_refused_and_runs_nothing(tmp_path: Path, new_layout: bool | None) -> None:
    trap = tmp_path / "trap"
    content = {"a": torch.ones(2), "b": Hostile(trap)}
    if new_layout is None:
        (tmp_path / "bad.p").write_bytes(pickle.dumps(content["b"]))
    else:
        torch.save(content, tmp_path / "bad.p", _use_new_zipfile_serialization=new_layout)

    with pytest.raises(ConfigurationError, match=r"bad\.p"):
        read_state(tmp_path / "bad.p")

    assert not trap.exists()


@pytest.mark.parametrize("new_layout", [True, False])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, new_layout: bool) -> None:
    torch.save({"a": torch.ones(500)}, tmp_path / "whole.p", _use_new_zipfile_serialization=new_layout)
    content = (tmp_path / "whole.p").read_bytes()

    for length in range(0, len(content) - 1, 97):
        (tmp_path / "cut.p").write_bytes(content[:length])
        with pytest.raises(ConfigurationError):
            read_state(tmp_path / "cut.p")


@pytest.mark.parametrize("content", [[torch.ones(2)], {"a": 3}, {1: torch.ones(2)}, torch.ones(2)])
def test_what_is_not_tensors_by_name_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "odd.p")

    with pytest.raises(ConfigurationError, match="something else"):
        read_state(tmp_path / "odd.p")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.p"):
        read_state(tmp_path / "none.p")
