"""OHIF as a radiologist works it: open a study, double-click a series, answer its questions, read its panels, look at its pixels."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tests.acceptance.viewer.browser import Browser

AGAIN_S: Final = 20.0

FILL: Final = 0.5
"""Opacity of a segment's inside as OHIF comes."""

_MIDDLE: Final = "const middle = e => { const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; };"
_SERIES: Final = """() => [...document.querySelectorAll('[data-cy="series-description-label"]')].map(e => e.innerText.trim())"""
_SERIES_AT: Final = f"""words => {{ {_MIDDLE}
  const found = [...document.querySelectorAll('[data-cy="series-description-label"]')].find(e => e.innerText.trim() === words);
  if (!found) return null;
  found.scrollIntoView({{ block: 'center' }});
  return middle(found); }}"""
_BUTTON_AT: Final = f"""words => {{ {_MIDDLE}
  const found = [...document.querySelectorAll('button, a')].find(e => words.includes(e.innerText.trim()) && e.getClientRects().length);
  return found ? middle(found) : null; }}"""
_NAMED_AT: Final = f"""name => {{ {_MIDDLE}
  const found = document.querySelector(`[data-cy="${{name}}"]`);
  return found && found.getClientRects().length ? middle(found) : null; }}"""
_VIEWPORT: Final = """const services = window.services;
  const id = services.viewportGridService.getState().activeViewportId;
  const viewport = services.cornerstoneViewportService.getCornerstoneViewport(id);"""
_SHOWN: Final = f"""() => {{ {_VIEWPORT}
  if (!viewport || !viewport.getCurrentImageId || !viewport.getImageData()) return null;
  return viewport.getCurrentImageId(); }}"""
_TURN_TO: Final = f"""async wanted => {{ {_VIEWPORT}
  if (!viewport || !viewport.getImageIds) return false;
  const index = viewport.getImageIds().findIndex(one => one.includes(wanted));
  if (index < 0) return false;
  await viewport.setImageIdIndex(index);
  viewport.render();
  return true; }}"""
_ON_SCREEN: Final = f"""points => {{ {_VIEWPORT}
  const {{ imageData }} = viewport.getImageData();
  const edge = viewport.canvas.getBoundingClientRect();
  return points.map(([row, column]) => {{
    const [x, y] = viewport.worldToCanvas(imageData.indexToWorld([column, row, 0]));
    return [edge.x + x, edge.y + y]; }}); }}"""
_SEGMENTS: Final = f"""() => {{ {_VIEWPORT}
  return services.segmentationService.getSegmentationRepresentations(id).flatMap(one => Object.values(one.segments))
    .map(one => [one.segmentIndex, services.segmentationService.getSegmentations().flatMap(s => Object.values(s.segments))
      .find(s => s.segmentIndex === one.segmentIndex).label]); }}"""
_AREAS: Final = """() => window.services.measurementService.getMeasurements().filter(one => !one.isLocked)
  .map(one => parseFloat(one.displayText.primary[0])).sort((one, other) => one - other)"""


