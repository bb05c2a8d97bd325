from __future__ import annotations

from pathlib import Path

import pytest

from node.commands.options import settings_from
from node.store.errors import ConfigurationError


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA", "CONFIG", "MIRROR"):
        monkeypatch.delenv(f"OVERREAD_{name}", raising=False)


def test_flags_that_were_not_given_leave_the_file_alone(tmp_path: Path) -> None:
    (tmp_path / "o.toml").write_text('ae_title = "FILE"\nport = 104')
    settings = settings_from(tmp_path / "o.toml", data=Path("d"), ae_title=None, port=4242)
    assert (settings.ae_title, settings.port, settings.data) == ("FILE", 4242, Path("d"))


def test_destinations_are_named_by_flag() -> None:
    assert settings_from(to=["pacs=PACS@h:104"]).destination("pacs") is not None
    with pytest.raises(ConfigurationError, match="is not NAME=AET@HOST:PORT"):
        settings_from(to=["pacs"])
