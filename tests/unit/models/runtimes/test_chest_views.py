import numpy as np
import pytest

from models.runtimes.chest_views import BORDER, BOXED, Shown, Views, chest_box, origin, show, square
from node.store.errors import ConfigurationError
from tests.unit.models.phantom import chest, lung_masks

FILM = chest()
LUNGS = np.logical_or(*lung_masks())


def test_the_box_holds_both_lungs_and_little_else() -> None:
    rows, columns = chest_box(LUNGS)
    assert LUNGS[rows, columns].sum() == LUNGS.sum()
    assert rows.stop - rows.start < 1.2 * LUNGS.any(axis=1).sum()
    assert columns.stop - columns.start < 1.2 * (np.flatnonzero(LUNGS.any(axis=0))[-1] - np.flatnonzero(LUNGS.any(axis=0))[0])


def test_border_only_shows_nothing_of_the_inside() -> None:
    shown = show(FILM, LUNGS, Shown.BORDER)
    depth = round(BORDER * 400)
    assert (shown[depth:-depth, depth:-depth] == 0.5).all()
    assert np.array_equal(shown[0], show(FILM, LUNGS, Shown.WHOLE)[0])


def test_border_hidden_is_the_rest() -> None:
    hidden, border, whole = (show(FILM, LUNGS, one) for one in (Shown.HIDDEN, Shown.BORDER, Shown.WHOLE))
    assert np.array_equal(np.where(hidden == 0.5, border, hidden), whole)


def test_lungs_alone_do_not_depend_on_what_is_outside() -> None:
    other = FILM.copy()
    far = np.ones_like(LUNGS)
    rows, columns = chest_box(LUNGS)
    far[rows, columns] = False
    other[far] = 4000
    other[:, 170:190] = 0
    for shown in (Shown.LUNGS, Shown.EVENED):
        assert np.array_equal(show(other, LUNGS, shown), show(FILM, LUNGS, shown))


def test_evened_lungs_do_not_tell_how_bright_the_film_was_at_a_place() -> None:
    shaded = FILM * np.linspace(0.6, 1.4, FILM.shape[1], dtype=np.float32)
    plain, evened = (
        np.corrcoef(show(FILM, LUNGS, one).ravel(), show(shaded, LUNGS, one).ravel())[0, 1] for one in (Shown.LUNGS, Shown.EVENED)
    )
    assert evened > 0.97
    assert evened > plain


def test_views_say_what_they_are_or_are_refused() -> None:
    views = Views((Shown.WHOLE, Shown.LUNGS), (224, 192), (0.75, 0.25))
    assert views.combine(np.array([[4.0, 0.0], [0.0, 4.0]])).tolist() == [3.0, 1.0]
    assert (views.head(Shown.LUNGS), views.head(Shown.BORDER)) == (1, 0)
    with pytest.raises(ConfigurationError, match="shares add up to 1"):
        Views((Shown.WHOLE,), (224,), (0.5,))


@pytest.mark.parametrize("shown", list(Shown))
def test_every_view_is_windowed_and_becomes_a_square(shown: Shown) -> None:
    part = show(FILM, LUNGS, shown)
    assert part.dtype == np.float32
    assert part.min() >= 0
    assert part.max() <= 1
    assert square(part, 96).shape == (1, 1, 96, 96)
    rows, columns = origin(LUNGS, shown)
    assert part.shape[0] + rows <= FILM.shape[0]
    assert part.shape[1] + columns <= FILM.shape[1]
    assert (part.shape == FILM.shape) == (shown not in BOXED)


def test_views_do_not_depend_on_depth_or_offset() -> None:
    for shown in Shown:
        assert np.allclose(show(FILM, LUNGS, shown), show(FILM * 8 - 1000, LUNGS, shown), atol=1e-3)
