"""Where the models lie whose licence allows research only: in the checkout, in no wheel, on no shelf until somebody adds them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

RESEARCH: Final = Path(__file__).resolve().parents[1] / "models" / "research"
