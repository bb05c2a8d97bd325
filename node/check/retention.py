"""What retention does, and what it has done."""

from __future__ import annotations

from node.check.verdict import Checked, ok
from node.page.words import kept_in_words
from node.store.records import KeptView
from node.store.settings import Retention


def say_retention(chosen: Retention, kept: KeptView) -> Checked:
    """Say by which rules files go, how many have gone, and how old the oldest images are."""
    rules = []
    if chosen.originals_days is not None:
        rules.append(f"images of delivered studies go after {chosen.originals_days:g} days")
    if chosen.keep_free_mb is not None:
        rules.append(f"the oldest go below {chosen.keep_free_mb} MB free")
    if chosen.results_days is not None:
        rules.append(f"delivered results go after {chosen.results_days:g} days")
    said = "; ".join(rules) or "nothing is removed: see [retention] in docs/configuration.md"
    return ok("retention", "delivered studies", f"{said}. {kept_in_words(kept)}")
