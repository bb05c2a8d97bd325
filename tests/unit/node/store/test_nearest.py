from __future__ import annotations

from node.store.nearest import nearest


def test_a_slip_of_the_pen_is_told_and_a_strange_word_is_not_guessed() -> None:
    assert nearest("stuides", ["studies", "study"]) == "did you mean studies?"
    assert nearest("xyzzy", ["studies", "study"]) == "there are studies, study"
    assert nearest("xyzzy", ["studies"], "see the manual") == "see the manual"
