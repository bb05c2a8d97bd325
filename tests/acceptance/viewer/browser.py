"""A headless Chromium with OHIF in it, worked from here: every wait is for a condition, and what never comes true is told with a picture."""

from __future__ import annotations

import io
import json
import selectors
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Raster

from tests.acceptance.viewer.rig import HERE, chromium, installed, node_js

T = TypeVar("T")

LONGEST_S: Final = 180.0
"""Seconds that a condition may take; a slow machine is no fault of the objects."""

ANSWER_S: Final = 240.0


class Browser:
    """One Chromium; see ``drive.js`` for the words that it understands.

    Parameters
    ----------
    folder
        Where pictures of what went wrong are left.
    """

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._unread = b""
        self.address = self._answer()

    def do(self, word: str, **given: Any) -> Any:
        """Have it do something; its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": word, **given}).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def evaluate(self, script: str, given: Any = None) -> Any:
        """Value of a JavaScript function of one argument, called in the page."""
        return self.do("evaluate", script=script, given=given)

    def text(self) -> str:
        """All that can be read on the page."""
        return str(self.evaluate("() => document.body.innerText"))

    def pixels(self) -> NDArray[np.uint8]:
        """The page as it is shown: ``(row, column, 3)`` sRGB."""
        path = self._folder / "page.png"
        self.do("picture", path=str(path))
        return np.asarray(Raster.open(io.BytesIO(path.read_bytes())).convert("RGB"))

    def until(self, what: str, condition: Callable[[], T | None], longest_s: float = LONGEST_S) -> T:
        """Wait for the first true value of a condition; fails with the page's text, its faults and a picture."""
        end = time.monotonic() + longest_s
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise AssertionError(self._state(f"{what}: not within {longest_s:.0f} s"))
            time.sleep(0.2)

    def faults(self) -> list[str]:
        """Errors of the page and answers that were none, since this was asked last."""
        return [str(one) for one in self.do("faults")]

    def _state(self, said: str) -> str:
        path = self._folder / f"fault-{time.monotonic_ns()}.png"
        self.do("picture", path=str(path))
        return f"{said}; picture: {path}; faults: {self.faults()}; the page says: {self.text()[:3000]!r}"

    def _answer(self) -> Any:
        line = self._line()
        said = json.loads(line)
        if "fault" in said:
            raise AssertionError(f"the browser: {said['fault']}")
        return said["answer"]

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        end = time.monotonic() + ANSWER_S
        with selectors.DefaultSelector() as ready:
            ready.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                if not ready.select(max(0.0, end - time.monotonic())):
                    raise AssertionError(f"the browser gave no answer within {ANSWER_S:.0f} s; its log: {self._log()}")
                read = self._process.stdout.read1(65536)  # type: ignore[attr-defined]
                if not read:
                    raise AssertionError(f"the browser ended; its log: {self._log()}")
                self._unread += read
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _log(self) -> str:
        return (self._folder / "browser.log").read_text(errors="replace")[-3000:]


@contextmanager
def running_browser(folder: Path, orthanc_http: int) -> Iterator[Browser]:
    """Start one on OHIF before an Orthanc; skips the test where something that it needs is missing."""
    executable, node = chromium(), node_js()
    viewer = installed()
    folder.mkdir(parents=True, exist_ok=True)
    command: Sequence[str] = (
        node,
        str(HERE / "drive.js"),
        str(viewer / "dist"),
        str(HERE / "ohif-config.js"),
        str(orthanc_http),
        executable,
    )
    with (folder / "browser.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={"NODE_PATH": str(viewer / "node_modules"), **_environment()},
        )
    try:
        yield Browser(process, folder)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()  # it ends with its input, and Chromium with it
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)
