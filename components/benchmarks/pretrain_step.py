# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Cost of one ECAMP pre-training step at full size: time, memory, and how much of the machine it uses.

    python -m radbundles.components.benchmarks.pretrain_step --threads 2 --reports REPORTS --tokenizer tokenizer.json

Mode "official" pads every report to 256 tokens and scores every position; "mended" trims a batch to its longest
report and scores masked positions only. Images are noise, whose content does not change the cost; reports are real
where ``--reports`` is given, since their length does. The result is printed as JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from monai.transforms import Compose
from torch.utils.flop_counter import FlopCounterMode

from radbundles.components.benchmarks.text_path import DISTILLED, read_reports
from radbundles.components.data.collate import collate_reports
from radbundles.components.engines.optimizer import weight_decay_groups
from radbundles.losses import ECAMPObjective, RebalancedMLMLoss
from radbundles.networks import ECAMP
from radbundles.transforms import ECAMP_ENTITIES, ComposeReportd, InsertDistilledd, MaskReportd, TokenizeReportd

MAX_LENGTH = 256
REPORT_LENGTHS = (40, 90)
"""Tokens of most radiology reports, distilled text included: what stands in where no reports are given."""

Batch = dict[str, Any]


def real_texts(reports: str | Path, *, tokenizer_file: str | Path, mode: str, batch_size: int) -> Iterator[Batch]:
    """Yield batches of masked reports, each report read once."""
    style = "official" if mode == "official" else "paper"
    transform = Compose(
        [
            ComposeReportd(),
            InsertDistilledd(mode=style),
            TokenizeReportd(tokenizer_file=tokenizer_file, max_length=MAX_LENGTH),
            MaskReportd(tokenizer_file=tokenizer_file, mode=style, entities=ECAMP_ENTITIES),
        ]
    )
    transform.set_random_state(0)
    collate = collate_reports(trim=mode != "official")
    items = ({"id": str(row), "report": text, "distilled": DISTILLED} for row, text in enumerate(read_reports(reports)))
    while len(rows := list(islice(items, batch_size))) == batch_size:
        yield collate([transform(item) for item in rows])


def made_up_texts(*, mode: str, batch_size: int, vocab_size: int = 30000) -> Iterator[Batch]:
    """Yield batches of random words, their lengths like those of reports, 70 % masked, without end."""
    generator = torch.Generator().manual_seed(0)
    collate = collate_reports(trim=mode != "official")
    while True:
        lengths = torch.randint(REPORT_LENGTHS[0], REPORT_LENGTHS[1] + 1, (batch_size, 1), generator=generator)
        real = torch.arange(MAX_LENGTH) < lengths
        labels = torch.randint(5, vocab_size, (batch_size, MAX_LENGTH), generator=generator) * real
        masked = real & (torch.rand(batch_size, MAX_LENGTH, generator=generator) < 0.7)
        fields = {
            "labels": labels,
            "input_ids": labels.masked_fill(masked, 3),
            "attention_mask": real.long(),
            "token_weights": torch.ones(batch_size, MAX_LENGTH),
            "masked": masked,
        }
        yield collate([{key: value[row] for key, value in fields.items()} for row in range(batch_size)])


