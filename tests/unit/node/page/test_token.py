from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from node.page.token import FILE, page_token, same_token
from node.store.errors import ConfigurationError


def test_made_once_and_only_for_the_owner(tmp_path: Path) -> None:
    token = page_token(tmp_path / "data")
    path = tmp_path / "data" / FILE
    assert len(token) >= 40
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert page_token(tmp_path / "data") == token
    assert [one.name for one in path.parent.iterdir()] == [FILE]


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(lambda _: page_token(tmp_path), range(32)))
    assert len(tokens) == 1


def test_a_file_open_to_others_is_no_secret(tmp_path: Path) -> None:
    page_token(tmp_path)
    (tmp_path / FILE).chmod(0o640)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        page_token(tmp_path)


def test_empty_file_is_no_token(tmp_path: Path) -> None:
    (tmp_path / FILE).touch(0o600)
    with pytest.raises(ConfigurationError, match="holds no token"):
        page_token(tmp_path)


def test_comparison() -> None:
    assert same_token("abc", "abc")
    assert not same_token("abd", "abc")
    assert not same_token("é", "abc")
