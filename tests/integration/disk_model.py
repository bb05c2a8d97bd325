"""A disk as the system calls of a process leave it, and what of it a power cut leaves.

The calls are those that strace recorded. Whatever was not synced may be gone: bytes of a file until ``fsync`` or ``fdatasync`` of
it, names in a directory until ``fsync`` of that directory, whatever was done to the files themselves. A sync counts for what was there
when it began, once it has returned.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WATCHED = (
    "openat,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,copy_file_range,sendfile,splice,link,linkat,"
    "unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat,rmdir,symlink,symlinkat,fsync,fdatasync,sync,syncfs,mmap,sendto,sendmsg"
)
STRACE = ("/usr/bin/strace", "-f", "-yy", "-xx", "-s", "8000000", "-e", "signal=none", "-e", f"trace={WATCHED}")

_LINE = re.compile(r"^(?P<thread>\d+) +(?:<\.\.\. (?P<resumed>\w+) resumed>(?P<rest>.*)|(?P<name>\w+)\((?P<arguments>.*))$")
_RESULT = re.compile(r"^(?P<arguments>.*)\) += (?P<result>-?\d+|0x[0-9a-f]+|\?)(?P<more>.*)$")
_UNFINISHED = " <unfinished ...>"
_HEX = re.compile(r"(?:\\x[0-9a-f]{2})+")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')


@dataclass(eq=False)
class Call:
    """One system call; `result` is None until it has returned."""

    name: str
    arguments: list[str]
    result: int | None = None

    def content(self) -> bytes:
        """The bytes that it hands over."""
        found = _STRING.findall(", ".join(self.arguments))
        assert not any(cut for _, cut in found), "strace has cut a string"
        return b"".join(_bytes(text) for text, _ in found)

    def path(self, place: int) -> str:
        """Where argument `place` points to: a descriptor, or a name and the folder that comes before it."""
        argument = self.arguments[place]
        if not argument.startswith('"'):
            return _within(argument)
        name = os.fsdecode(_bytes(argument))
        return str(Path(_within(self.arguments[place - 1])) / name) if place and "<" in self.arguments[place - 1] else name


def _bytes(text: str) -> bytes:
    return bytes.fromhex("".join(_HEX.findall(text)).replace("\\x", ""))


def _within(argument: str) -> str:
    """The path that ``-yy`` gives of a descriptor."""
    _, _, rest = argument.partition("<")
    return os.fsdecode(_bytes(rest)) if rest.startswith("\\x") else rest  # names of sockets are no strings


def steps(trace: Path) -> Iterator[tuple[str, Call]]:
    """``("begin", call)`` and ``("end", call)``, in the order in which they happened."""
    running: dict[str, tuple[Call, str]] = {}
    for line in trace.read_text(encoding="ascii", errors="replace").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        thread = match["thread"]
        if match["resumed"]:
            call, before = running.pop(thread)
            text = before + match["rest"]
        else:
            call, text = Call(match["name"], []), match["arguments"]
            if text.endswith(_UNFINISHED):
                text = text.removesuffix(_UNFINISHED)
                call.arguments = text.rstrip(", ").split(", ")
                running[thread] = call, text
                yield "begin", call
                continue
        done = _RESULT.match(text)
        if done is None:
            continue
        call.arguments = done["arguments"].split(", ")
        if not match["resumed"]:
            yield "begin", call
        if done["result"] != "?":
            call.result = int(done["result"], 0)
            yield "end", call


@dataclass(eq=False)
class File:
    """A file, by whatever names."""

    content: bytearray = field(default_factory=bytearray)
    durable: bytes = b""


@dataclass(eq=False)
class Folder:
    """A directory: its names now, and those that are on the disk."""

    names: dict[str, File | Folder] = field(default_factory=dict)
    durable: dict[str, File | Folder] = field(default_factory=dict)


class Disk:
    """Everything below `root`, which is there and empty when the recording begins."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.top = Folder()
        self._positions: dict[str, int] = {}
        self._syncs: dict[Call, tuple[File | Folder, Any]] = {}
        self._all_syncs: dict[Call, list[tuple[File | Folder, Any]]] = {}
        self.syncs = 0

    def apply(self, when: str, call: Call) -> None:
        """Take one step of the recording."""
        handle = getattr(self, f"_{call.name}", None)
        if call.name in ("fsync", "fdatasync"):
            self._synced(when, call)
        elif call.name == "syncfs":
            self._all_synced(when, call)
        elif when == "end" and call.result is not None and call.result >= 0 and handle is not None:
            handle(call)

    def _synced(self, when: str, call: Call) -> None:
        there = self._find(call.path(0))
        if when == "begin" and there is not None:
            self._syncs[call] = there, bytes(there.content) if isinstance(there, File) else dict(there.names)
        elif when == "end" and call in self._syncs:
            there, state = self._syncs.pop(call)
            if call.result == 0:
                there.durable = state
                self.syncs += 1

    def _all_synced(self, when: str, call: Call) -> None:
        """All that is there when the call begins: the model's disk is one file system."""
        if when == "begin" and self._inside(call.path(0)):
            self._all_syncs[call] = [(self.top, dict(self.top.names)), *_states(self.top)]
        elif when == "end" and call in self._all_syncs:
            for there, state in self._all_syncs.pop(call):
                if call.result == 0:
                    there.durable = state
            self.syncs += 1

    def _openat(self, call: Call) -> None:
        flags, path = call.arguments[2], call.path(1)
        if self._find(path) is None and "O_CREAT" in flags:
            self._put(path, File())
        file = self._find(path)
        if isinstance(file, File):
            if "O_TRUNC" in flags:
                file.content.clear()
            self._positions[path] = len(file.content) if "O_APPEND" in flags else 0

    def _creat(self, call: Call) -> None:
        if any(self._inside(_within(argument)) for argument in call.arguments if "<" in argument):
            raise NotImplementedError(f"{call.name} is not part of this model")

    _truncate = _copy_file_range = _sendfile = _splice = _symlink = _symlinkat = _sync = _creat

    def _write(self, call: Call) -> None:
        path = call.path(0)
        if isinstance(self._find(path), File):
            self._put_bytes(path, self._positions.get(path, 0), call.content(), call.result or 0)
            self._positions[path] = self._positions.get(path, 0) + (call.result or 0)

    _writev = _write

    def _pwrite64(self, call: Call) -> None:
        path = call.path(0)
        if isinstance(self._find(path), File):
            self._put_bytes(path, int(call.arguments[-1]), call.content(), call.result or 0)

    _pwritev = _pwrite64

    def _pwritev2(self, call: Call) -> None:
        path = call.path(0)
        if isinstance(self._find(path), File):
            assert call.arguments[-1] == "0", "a write that syncs is not part of this model"
            self._put_bytes(path, int(call.arguments[-2]), call.content(), call.result or 0)

    def _put_bytes(self, path: str, offset: int, content: bytes, count: int) -> None:
        file = self._find(path)
        assert isinstance(file, File)
        if len(file.content) < offset + count:
            file.content.extend(bytes(offset + count - len(file.content)))
        file.content[offset : offset + count] = content[:count]

    def _ftruncate(self, call: Call) -> None:
        file = self._find(call.path(0))
        if isinstance(file, File):
            length = int(call.arguments[1])
            del file.content[length:]
            file.content.extend(bytes(length - len(file.content)))

    def _fallocate(self, call: Call) -> None:
        file = self._find(call.path(0))
        if isinstance(file, File) and call.arguments[1] == "0":
            file.content.extend(bytes(max(0, int(call.arguments[2]) + int(call.arguments[3]) - len(file.content))))

    def _mmap(self, call: Call) -> None:
        if "MAP_SHARED" in call.arguments[3] and "PROT_WRITE" in call.arguments[2] and self._inside(path := call.path(4)):
            assert path.endswith("-shm"), f"{path} is written through memory, which this model does not see"

    def _link(self, call: Call) -> None:
        self._name(call.path(0), call.path(1))

    def _linkat(self, call: Call) -> None:
        self._name(call.path(1), call.path(3))

    def _name(self, old: str, new: str) -> None:
        file = self._find(old)
        if file is not None:
            self._put(new, file)

    def _rename(self, call: Call) -> None:
        self._move(call.path(0), call.path(1))

    def _renameat(self, call: Call) -> None:
        self._move(call.path(1), call.path(3))

    _renameat2 = _renameat

    def _move(self, old: str, new: str) -> None:
        self._name(old, new)
        self._drop(old)

    def _unlink(self, call: Call) -> None:
        self._drop(call.path(0))

    _rmdir = _unlink

    def _unlinkat(self, call: Call) -> None:
        self._drop(call.path(1))

    def _mkdir(self, call: Call) -> None:
        self._put(call.path(0), Folder())

    def _mkdirat(self, call: Call) -> None:
        self._put(call.path(1), Folder())

    def _inside(self, path: str) -> bool:
        return path == self.root or path.startswith(self.root + "/")

    def _find(self, path: str) -> File | Folder | None:
        if not self._inside(path):
            return None
        there: File | Folder | None = self.top
        for name in filter(None, path[len(self.root) :].split("/")):
            there = there.names.get(name) if isinstance(there, Folder) else None
        return there

    def _put(self, path: str, what: File | Folder) -> None:
        folder = self._find(str(Path(path).parent)) if self._inside(path) else None
        if isinstance(folder, Folder):
            folder.names[Path(path).name] = what

    def _drop(self, path: str) -> None:
        folder = self._find(str(Path(path).parent))
        if isinstance(folder, Folder):
            folder.names.pop(Path(path).name, None)

    def files(self) -> dict[str, bytes]:
        """What is there, by path relative to the root."""
        return {path: bytes(file.content) for path, file in _walk(self.top, "", lambda folder: folder.names)}

    def after_power_cut(self, chance: random.Random | None = None, *, names_survive: bool = False) -> dict[str, bytes | None]:
        """What a power cut leaves, by path relative to the root; None for a directory.

        Parameters
        ----------
        chance
            Decides on each thing that was not synced whether it is lost; without it all of that is.
        names_survive
            Names in directories are there though they were not synced: only bytes are lost.
        """

        def names(folder: Folder) -> dict[str, File | Folder]:
            if names_survive:
                return folder.names
            if chance is None:
                return folder.durable
            either = {**folder.durable, **folder.names}
            return {
                name: what
                for name, what in either.items()
                if (name in folder.durable and name in folder.names and folder.durable[name] is folder.names[name])
                or chance.random() < 0.5
            }

        left: dict[str, bytes | None] = {}
        for path, file in _walk(self.top, "", names, left):
            content = file.durable
            if chance is not None and chance.random() < 0.5:
                content = bytes(file.content[: chance.randint(0, len(file.content))]) if file.content != file.durable else content
            left[path] = content
        return left


def _states(folder: Folder) -> Iterator[tuple[File | Folder, Any]]:
    """Everything below a folder, with what a sync right now would keep of it."""
    for what in folder.names.values():
        if isinstance(what, Folder):
            yield what, dict(what.names)
            yield from _states(what)
        else:
            yield what, bytes(what.content)


def _walk(folder: Folder, path: str, names: Any, folders: dict[str, bytes | None] | None = None) -> Iterator[tuple[str, File]]:
    for name, what in sorted(names(folder).items()):
        place = f"{path}/{name}" if path else name
        if isinstance(what, File):
            yield place, what
        else:
            if folders is not None:
                folders[place] = None
            yield from _walk(what, place, names, folders)


def lay_out(left: dict[str, bytes | None], folder: Path) -> None:
    """Make files of what a power cut left."""
    folder.mkdir(parents=True)
    for path, content in left.items():
        if content is None:
            (folder / path).mkdir(parents=True, exist_ok=True)
        else:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
