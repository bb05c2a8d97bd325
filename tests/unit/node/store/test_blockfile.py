"""Whatever sizes it is written in, a file holds what was written, and can be read before it is whole."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.store.blockfile import BLOCK, CAPACITY, BlockFile, Shelf

SIZES = st.lists(st.sampled_from([0, 1, 7, 4095, 4096, 4097, 65536, CAPACITY - 1, CAPACITY, CAPACITY + 1, 300_001]), max_size=6)


def made(folder: Path, sizes: list[int], shelf: Shelf) -> tuple[bytes, BlockFile, int]:
    descriptor = os.open(folder / "file", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    file, content = BlockFile(descriptor, shelf), b""
    for number, size in enumerate(sizes):
        piece = bytes([number + 1]) * size
        file.append(piece)
        content += piece
    return content, file, descriptor


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SIZES, st.booleans(), st.data())
def test_what_is_read_is_what_was_written(tmp_path: Path, sizes: list[int], direct: bool, data: st.DataObject) -> None:
    shelf = Shelf()
    shelf.direct = shelf.direct and direct
    content, file, descriptor = made(tmp_path, sizes, shelf)
    assert file.size_bytes == len(content)
    for _ in range(3):
        offset, length = data.draw(st.integers(0, len(content))), data.draw(st.integers(0, 70_000))
        assert file.read(offset, length) == content[offset : offset + length]
    file.finish()
    offset = data.draw(st.integers(0, len(content)))
    assert file.read(offset, 5000) == content[offset : offset + 5000]
    file.release()
    os.close(descriptor)
    assert (tmp_path / "file").read_bytes() == content


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, CAPACITY), max_size=5), st.lists(st.booleans(), min_size=5, max_size=5))
def test_what_is_put_in_its_room_is_not_copied(tmp_path: Path, sizes: list[int], lent: list[bool]) -> None:
    content, file, descriptor = made(tmp_path, [100], Shelf())
    for number, (size, in_place) in enumerate(zip(sizes, lent, strict=False)):
        piece = os.urandom(size)
        if in_place:
            room = file.room()
            assert len(room) > 0
            piece = piece[: len(room)]
            room[: len(piece)] = piece
            file.append(room[: len(piece)])
        else:
            file.append(piece)
        content += piece
        assert file.size_bytes == len(content), number
    file.finish()
    file.release()
    os.close(descriptor)
    assert (tmp_path / "file").read_bytes() == content


def test_whole_blocks_go_past_the_page_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[bool, int]] = []
    write = os.write

    def noted(descriptor: int, some: memoryview) -> int:
        import fcntl

        written.append((bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT), len(some)))
        return write(descriptor, some)

    monkeypatch.setattr(os, "write", noted)
    shelf = Shelf()
    _, file, descriptor = made(tmp_path, [CAPACITY + 5 * BLOCK + 10], shelf)
    file.finish()
    os.close(descriptor)
    if not shelf.direct:
        pytest.skip("this file system has no direct writes")
    assert written == [(True, CAPACITY), (False, 5 * BLOCK + 10)] or written == [(True, CAPACITY), (True, 5 * BLOCK), (False, 10)]


def test_a_small_file_goes_the_usual_way(tmp_path: Path) -> None:
    _, file, descriptor = made(tmp_path, [5000], Shelf())
    file.finish()
    assert not file._is_direct
    os.close(descriptor)


@pytest.fixture
def refuses_direct(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """A file system that takes the flag and then refuses the write, as some do; says how often it did."""
    import fcntl

    write, refused = os.write, 0

    def refusing(descriptor: int, some: memoryview) -> int:
        nonlocal refused
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            refused += 1
            raise OSError(errno.EINVAL, "Invalid argument")
        return write(descriptor, some)

    monkeypatch.setattr(os, "write", refusing)
    return lambda: refused


def test_a_file_system_without_direct_writes_is_asked_once(tmp_path: Path, refuses_direct: Callable[[], int]) -> None:
    shelf = Shelf()
    for _ in range(3):
        content, file, descriptor = made(tmp_path, [CAPACITY, 70_000, 3], shelf)
        file.finish()
        file.release()
        os.close(descriptor)
        assert (tmp_path / "file").read_bytes() == content
    assert refuses_direct() <= 1


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: int) -> None:
    _, file, descriptor = made(tmp_path, [CAPACITY - 1], Shelf())

    def failing(*_: object) -> int:
        raise OSError(fault, "no")

    monkeypatch.setattr(os, "write", failing)
    with pytest.raises(OSError, match="no") as raised:
        file.append(b"ab")
    assert raised.value.errno == fault
    os.close(descriptor)


def test_buffers_are_used_again() -> None:
    shelf = Shelf()
    first = shelf.take()
    shelf.give(first)
    assert shelf.take() is first
