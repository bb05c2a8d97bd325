"""A SEG of many structures beside highdicom's own of the same label map: dcmqi reads the same voxels out of both."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_seg.py"


def test_dcmqi_reads_the_same_voxels(tmp_path: Path) -> None:
    program = shutil.which("segimage2itkimage", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if not program:
        pytest.skip("segimage2itkimage (dcmqi) is not installed")

    ours, theirs = (read(program, encoder, tmp_path / encoder) for encoder in ("overread", "highdicom"))

    assert sorted(ours) == [1, 2, 3, 4, 5, 6]
    assert ours == theirs


def read(program: str, encoder: str, folder: Path) -> dict[int, tuple[bytes, bytes]]:
    """Geometry (of the NIfTI header) and voxels of each segment, as dcmqi gives them."""
    folder.mkdir()
    words = [sys.executable, str(SCRIPT), "--once", encoder, "--shape", "9", "16", "24", "--segments", "6"]
    run([*words, "--write", str(folder / "seg.dcm")])
    run([program, "--inputDICOM", str(folder / "seg.dcm"), "--outputDirectory", str(folder), "-t", "nii"])
    found = {}
    for path in folder.glob("*.nii.gz"):
        content = gzip.decompress(path.read_bytes())
        kind = {2: np.uint8, 4: np.int16, 512: np.uint16}[int.from_bytes(content[70:72], "little")]
        voxels = np.frombuffer(content[352:], dtype=kind)
        for number in np.unique(voxels[voxels > 0]):
            found[int(number)] = content[40:56] + content[76:108] + content[280:328], (voxels == number).tobytes()
    return found


def run(words: list[str]) -> None:
    subprocess.run(words, check=True, capture_output=True, cwd=SCRIPT.parents[1], env={**os.environ, "PYTHONPATH": "."})
