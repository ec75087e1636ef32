# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Cost of the word-region loss, forward and backward, against a plain loop over the sentences.

    python -m radbundles.components.benchmarks.word_region --threads 2

Both run in turn on the same features, so that whatever else the machine does hits both; how far their losses and
gradients are apart is part of the result. Memory is what forward and backward need beyond the features: on a GPU what
torch held at most, on a CPU the peak of a fresh process for each. The result is printed as JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from radbundles.losses import WordRegionLoss

SIZES = {"batch": 96, "positions": 76, "side": 16, "dim": 128, "shortest": 5, "longest": 40}
"""Batch of four GPUs of the published recipe with the sentence lengths of radiology reports."""
Loss = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def loop_loss(cells: torch.Tensor, words: torch.Tensor, word_mask: torch.Tensor) -> torch.Tensor:
    """:class:`WordRegionLoss` at its defaults, written down sentence by sentence: shapes as there, one crop."""
    cells = cells.flatten(2)  # [B, D, N]
    columns = []
    for sentence, mask in zip(words, word_mask, strict=True):
        own = sentence[mask]  # [m, D]
        over_words = (cells.mT @ own.T).softmax(2)  # [B, N, m]
        over_cells = (4.0 * over_words.mT).softmax(2)  # [B, m, N]
        context = over_cells @ cells.mT  # [B, m, D]
        norms = (context.norm(dim=2) * own.norm(dim=1)).clamp(min=1e-8)
        cosine = (context * own).sum(2) / norms  # [B, m]
        columns.append(10.0 * (5.0 * cosine).logsumexp(1))
    similarity = torch.stack(columns, dim=1)
    own_index = torch.arange(len(cells), device=cells.device)
    return (F.cross_entropy(similarity, own_index) + F.cross_entropy(similarity.T, own_index)) / 2


