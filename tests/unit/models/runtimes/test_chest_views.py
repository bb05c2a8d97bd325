import numpy as np
import pytest

from models.networks.film_classifier import EFFICIENTNET, SQUEEZENET
from models.runtimes.chest_views import BORDER, BOXED, Shown, View, Views, chest_box, origin, show, square
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


WHOLE, LUNGS_ALONE = View(Shown.WHOLE, 224, 0.5), View(Shown.LUNGS, 192, 0.25)
OTHER = View(Shown.LUNGS, 192, 0.25, EFFICIENTNET)


def test_views_combine_what_each_says_by_its_share() -> None:
    views = Views((WHOLE, LUNGS_ALONE, OTHER))
    assert views.combine(np.array([[4.0, 0.0, 0.0], [0.0, 4.0, 8.0]])).tolist() == [2.0, 3.0]


def test_each_family_has_heads_for_its_own_views() -> None:
    views = Views((WHOLE, OTHER, LUNGS_ALONE))
    assert views.networks == (SQUEEZENET, EFFICIENTNET)
    assert views.of(SQUEEZENET) == (WHOLE, LUNGS_ALONE)
    assert [views.head(view) for view in views.every] == [0, 0, 1]


def test_a_part_alone_is_rated_by_all_who_know_it_or_else_by_who_sees_what_comes_first() -> None:
    views = Views((WHOLE, LUNGS_ALONE, OTHER))
    assert views.alone(Shown.LUNGS) == ((Shown.LUNGS, LUNGS_ALONE, 0.5), (Shown.LUNGS, OTHER, 0.5))
    assert views.alone(Shown.BORDER) == ((Shown.BORDER, WHOLE, 1.0),)


def test_a_film_without_its_border_is_rated_by_all_who_rate_the_film() -> None:
    views = Views((WHOLE, LUNGS_ALONE, OTHER))
    assert views.alone(Shown.HIDDEN) == (
        (Shown.HIDDEN, WHOLE, 0.5),
        (Shown.LUNGS, LUNGS_ALONE, 0.25),
        (Shown.LUNGS, OTHER, 0.25),
    )


@pytest.mark.parametrize(
    ("views", "complaint"),
    [
        ((WHOLE,), "shares add up to 1"),
        ((WHOLE, WHOLE), "once each"),
        ((View(Shown.WHOLE, 224, 1.0, "resnet"),), "no network is called resnet; there are squeezenet, efficientnet-lite0"),
    ],
)
def test_views_that_cannot_be_are_refused(views: tuple[View, ...], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        Views(views)


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
