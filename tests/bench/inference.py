"""Time and memory of inference: our engines, the plain forward pass and MONAI's sliding window, side by side in one run.

    python -m tests.bench.inference meshnet --side 256
    python -m tests.bench.inference unet3d --shape 300 512 512

Each engine runs in a process of its own, so that its peak of memory is its own; answers are written to files and compared. Wall time
depends on what else the machine does, processor time hardly. Not a test: nothing here is asserted, and pytest does not collect it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.networks.meshnet import MeshNet
from models.networks.unet3d import UNet3d
from models.runtimes.quickened import quickened
from models.runtimes.slabwise import classes_of
from models.runtimes.sliding_window import Window, slide

MESHNET = ("plain", "plain, channels last", "monai", "ours")
UNET = ("plain", "monai", "monai, quickened", "ours, not quickened", "ours")


def head(side: int) -> Tensor:
    """Noise in an ellipsoid, nothing around it; greys 0 to 1."""
    return _ellipsoid((side, side, side), (0.36, 0.47, 0.42)).clamp_(min=0)


def body(shape: tuple[int, int, int]) -> Tensor:
    """A trunk of noise in air that was clipped to one value: 45 % of the field, as of a CT of the abdomen."""
    return _ellipsoid(shape, (9.0, 0.32, 0.45))


def _ellipsoid(shape: tuple[int, int, int], radii: tuple[float, float, float]) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    volume = torch.rand(shape, generator=generator)
    distance = torch.zeros(shape)
    for axis, (length, radius) in enumerate(zip(shape, radii, strict=True)):
        place = (torch.arange(length) - (length - 1) / 2) / (radius * length)
        distance += (place**2).reshape([-1 if other == axis else 1 for other in range(3)])
    return volume.masked_fill_(distance > 1, -1.0)


def run_meshnet(engine: str, side: int, channels: int, classes: int, out: Path) -> None:
    """Labels of a cube, written as bytes."""
    torch.manual_seed(0)
    network = MeshNet(classes, channels).eval()
    volume = head(side)

    def answer() -> Tensor:
        if engine == "ours":
            return classes_of(network, volume)
        if engine == "monai":
            from monai.inferers import sliding_window_inference

            window = (min(128, side),) * 3
            return sliding_window_inference(volume[None, None], window, 1, network, overlap=0.25, mode="gaussian")[0].argmax(0)
        if engine == "plain, channels last":
            network.to(memory_format=torch.channels_last_3d)
        return network(volume[None, None])[0].argmax(0)

    with torch.inference_mode():
        _measured(lambda: answer().to(torch.uint8).numpy().tofile(out))


def unet(classes: int, width: int) -> nn.Module:
    """Random weights, normalised as after a training: logits that are not all alike, so that differences would show."""
    torch.manual_seed(0)
    network = UNet3d(1, classes, width)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.rand(1, 1, 48, 48, 48))
    return network.eval()


def run_unet(engine: str, shape: tuple[int, int, int], width: int, classes: int, window: Window, out: Path) -> None:
    """Logits of a volume, written plane by plane as floats."""
    network = unet(classes, width)
    volume = body(shape)[None]
    with out.open("wb") as file, torch.inference_mode():

        def keep(first: int, planes: Tensor) -> None:
            for plane in range(planes.shape[1]):  # one at a time: what writing takes is not the engine's
                file.write(planes[:, plane].contiguous().numpy().data)

        def answer() -> None:
            if engine == "plain":
                keep(0, network(volume[None])[0])
            elif engine.startswith("monai"):
                from monai.inferers import sliding_window_inference

                chosen = quickened(network) if "quickened" in engine else network
                keep(
                    0, sliding_window_inference(volume[None], window.shape, 1, chosen, overlap=window.overlap, mode="gaussian")[0]
                )
            else:
                slide(network if "not quickened" in engine else quickened(network), volume, window, keep)

        _measured(answer)


def _measured(work: Callable[[], None]) -> None:
    """Do it and print what it took."""
    import monai.inferers  # noqa: F401 - its import is not what is measured

    Path("/proc/self/clear_refs").write_text("5")  # the peak so far, of making the volume, is forgotten
    idle_mb = _memory_mb("VmRSS")
    before, start = time.process_time(), time.perf_counter()
    work()
    figures = {
        "wall_s": time.perf_counter() - start,
        "processor_s": time.process_time() - before,
        "peak_mb": _memory_mb("VmHWM") - idle_mb,
        "idle_mb": idle_mb,
    }
    print(json.dumps(figures))


def _memory_mb(line: str) -> float:
    """Of this process: ``VmRSS`` now, ``VmHWM`` at its most; Linux only."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(one.split()[1]) for one in status.splitlines() if one.startswith(line)) / 1024


