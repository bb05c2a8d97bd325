"""The languages that texts for people are written in: message catalogues of gettext, and numbers as it writes them."""

from __future__ import annotations

import gettext
import io
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, cached_property
from importlib import resources
from typing import Final

from babel.core import Locale
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import get_decimal_symbol

from node.store.profiles import ENGLISH

_NUMBER: Final = re.compile(r"-?\d+\.\d+")
_PLACE: Final = re.compile(r"\{(\w+)\}")


def message(text: str) -> str:
    """Mark a text as one that catalogues translate, where it is kept before it is said."""
    return text


@dataclass(frozen=True)
class Speech:
    """One language: texts whose English is the key, and numbers.

    Parameters
    ----------
    language
        RFC 5646.
    """

    language: str = ENGLISH

    def say(self, text: str, /, **values: object) -> str:
        """A text in this language, in English where its catalogue lacks it; names in braces are filled in.

        Parameters
        ----------
        text
            English, as the catalogues have it: whole where it has values, so that each language orders them in its own way.
        """
        said = self._catalogue.gettext(text) if text else ""
        return said.format(**values) if values else said

    def say_count(self, one: str, many: str, number: int) -> str:
        """A text about ``{number}`` things."""
        return self._catalogue.ngettext(one, many, number).format(number=number)

    def say_note(self, text: str) -> str:
        """A note that was made as an English sentence, with its values in it already (`workers.encode.notes`).

        A note that no template fits is said as it is.
        """
        return text if self.language == ENGLISH else self._note(text, part=False)

    def significant(self, value: float, digits: int) -> str:
        """A number with so many significant digits, never as a power of ten, its thousands not parted: a dot could be taken for
        the decimal one.
        """
        return self._point(format(Decimal(f"{value:.{digits}g}"), "f"))

    def fixed(self, value: float, places: int) -> str:
        """A number with so many decimal places."""
        return self._point(f"{value:.{places}f}")

    def figure(self, value: float) -> str:
        """A number where there is little room: three significant digits, whole from a hundred on."""
        return self.fixed(value, 0) if abs(value) >= 100 else self.significant(value, 3)

    def percent(self, probability: float) -> str:
        """A probability for a person; none is ever said to be certain."""
        if probability > 0.99:
            return self.say("over {number} %", number=99)
        if probability < 0.01:
            return self.say("under {number} %", number=1)
        return f"{100 * probability:.0f} %"

    def _note(self, text: str, *, part: bool) -> str:
        from workers.encode.notes import split

        if part and _NUMBER.fullmatch(text):
            return self._point(text)
        whole = self._catalogue.gettext(text)
        template, values = split(text, part=part) if whole == text else ("", {})
        if not values:
            return whole
        return self.say(template, **{name: self._note(value, part=True) for name, value in values.items()})

    def _point(self, number: str) -> str:
        return number.replace(".", self._decimal)

    @cached_property
    def _decimal(self) -> str:
        return str(get_decimal_symbol(Locale.parse(self.language)))

    @cached_property
    def _catalogue(self) -> gettext.NullTranslations:
        if self.language == ENGLISH:
            return gettext.NullTranslations()
        compiled = io.BytesIO()
        write_mo(compiled, catalogue(self.language))
        compiled.seek(0)
        return gettext.GNUTranslations(compiled)


@cache
def speech(language: str) -> Speech:
    """The speech of a language, its catalogue read once a process."""
    return Speech(language or ENGLISH)


def catalogue(language: str) -> Catalog:
    """The messages of a language as its file has them."""
    place = resources.files("workers.encode").joinpath("locale", language, "LC_MESSAGES", "overread.po")
    with place.open("rb") as file:
        return read_po(file, locale=language)


def places(text: str) -> list[str]:
    """Names of the values that a text takes, in alphabetical order."""
    return sorted(_PLACE.findall(text))