def features(sizes: dict[str, int], device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Make up cells [B, D, h, w], words [B, L, D] and their mask in :data:`SIZES`; content does not change the cost."""
    B, L, D, side = (sizes[key] for key in ("batch", "positions", "dim", "side"))
    generator = torch.Generator().manual_seed(0)
    cells = 0.3 * torch.randn(B, D, side, side, generator=generator)
    words = 0.3 * torch.randn(B, L, D, generator=generator)
    lengths = torch.randint(sizes["shortest"], sizes["longest"] + 1, (B, 1), generator=generator)
    word_mask = torch.arange(L) < lengths
    return cells.to(device).requires_grad_(), words.to(device).requires_grad_(), word_mask.to(device)


def losses(chunk_size: int | None = None) -> dict[str, Loss]:
    """The two ways to compute the loss, by name."""
    return {"loop": loop_loss, "batched": WordRegionLoss(chunk_size=chunk_size)}


def measure(
    *, device: str = "cpu", repeats: int = 5, chunk_size: int | None = None, sizes: dict[str, int] | None = None
) -> dict[str, Any]:
    """Time and weigh both.

    Args:
        device: "cpu" or "cuda".
        repeats: how often each runs; one run before that is not counted.
        chunk_size: of :class:`WordRegionLoss`.
        sizes: what differs from :data:`SIZES`.

    Returns:
        For "loop" and "batched" the median and fastest seconds of forward and backward and the extra peak MiB; what
        the batched one gains as ratios (above 1: better than the loop); how far loss and gradients are apart.
    """
    sizes = {**SIZES, **(sizes or {})}
    cells, words, word_mask = features(sizes, device)
    seconds: dict[str, list[tuple[float, float]]] = {"loop": [], "batched": []}
    results: dict[str, list[torch.Tensor]] = {}
    for _ in range(repeats + 1):
        for name, loss in losses(chunk_size).items():
            forward, backward, results[name] = _timed(loss, cells, words, word_mask)
            seconds[name].append((forward, backward))
    figures: dict[str, Any] = {
        **sizes,
        "device": torch.cuda.get_device_name() if device == "cuda" else f"{device}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
    }
    for name, runs in seconds.items():
        total = [sum(run) for run in runs[1:]]
        figures[name] = {
            "forward_seconds": round(statistics.median(run[0] for run in runs[1:]), 4),
            "backward_seconds": round(statistics.median(run[1] for run in runs[1:]), 4),
            "seconds": round(statistics.median(total), 4),
            "fastest_seconds": round(min(total), 4),
            "extra_peak_mib": round(_extra_peak_mib(name, device, chunk_size, sizes), 1),
        }
    loop, batched = figures["loop"], figures["batched"]
    figures["ratios"] = {
        key: round(loop[key] / batched[key], 2) for key in ("seconds", "fastest_seconds", "extra_peak_mib")
    }
    (loss_value, *gradients), (loop_value, *loop_gradients) = results["batched"], results["loop"]
    figures["difference"] = {
        "loss": abs(loss_value - loop_value).item(),
        "gradients": max(
            ((ours - theirs).norm() / theirs.norm()).item()
            for ours, theirs in zip(gradients, loop_gradients, strict=True)
        ),
    }
    return figures


def _timed(
    loss: Loss, cells: torch.Tensor, words: torch.Tensor, word_mask: torch.Tensor
) -> tuple[float, float, list[torch.Tensor]]:
    """Seconds of forward and backward, then the loss and both gradients."""

    def now() -> float:
        if cells.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    start = now()
    value = loss(cells, words, word_mask)
    middle = now()
    gradients = torch.autograd.grad(value, [cells, words])
    return middle - start, now() - middle, [value.detach(), *gradients]


def _extra_peak_mib(name: str, device: str, chunk_size: int | None, sizes: dict[str, int]) -> float:
    if device == "cpu":
        # An allocator keeps what it once got, so that only a fresh process shows what one loss needs.
        arguments = json.dumps({"name": name, "chunk_size": chunk_size, "sizes": sizes})
        command = [sys.executable, "-m", "radbundles.components.benchmarks.word_region", "--weigh", arguments]
        command += ["--threads", str(torch.get_num_threads())]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    inputs = features(sizes, device)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    _timed(losses(chunk_size)[name], *inputs)
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def weigh(name: str, *, chunk_size: int | None, sizes: dict[str, int]) -> float:
    """Peak MiB that forward and backward on the CPU add to this process, which must not have been larger before."""
    loss = losses(chunk_size)[name]
    # Loads the libraries, whose code and thread pools are no cost of the loss.
    _timed(loss, *features({**sizes, "batch": 2, "positions": 8, "side": 4, "shortest": 2, "longest": 8}))
    inputs = features(sizes)
    before = _process_mib("VmRSS")
    _timed(loss, *inputs)
    return _process_mib("VmHWM") - before


def _process_mib(field: str) -> float:
    """Resident memory of this process: VmRSS now, VmHWM at most so far; elsewhere than on Linux always at most."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count what the parent process had at its peak
        return int(status.read_text().split(f"{field}:")[1].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    """Entry point of ``python -m``."""
    parser = argparse.ArgumentParser(description="Cost of the word-region loss against a plain loop.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, help="threads of the CPU; by default torch's choice")
    parser.add_argument("--batch", type=int, default=SIZES["batch"], help="images, and sentences")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each that are timed")
    parser.add_argument("--chunk-size", type=int, help="(word, cell) pairs held at once; by default the loss's choice")
    parser.add_argument("--weigh", help=argparse.SUPPRESS)  # how the command calls itself in a fresh process
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.weigh:
        print(weigh(**json.loads(arguments.weigh)))
        return
    figures = measure(
        device=arguments.device,
        repeats=arguments.repeats,
        chunk_size=arguments.chunk_size,
        sizes={"batch": arguments.batch},
    )
    print(json.dumps(figures, indent=4))


if __name__ == "__main__":
    main()