@dataclass(frozen=True, slots=True)
class Ohif:
    """The viewer in one browser; one study at a time."""

    browser: Browser

    def open(self, study_uid: str, series: int) -> None:
        """Open a study, and wait until that many series are listed and an image is shown."""
        self.browser.do("open", path=f"/viewer?StudyInstanceUIDs={study_uid}")
        self._until(f"{series} series are listed", lambda: len(self.series()) >= series)
        self._until("an image is shown", lambda: self.browser.evaluate(_SHOWN))

    def series(self) -> list[str]:
        """Descriptions of the series listed at the left."""
        return [str(one) for one in self.browser.evaluate(_SERIES)]

    def load(self, description: str) -> None:
        """Double-click a series."""
        self._click(f"the series {description!r} is listed", lambda: self.browser.evaluate(_SERIES_AT, description), count=2)

    def load_until(self, description: str, what: str, condition: Callable[[], object]) -> None:
        """Double-click a series, and again where nothing came of it: a click into a page that still builds itself is lost."""
        self.load(description)
        clicked = [time.monotonic()]

        def look() -> object:
            if condition():
                return True
            if time.monotonic() - clicked[0] > AGAIN_S:
                self.load(description)
                clicked[0] = time.monotonic()
            return False

        self._until(what, look)

    def confirm(self) -> None:
        """Answer the question whether to take over what was loaded."""
        self._click("it asks whether to take it over", lambda: self.browser.evaluate(_BUTTON_AT, ["Yes", "Confirm"]))

    def open_panel(self, name: str) -> None:
        """Open a panel at the right."""
        self._click(f"there is a panel {name}", lambda: self.browser.evaluate(_NAMED_AT, name))

    def segments(self, count: int) -> list[str]:
        """Labels of the segments that are taken over, in the order of their numbers, once there are that many."""
        found = self._until(
            f"{count} segments are taken over", lambda: len(one := self.browser.evaluate(_SEGMENTS)) >= count and one
        )
        return [str(label) for _, label in sorted(found)]

    def areas(self) -> list[float]:
        """Areas of the measurements that are taken over and may be edited, smallest first, as the viewer works them out itself."""
        return [float("nan" if one is None else one) for one in self.browser.evaluate(_AREAS)]

    def reads(self, *words: str) -> str:
        """Wait until all these words are on the page; its text."""
        for one in words:
            self._until(f"{one!r} is on the page", lambda one=one: plain(one) in plain(self.browser.text()))  # type: ignore[misc]
        return self.browser.text()

    def turn_to(self, sop_instance_uid: str, frame: int = 1) -> None:
        """Show one image of the series in the viewport."""
        wanted = f"/instances/{sop_instance_uid}/frames/{frame}"
        self._until(f"image {wanted} can be shown", lambda: self.browser.evaluate(_TURN_TO, wanted))
        self._until(f"image {wanted} is shown", lambda: wanted in (self.browser.evaluate(_SHOWN) or ""))

    def colours(self, points: NDArray[np.intp]) -> NDArray[np.float64]:
        """What is on the screen at ``(n, 2)`` rows and columns of the image shown: ``(n, 3)`` sRGB, mean of 3 x 3 screen pixels."""
        page = self.browser.pixels().astype(np.float64)
        places = np.rint(self.browser.evaluate(_ON_SCREEN, points.tolist())).astype(int)
        return np.array([page[y - 1 : y + 2, x - 1 : x + 2].mean(axis=(0, 1)) for x, y in places])

    def shows(self, points: NDArray[np.intp], expected: NDArray[np.float64], tolerance: float, what: str) -> None:
        """Wait until these pixels of the image have these colours, ``(n, 3)`` sRGB, on the screen."""
        seen: list[NDArray[np.float64]] = []

        def look() -> bool:
            seen[:] = [self.colours(points)]
            return bool((np.abs(seen[0] - expected) <= tolerance).all())

        try:
            self._until(f"{what}: {expected.round().tolist()} at {points.tolist()}", look)
        except AssertionError as never:
            raise AssertionError(f"the screen shows {seen[0].round().tolist()}; {never}") from never

    def has(self, sop_instance_uid: str) -> object:
        """Whether an image is one of those in the viewport."""
        return self.browser.evaluate(_TURN_TO, f"/instances/{sop_instance_uid}/")

    def asks(self) -> object:
        """Where the button is that takes over what was loaded."""
        return self.browser.evaluate(_BUTTON_AT, ["Yes", "Confirm"])

    def takes_over(self, areas: list[float]) -> None:
        """Wait until these areas, smallest first, are measurements of the viewer's own."""
        self._until(
            f"areas {areas} are taken over",
            lambda: len(seen := self.areas()) == len(areas) and np.allclose(seen, areas, rtol=0.01),
        )

    def _click(self, what: str, place: Any, count: int = 1) -> None:
        x, y = self._until(what, place)
        self.browser.do("click", x=x, y=y, count=count)

    def _until(self, what: str, condition: Any) -> Any:
        """Wait for something; the tour that greets new users is sent away whenever it comes."""

        def look() -> Any:
            if tour := self.browser.evaluate(_BUTTON_AT, ["Skip all"]):
                self.browser.do("click", x=tour[0], y=tour[1])
            return condition()

        return self.browser.until(what, look)


def plain(text: str) -> str:
    """Text without regard to how it is broken into lines."""
    return " ".join(text.split())
