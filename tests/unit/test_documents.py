"""What the documents list is what there is."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from node.page.plain import destination_in_full, event_in_full, study_in_full
from node.routing.facts import FACTS
from node.routing.rules import Rule
from node.store.destinations import Destination, FhirDestination, Hl7Destination, WebDestination
from node.store.peers import Archive
from node.store.profiles import INSTEAD, PROFILES, SEG_TYPES
from node.store.settings import Limits, Retention, Route, Settings, Tls
from node.store.sources import Source
from tests.unit.node.page.views import A_STANDING, AN_EVENT, a_study

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def words(document: str) -> set[str]:
    """Everything in code quotes."""
    return set(re.findall(r"`([^`\n]+)`", (ROOT / document).read_text(encoding="utf-8")))


TABLES = {"sources", "archives", "destinations", "routes", "limits", "tls", "retention"}


@pytest.mark.parametrize(
    "table",
    [Settings, Tls, Source, Archive, Destination, WebDestination, Hl7Destination, FhirDestination, Route, Limits, Retention],
)
def test_every_setting_is_documented(table: type[BaseModel]) -> None:
    assert set(table.model_fields) - TABLES <= words("docs/configuration.md")


def test_stated_defaults_are_the_defaults() -> None:
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    for table in (Settings(), Limits(), Retention()):
        for name, value in table:
            if isinstance(value, int | float) and not isinstance(value, bool):
                assert f"| `{name}` | `{value:g}` |" in text


def test_every_fact_is_documented() -> None:
    assert set(FACTS) <= words("docs/configuration.md")


def test_every_key_of_the_json_is_documented() -> None:
    full = study_in_full(a_study())
    keys = (
        set(full)
        | set(full["jobs"][0])
        | set(full["deliveries"][0])
        | set(full["decisions"][0])
        | set(full["jobs"][0]["objects"][0])
        | set(full["signals"][0])
        | set(full["commitments"][0])
    )
    assert keys | set(event_in_full(AN_EVENT)) | set(destination_in_full(A_STANDING)) <= words("docs/operations.md")


def test_commands_in_the_readme_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    commands = set(project["entry-points"]["overread.commands"])
    named = set(re.findall(r"(?:overread|\./run) ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named - commands <= {"test"}
    assert {"demo", "serve", "send", "studies", "study", "check", "run", "models"} <= named


@pytest.mark.parametrize("document", ["README.md", "docs/configuration.md"])
def test_configurations_in_the_documents_can_be_used(document: str) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        for route in Settings.model_validate(tomllib.loads(block)).routes:
            Rule(route.when, route.name)
            assert set(route.models or ()) <= words("README.md")


def test_shipped_models_are_in_the_readme() -> None:
    assert {path.parent.name for path in (ROOT / "models/library").glob("*/model.toml")} <= words("README.md")


def test_rules_in_the_documents_can_be_used() -> None:
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    rules = re.search(r"Examples:\n\n```\n(.*?)```", text, re.DOTALL)
    assert rules
    for rule in rules[1].splitlines():
        Rule(rule, "an example")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_hold(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


@pytest.mark.parametrize("document", [ROOT / "docs/architecture.md"], ids=lambda path: path.name)
def test_files_and_functions_that_the_architecture_names_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    files = re.findall(r"`((?:node|workers|models)/[a-z_/]+\.py)(?::([A-Za-z_.]+))?`", text)
    assert files
    for path, name in files:
        source = (ROOT / path).read_text(encoding="utf-8")
        for part in filter(None, name.split(".")):
            assert re.search(rf"\b(?:def|class) {part}\b|^{part}\b", source, re.MULTILINE), f"{path} has no {part}"


def test_the_conformance_statement_is_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/conformance.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_message_catalogues_are_what_the_code_says() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/messages.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_profile_is_documented_as_it_is() -> None:
    lines = {
        line.split("|")[1].strip(): line
        for line in (ROOT / "docs/profiles.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    }
    assert set(lines) == {f"`{name}`" for name in PROFILES}
    for name, kinds in PROFILES.items():
        _, _, stated, instead, written, _ = lines[f"`{name}`"].split("|")
        assert written.strip() == f"`{SEG_TYPES.get(name, 'binary')}`"
        assert stated.strip() == ", ".join(f"`{kind}`" for kind in kinds)
        said = [f"`{other}` for `{kind}`" for kind, other in INSTEAD.get(name, {}).items()]
        assert instead.strip() == (", ".join(said) or "nothing")
