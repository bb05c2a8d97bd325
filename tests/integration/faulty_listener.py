"""A listener on a disk that fails: one system call on paths of one kind fails a few times; all calls are written down.

``python -m tests.integration.faulty_listener JOURNAL CALL ERRNO PATTERN TIMES ARGUMENT…`` runs ``overread ARGUMENT…``.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def break_disk(journal: Path, call: str, code: int, pattern: str, times: int) -> None:
    """Have the first `times` calls on matching paths fail, in each process alone."""
    written = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    left = [times]
    really_write = os.write

    def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(first: Any, *rest: Any, **named: Any) -> Any:
            path = str(Path(f"/proc/self/fd/{first}").readlink()) if isinstance(first, int) else str(rest[0])
            fails = name == call and left[0] > 0 and re.search(pattern, path)
            if name != "write":
                really_write(written, f"{name} {path} {'failed' if fails else 'ok'}\n".encode())
            if fails:
                left[0] -= 1
                raise OSError(code, os.strerror(code))
            return real(first, *rest, **named)

        return wrapped

    for name in ("write", "pwritev", "fdatasync", "fsync", "link"):
        setattr(os, name, wrap(name, getattr(os, name)))


def main() -> None:
    journal, call, name, pattern, times, *arguments = sys.argv[1:]
    break_disk(Path(journal), call, getattr(errno, name), pattern, int(times))
    sys.argv = ["overread", *arguments]
    from node.cli import main as overread

    overread()


if __name__ == "__main__":
    main()
