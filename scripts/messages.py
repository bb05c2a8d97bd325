"""Write workers/encode/locale: each text that the code and the shipped models say, and its translations as they are."""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from node.store.profiles import LANGUAGES

ROOT = Path(__file__).resolve().parents[1]
LOCALES = ROOT / "workers" / "encode" / "locale"
WORDS = {"say": None, "say_count": (1, 2), "message": None}
"""Functions whose first texts are messages."""


def messages() -> Iterator[tuple[str | tuple[str, ...], str]]:
    """Each message (one and many, where it counts), and the file that says it."""
    for file, _, text, *_ in extract_from_dir(ROOT / "workers" / "encode", method_map=[("**.py", "python")], keywords=WORDS):
        yield text, f"workers/encode/{file}"
    yield from _of_models()
    for path in sorted((ROOT / "models" / "runtimes").glob("*.py")):
        for text in _measurements(ast.parse(path.read_text(encoding="utf-8"))):
            yield text, str(path.relative_to(ROOT))


def _of_models() -> Iterator[tuple[str, str]]:
    from models.manifest import read_library

    for manifest in read_library(ROOT / "models" / "research").values():
        place = str((manifest.folder / "model.toml").resolve().relative_to(ROOT))
        yield from ((text, place) for text in (manifest.title, manifest.intended_use, manifest.warning))
        yield from ((one.name, place) for one in (*manifest.structures, *manifest.findings))


def _measurements(tree: ast.AST) -> Iterator[str]:
    """Names of the numbers that a runtime works out: the second argument of `models.prediction.Measurement`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Measurement":
            name = node.args[1]
            if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
                raise SystemExit(f"line {node.lineno}: the name of a measurement must be written out, or nobody can translate it")
            yield name.value


def template() -> Catalog:
    """All messages, without translations, in alphabetical order of the files that say them."""
    made = Catalog(project="Overread", fuzzy=False)
    for text, place in messages():
        made.add(text, locations=[(place, None)], flags=["python-brace-format"] if "{" in str(text) else [])
    return made


def current(path: Path, wanted: Catalog) -> tuple[Catalog, list[str]]:
    """The catalogue as it should be, and what is wrong with the one that is there."""
    language = path.parents[1].name
    there = read_po(io.BytesIO(path.read_bytes()), locale=language) if path.exists() else Catalog(locale=language)
    made = Catalog(
        locale=language,
        project="Overread",
        header_comment=f"# What Overread says, in {LANGUAGES[language]}. scripts/messages keeps it current.",
        version="1",
        fuzzy=False,
        creation_date=there.creation_date,
        revision_date=there.creation_date,
    )
    made.msgid_bugs_address = made.last_translator = made.language_team = ""
    faults = [f"{language}: no longer said: {one.id}" for one in there if one.id and wanted.get(one.id) is None]
    for one in wanted:
        if not one.id:
            continue
        known = there.get(one.id)
        made.add(one.id, known.string if known else None, locations=one.locations, flags=known.flags if known else one.flags)
        if known is None or not all([known.string] if isinstance(known.string, str) else known.string or [""]):
            faults.append(f"{language}: not translated: {one.id}")
        elif known.fuzzy:
            faults.append(f"{language}: to be looked at: {one.id}")
    return made, faults


def main() -> int:
    wanted, faults = template(), []
    for path in sorted(LOCALES.glob("*/LC_MESSAGES/overread.po")):
        made, wrong = current(path, wanted)
        faults += wrong
        if "--check" not in sys.argv:
            with path.open("wb") as file:
                write_po(file, made, width=120, omit_header=False, include_lineno=False, sort_by_file=True)
    for fault in faults:
        print(fault)
    return 1 if faults and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
