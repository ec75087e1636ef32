# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Cost of one step of DCXFM's stage 1 at the published sizes: time, memory, and how much of the machine it uses.

    THP_MEM_ALLOC_ENABLE=1 python -m radbundles.components.benchmarks.dcxfm_step --threads 2 --batch 4

The variable makes torch ask Linux for large pages, so that fresh memory costs fewer page faults (system seconds).
A step is the objective on 2 global crops of 512 x 512 and 4 local ones of 224 x 224 per image and one sentence of 8 to
45 tokens, backward, AdamW, and the update of the teacher; the networks are a ResNet-50 and a BERT-base. Images,
words and weights are random, which does not change the cost. The result is printed as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from radbundles.components.benchmarks.pretrain_step import matmul_rate, peak_gib
from radbundles.components.engines.ema_teacher import EMATeacher
from radbundles.losses import DCXFMObjective
from radbundles.networks import DCXFM, DINOHead, ImageTower, ResNetEncoder, TextTower, build_bert

SENTENCE_LENGTHS = (8, 45)
"""Tokens of most sentences of radiology reports, special ones included."""
CROPS = {"image_global": (2, 512), "image_local": (4, 224)}
CLASSES = 14

Batch = dict[str, torch.Tensor]


def made_up_batch(
    *, batch_size: int, vocab_size: int, crops: Mapping[str, tuple[int, int]] = CROPS, seed: int = 0
) -> Batch:
    """Draw a batch of stage 1, its sentences padded to the longest of them.

    Args:
        batch_size: images B.
        vocab_size: entries of the vocabulary.
        crops: number and side of each kind of crop.
        seed: of all values.
    """
    generator = torch.Generator().manual_seed(seed)
    shortest, longest = SENTENCE_LENGTHS
    lengths = torch.randint(shortest, longest + 1, (batch_size, 1), generator=generator)
    place = torch.arange(int(lengths.max()))
    real = place < lengths
    ids = torch.randint(5, vocab_size, real.shape, generator=generator)
    batch = {
        "input_ids": ids * real,
        "attention_mask": real.long(),
        "word_mask": real & (place > 0) & (place < lengths - 1),
    }
    for name in ("image_labels", "text_labels"):
        batch[name] = torch.randint(-1, 2, (batch_size, CLASSES), generator=generator).float()
    for name, (number, side) in crops.items():
        grey = torch.rand(batch_size, number, 1, side, side, generator=generator)
        batch[name] = grey.expand(-1, -1, 3, -1, -1).contiguous()
    return batch


