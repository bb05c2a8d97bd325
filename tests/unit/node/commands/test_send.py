"""``overread send`` from the shell's side: what it prints and how it exits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from node.doubles.archive import Archive
from tests.unit.node.listener.encoded import image, write


def send(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from node.cli import main; main()", "send", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={"COLUMNS": "200", "PYTHONPATH": ":".join(sys.path)}
    )


def study(folder: Path) -> Path:
    (folder / "inner").mkdir(parents=True)
    for number in (1, 2):
        write(folder, image(number))
    write(folder / "inner", image(3))
    (folder / "readme.txt").write_text("no image")
    return folder


def test_a_folder_goes_with_a_verdict_on_each_file(tmp_path: Path) -> None:
    with Archive(tmp_path / "archive") as archive:
        done = send(study(tmp_path / "study"), f"ARCHIVE@127.0.0.1:{archive.port}")
        assert done.returncode == 0, done.stderr
        assert len(archive.stores()) == 3
    assert done.stdout.count("stored ") >= 3
    assert "readme.txt is not DICOM" in done.stdout
    assert "3 stored, 0 not stored, 1 skipped" in done.stdout


def test_warnings_count_as_stored_and_failures_do_not(tmp_path: Path) -> None:
    with Archive(tmp_path / "archive", answers=(0xB007, 0xA700)) as archive:
        done = send(study(tmp_path / "study"), f"ARCHIVE@127.0.0.1:{archive.port}")
    assert done.returncode == 1
    assert "2 stored, 1 not stored, 1 skipped" in done.stdout
    assert "B007" in done.stdout
    assert "A700" in done.stdout


def test_what_was_named_is_judged_even_if_it_is_no_dicom(tmp_path: Path) -> None:
    folder = study(tmp_path / "study")
    with Archive(tmp_path / "archive") as archive:
        done = send(folder / "readme.txt", f"ARCHIVE@127.0.0.1:{archive.port}")
    assert done.returncode == 1
    assert "not a DICOM file" in done.stdout


def test_names_that_look_like_markup_are_shown_as_they_are(tmp_path: Path) -> None:
    with Archive(tmp_path / "archive") as archive:
        done = send(study(tmp_path / "a[/red]b" / "[dim]"), f"ARCHIVE@127.0.0.1:{archive.port}")
    assert done.returncode == 0, done.stderr
    assert "a[/red]b/[dim]/readme.txt is not DICOM" in done.stdout


def test_nobody_there(tmp_path: Path) -> None:
    done = send(study(tmp_path / "study"), "NOBODY@127.0.0.1:9")
    assert done.returncode == 1
    assert "cannot be reached" in done.stdout


def test_the_receiver_must_be_named(tmp_path: Path) -> None:
    folder = study(tmp_path / "study")
    for arguments in ([folder], [folder, folder], [folder / "missing", "A@127.0.0.1:9"]):
        done = send(*arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("overread: ")
        assert len(done.stderr.splitlines()) == 1


def test_nothing_to_send_is_not_success(tmp_path: Path) -> None:
    done = send(tmp_path, "NOBODY@127.0.0.1:9")
    assert done.returncode == 1
    assert "0 stored" in done.stdout