def compare(kind: str, engines: list[str], options: list[str], dtype: type) -> list[dict[str, Any]]:
    """Run every engine in a child and say how far its answers lie from the last one's, which is ours."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for engine in engines:
            out = Path(folder) / engine.replace(", ", "-").replace(" ", "-")
            command = [sys.executable, "-m", "tests.bench.inference", kind, *options, "--engine", engine, "--out", str(out)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                rows.append(
                    {"engine": engine, "failed": done.stderr.strip().splitlines()[-1:] or [f"ended by {done.returncode}"]}
                )
                continue
            rows.append({"engine": engine, "out": out, **json.loads(done.stdout.splitlines()[-1])})
        ours = next((row["out"] for row in rows if row["engine"] == "ours" and "out" in row), None)
        for row in rows:
            if ours is not None and "out" in row:
                row["difference"] = _difference(row.pop("out"), ours, dtype)
            row.pop("out", None)
    return rows


def _difference(one: Path, other: Path, dtype: type) -> float:
    """Largest difference of logits; for labels the share of voxels that differ."""
    first, second = (np.memmap(path, dtype=dtype, mode="r") for path in (one, other))
    if dtype is np.uint8:
        return float(np.mean(first != second))
    step = 1 << 24
    return max(float(np.abs(first[at : at + step] - second[at : at + step]).max()) for at in range(0, first.size, step))


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["meshnet", "unet3d"])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--channels", type=int, default=30, help="of the MeshNet")
    parser.add_argument("--shape", type=int, nargs=3, default=[300, 512, 512])
    parser.add_argument("--width", type=int, default=8, help="of the U-Net")
    parser.add_argument("--window", type=int, nargs=3, default=[96, 96, 96])
    parser.add_argument("--overlap", type=float, default=0.25)
    parser.add_argument("--classes", type=int, default=18)
    parser.add_argument("--engines", nargs="*", help="all by default")
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="1 makes processor time free of waiting")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    shape, window = tuple(given.shape), Window(tuple(given.window), given.overlap)
    if given.engine and given.kind == "meshnet":
        run_meshnet(given.engine, given.side, given.channels, given.classes, given.out)
    elif given.engine:
        run_unet(given.engine, shape, given.width, given.classes, window, given.out)
    else:
        options = [word for word in sys.argv[2:] if word != "--engines" and word not in (given.engines or [])]
        engines = given.engines or list(MESHNET if given.kind == "meshnet" else UNET)
        rows = compare(given.kind, engines, options, np.uint8 if given.kind == "meshnet" else np.float32)
        print(f"{'engine':24} {'wall s':>8} {'cpu s':>8} {'peak MB':>8}  difference to ours")
        for row in rows:
            if "failed" in row:
                print(f"{row['engine']:24} {row['failed'][0]}")
            else:
                print(
                    f"{row['engine']:24} {row['wall_s']:8.1f} {row['processor_s']:8.1f} {row['peak_mb']:8.0f}  "
                    f"{row.get('difference', float('nan')):.2g}"
                )


if __name__ == "__main__":
    main()