def measure(
    *,
    batch_size: int = 4,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    steps: int = 4,
    warm_up: int = 1,
    recompute_stages: int = 2,
    compile_network: bool = False,
    profile: bool = False,
    image: Mapping[str, Any] | None = None,
    text: Mapping[str, Any] | None = None,
    crops: Mapping[str, tuple[int, int]] = CROPS,
) -> dict[str, Any]:
    """Run training steps of :class:`DCXFMObjective` as the official recipe sets them and time them.

    Args:
        batch_size: images of a step.
        dtype: float32, or bfloat16 for autocast.
        device: "cpu" or "cuda".
        steps: steps that are timed.
        warm_up: steps before that.
        recompute_stages: stages of the image encoder that keep no activations.
        compile_network: run the image towers through torch.compile.
        profile: add the operators of one more step that take longest.
        image: arguments of :class:`ResNetEncoder` other than those of the ResNet-50.
        text: arguments of :func:`build_bert` other than those of BERT-base.
        crops: number and side of each kind of crop.

    Returns:
        Figures by name; those of memory are of the whole process.
    """
    torch.manual_seed(0)
    vocabulary = dict(text or {}).pop("vocab_size", 30522)
    encoder = ResNetEncoder(**{"recompute_stages": recompute_stages, **(image or {})})
    bert = build_bert(**{"vocab_size": vocabulary, **(text or {})})
    network = DCXFM(ImageTower(encoder), TextTower(bert))
    objective = DCXFMObjective(network, head=DINOHead()).to(device).train()
    assert objective.teacher is not None
    trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-5, weight_decay=0.01, fused=True)
    teacher = EMATeacher(objective.student, objective.teacher, optimizer)
    optimizer.register_step_post_hook(teacher)
    if compile_network:
        network.image.compile()
        objective.teacher["image"].compile()
    batches = [
        {key: value.to(device) for key, value in drawn.items()}
        for drawn in (
            made_up_batch(batch_size=batch_size, vocab_size=vocabulary, crops=crops, seed=seed) for seed in range(2)
        )
    ]

    def step(number: int) -> float:
        with torch.autocast(device, dtype=dtype, enabled=dtype != torch.float32):
            loss = objective(batches[number % 2])["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()  # waits for the device

    for number in range(warm_up):
        step(number)
    wall, user, system, losses = [], [], [], []
    for number in range(steps):
        before, start = os.times(), time.perf_counter()
        losses.append(step(number))
        wall.append(time.perf_counter() - start)
        after = os.times()
        user.append(after.user - before.user)
        system.append(after.system - before.system)
    peak = peak_gib(device)
    seconds = statistics.median(wall)
    # Compiled graphs hide their products from the counter.
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter:
        step(0)
    gflop = counter.get_total_flops() / 1e9
    rate = matmul_rate(dtype, device)
    figures: dict[str, Any] = {
        "batch": batch_size,
        "dtype": str(dtype).removeprefix("torch."),
        "device": torch.cuda.get_device_name() if device == "cuda" else f"{device}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "compiled": compile_network,
        "recompute_stages": recompute_stages,
        "seconds_per_step": round(seconds, 3),
        "fastest_seconds": round(min(wall), 3),
        "user_seconds_per_step": round(statistics.median(user), 2),
        "system_seconds_per_step": round(statistics.median(system), 2),
        "images_per_second": round(batch_size / seconds, 3),
        "tokens_per_sentence": round(statistics.mean(batch["input_ids"].shape[1] for batch in batches), 1),
        "million_parameters": round(sum(p.numel() for p in trained) / 1e6, 2),
        "gflop_per_step": round(gflop, 3),
        "matmul_gflop_per_second": round(rate, 1),
        "share_of_matmul_rate": round(gflop / seconds / rate, 3),
        "peak_gib": round(peak, 2),
        "losses": [round(loss, 4) for loss in losses],
    }
    if profile:
        with torch.profiler.profile() as profiler:
            step(0)
        key = "self_cuda_time_total" if device == "cuda" else "self_cpu_time_total"
        figures["profile"] = profiler.key_averages().table(sort_by=key, row_limit=20, max_name_column_width=50)
    return figures


def main() -> None:
    """Entry point of ``python -m``."""
    parser = argparse.ArgumentParser(description="Cost of one step of DCXFM's stage 1 at the published sizes.")
    parser.add_argument("--batch", type=int, default=4, help="images of a step")
    parser.add_argument("--threads", type=int, help="threads of the CPU; by default torch's choice")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="bfloat16 is by autocast")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--steps", type=int, default=4, help="steps that are timed")
    parser.add_argument("--warm-up", type=int, default=1, help="steps before that")
    parser.add_argument("--recompute", type=int, default=2, help="stages of the ResNet that keep no activations")
    parser.add_argument("--compile", action="store_true", help="use torch.compile for the image towers")
    parser.add_argument("--profile", action="store_true", help="print the operators that take longest")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    figures = measure(
        batch_size=arguments.batch,
        dtype=getattr(torch, arguments.dtype),
        device=arguments.device,
        steps=arguments.steps,
        warm_up=arguments.warm_up,
        recompute_stages=arguments.recompute,
        compile_network=arguments.compile,
        profile=arguments.profile,
    )
    table = figures.pop("profile", None)
    print(json.dumps(figures, indent=4))
    if table:
        print(table)


if __name__ == "__main__":
    main()