def measure(
    texts: Iterator[Batch],
    *,
    mode: str = "mended",
    batch_size: int = 2,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    steps: int = 8,
    warm_up: int = 2,
    compile_network: bool = False,
    profile: bool = False,
    sizes: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Run training steps of :class:`ECAMPObjective` with AdamW as the official recipe sets it and time them.

    Args:
        texts: text half of the batches; repeated if there are fewer than steps.
        mode: "official" or "mended".
        batch_size: images of a step.
        dtype: float32, or bfloat16 for autocast.
        device: "cpu" or "cuda".
        steps: steps that are timed.
        warm_up: steps before that.
        compile_network: run the network through torch.compile.
        profile: add the operators of one more step that take longest.
        sizes: arguments of :class:`ECAMP` other than its defaults.

    Returns:
        Figures by name; those of memory are of the whole process.
    """
    official = mode == "official"
    torch.manual_seed(0)
    network = ECAMP(
        max_length=MAX_LENGTH,
        position_table="official" if official else "mae",
        sr_final_relu=official,
        **(sizes or {}),
    ).to(device)
    objective = ECAMPObjective(network, mlm_loss=RebalancedMLMLoss("all" if official else "masked")).train()
    optimizer = torch.optim.AdamW(weight_decay_groups(network, 0.05), lr=1.5e-4, betas=(0.9, 0.95), fused=True)
    if compile_network:
        network.compile()
    side = network.image_size
    image = torch.randn(batch_size, 1, side, side).expand(-1, 3, -1, -1).contiguous().to(device)
    window = torch.tensor([[1 / 14, 1 / 14, 13 / 14, 13 / 14]]).repeat(batch_size, 1).to(device)

    def step(text: Batch) -> float:
        batch = {key: value.to(device) for key, value in text.items() if isinstance(value, torch.Tensor)}
        with torch.autocast(device, dtype=dtype, enabled=dtype != torch.float32):
            loss = objective(batch | {"image": image, "window": window})["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()  # waits for the device

    batches = list(islice(texts, warm_up + steps + 1))
    if not batches:
        raise ValueError(f"there are not enough reports for one batch of {batch_size}")
    stream = cycle(batches)
    for _ in range(warm_up):
        step(next(stream))
    wall, processor, losses, lengths = [], [], [], []
    for _ in range(steps):
        text = next(stream)
        start, start_processor = time.perf_counter(), time.process_time()
        losses.append(step(text))
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - start_processor)
        lengths.append(text["labels"].shape[1])
    seconds = statistics.median(wall)
    # Compiled graphs hide their products from the counter.
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter:
        step(next(stream))
    gflop = counter.get_total_flops() / 1e9
    rate = matmul_rate(dtype, device)
    figures: dict[str, Any] = {
        "mode": mode,
        "batch": batch_size,
        "dtype": str(dtype).removeprefix("torch."),
        "device": torch.cuda.get_device_name() if device == "cuda" else f"{device}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "compiled": compile_network,
        "seconds_per_step": round(seconds, 4),
        "fastest_seconds": round(min(wall), 4),
        "processor_seconds_per_step": round(statistics.median(processor), 4),
        "images_per_second": round(batch_size / seconds, 3),
        "tokens_per_report": round(statistics.mean(lengths), 1),
        "gflop_per_step": round(gflop, 3),
        "matmul_gflop_per_second": round(rate, 1),
        "share_of_matmul_rate": round(gflop / seconds / rate, 3),
        "peak_gib": round(peak_gib(device), 2),
        "losses": [round(loss, 4) for loss in losses],
    }
    if profile:
        with torch.profiler.profile() as profiler:
            step(next(stream))
        key = "self_cuda_time_total" if device == "cuda" else "self_cpu_time_total"
        figures["profile"] = profiler.key_averages().table(sort_by=key, row_limit=20, max_name_column_width=50)
    return figures


def matmul_rate(dtype: torch.dtype, device: str, *, size: int = 2048, repeats: int = 5) -> float:
    """GFLOP per second of the fastest of a few square matrix products."""
    a = torch.randn(size, size, dtype=dtype, device=device)
    fastest = float("inf")
    for _ in range(repeats + 1):
        start = time.perf_counter()
        (a @ a)[0, 0].item()
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * size**3 / fastest / 1e9


def peak_gib(device: str) -> float:
    """Largest memory so far in GiB: resident memory of the process, or what torch held on the GPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    status = Path("/proc/self/status")
    if status.is_file():  # on Linux, what getrusage tells counts the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def main() -> None:
    """Entry point of ``python -m``."""
    parser = argparse.ArgumentParser(description="Cost of one ECAMP pre-training step at full size.")
    parser.add_argument("--mode", choices=("official", "mended"), default="mended")
    parser.add_argument("--batch", type=int, default=2, help="images of a step")
    parser.add_argument("--threads", type=int, help="threads of the CPU; by default torch's choice")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="bfloat16 is by autocast")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--steps", type=int, default=8, help="steps that are timed")
    parser.add_argument("--reports", help="datalist, or JSON Lines of report sections; by default random words")
    parser.add_argument("--tokenizer", help="tokenizer.json for --reports")
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    parser.add_argument("--profile", action="store_true", help="print the operators that take longest")
    arguments = parser.parse_args()
    if (arguments.reports is None) != (arguments.tokenizer is None):
        parser.error("--reports and --tokenizer belong together")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    common = {"mode": arguments.mode, "batch_size": arguments.batch}
    if arguments.reports:
        texts = real_texts(arguments.reports, tokenizer_file=arguments.tokenizer, **common)
    else:
        texts = made_up_texts(**common)
    figures = measure(
        texts,
        dtype=getattr(torch, arguments.dtype),
        device=arguments.device,
        steps=arguments.steps,
        compile_network=arguments.compile,
        profile=arguments.profile,
        **common,
    )
    table = figures.pop("profile", None)
    print(json.dumps(figures, indent=4))
    if table:
        print(table)


if __name__ == "__main__":
    main()
