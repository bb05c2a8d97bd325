"""Early write-out changes nothing of what is in a file, and never fails."""

from __future__ import annotations

import os
from pathlib import Path

from node.store import writeout
from node.store.spool import Spool


def test_any_descriptor_is_taken(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(b"x" * 5000)
        file.flush()
        writeout.begin(file.fileno(), 0, 5000)
        writeout.begin(file.fileno(), 4096, 1 << 40)
    writeout.begin(9999, 0, 1)
    read, write = os.pipe()
    writeout.begin(write, 0, 1)
    os.close(read)
    os.close(write)
    assert (tmp_path / "file").read_bytes() == b"x" * 5000


def test_a_long_file_is_kept_as_written(tmp_path: Path) -> None:
    content = os.urandom(3 * writeout.STEP + 17)
    writer = Spool(tmp_path / "spool").begin()
    for start in range(0, len(content), 100_000):
        writer.write(content[start : start + 100_000])
    writer.keep("in/long")
    assert (tmp_path / "spool" / "in" / "long").read_bytes() == content
