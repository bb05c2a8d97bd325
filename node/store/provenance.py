"""What marks an object as made by Overread."""

from __future__ import annotations

from typing import Final

MANUFACTURER: Final = "Overread"
"""Manufacturer of every object that Overread makes."""
