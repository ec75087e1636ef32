# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""Cost of DCXFM's stage 2 at the published sizes: a training step, the answer for one image, and many classes.

    THP_MEM_ALLOC_ENABLE=1 python -m radbundles.components.benchmarks.dense_step --threads 2 --batch 4

The variable makes torch ask Linux for large pages, so that fresh memory costs fewer page faults. A step is the
objective on images of 512 x 512 pixels and 14 classes, backward, clipping and AdamW; the networks are a ResNet-50, a
BERT-base that stays frozen, and the aggregator. ``text_seconds`` is what encoding the four prompts of every class
costs: the official code does that at each step, and for denied prompts as well; here it happens once. An answer is
:meth:`DenseZeroShot.segment <radbundles.components.zero_shot.DenseZeroShot.segment>` on pixels in memory, masks
included, beside the bare network on the same pixels. Images, words and weights are random, which does not change the
cost. ``--many 200`` adds the memory that one image and that many classes take, in a process of its own. The result is
printed as JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.utils.flop_counter import FlopCounterMode

from radbundles.components.benchmarks.pretrain_step import matmul_rate, peak_gib
from radbundles.components.engines import parameter_groups
from radbundles.components.zero_shot import ClassPrompts, DenseZeroShot
from radbundles.components.zero_shot.prompt_table import PromptTable
from radbundles.losses import DCXFMDenseObjective
from radbundles.networks import DCXFM, CostAggregator, DCXFMDense, ImageTower, ResNetEncoder, TextTower, build_bert

SIZE, CLASSES, PROMPTS = 512, 14, 4
MAX_NORM = 0.01


def made_up_prompts(classes: int) -> dict[str, Any]:
    """A prompt table of classes that have as many prompts as the aggregator has channels."""
    named = {f"class {number}": {"terms": [f"term {number} {n}" for n in range(PROMPTS)]} for number in range(classes)}
    styles = {"plain": {"positive": ["there is {term} indicating {class}"], "negative": []}}
    return {"name": "made up", "style": "plain", "styles": styles, "classes": named}


def made_up_tokenizer(table: PromptTable, classes: Sequence[str]) -> Tokenizer:
    """A tokenizer that knows the words of some prompts."""
    words = {word for name in classes for text in table.prompts(name).positive for word in text.split()}
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[MASK]", "[SEP]", *sorted(words)]
    tokenizer = Tokenizer(models.WordLevel({token: place for place, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


class Setting:
    """Network, prompts and tokenizer of the published sizes, or of others.

    Args:
        classes: number T of classes.
        size: side of the square.
        image: arguments of :class:`ResNetEncoder` other than those of the ResNet-50.
        text: arguments of :func:`build_bert` other than those of BERT-base.
    """

    def __init__(
        self,
        *,
        classes: int = CLASSES,
        size: int = SIZE,
        image: Mapping[str, Any] | None = None,
        text: Mapping[str, Any] | None = None,
        device: str = "cpu",
    ) -> None:
        torch.manual_seed(0)
        towers = DCXFM(
            ImageTower(ResNetEncoder(**(image or {}))),
            TextTower(build_bert(**{"vocab_size": 30522, **(text or {})})),
        )
        self.network = DCXFMDense(towers, CostAggregator(prompt_channels=PROMPTS)).to(device)
        self.table = PromptTable(made_up_prompts(classes))
        self.classes = list(self.table.classes)
        self.tokenizer = made_up_tokenizer(self.table, self.classes)
        self.size, self.device = size, device

    def batch(self, images: int, seed: int) -> dict[str, Any]:
        """Draw images and masks; a third of the classes of an image is unknown, a third absent."""
        generator = torch.Generator().manual_seed(seed)
        count, side = len(self.classes), self.size
        labels = torch.randint(-1, 2, (images, count), generator=generator)
        blocks = torch.rand(images, count, 8, 8, generator=generator).lt(0.2).to(torch.uint8)
        masks = torch.nn.functional.interpolate(blocks, (side, side)) * (labels == 1)[..., None, None]
        gray = torch.rand(images, 1, side, side, generator=generator)
        made = {"image": gray.expand(-1, 3, -1, -1).contiguous(), "masks": masks.to(torch.uint8), "labels": labels}
        return {key: value.to(self.device) for key, value in made.items()}

    def asker(self) -> DenseZeroShot:
        """The tool that answers about images."""
        return DenseZeroShot(self.network.eval(), tokenizer=self.tokenizer, size=self.size, prompts=self.table)


def measure_step(
    setting: Setting,
    *,
    batch_size: int = 4,
    dtype: torch.dtype = torch.float32,
    steps: int = 6,
    warm_up: int = 2,
    profile: bool = False,
) -> dict[str, Any]:
    """Time training steps.

    Args:
        setting: what is trained.
        batch_size: images of a step.
        dtype: float32, or bfloat16 for autocast.
        steps: steps that are timed.
        warm_up: steps before that; the first encodes the prompts.
        profile: add the operators of one more step that take longest.

    Returns:
        Figures by name; those of memory are of the whole process.
    """
    network, device = setting.network, setting.device
    prompts = ClassPrompts(network, classes=setting.classes, tokenizer=setting.tokenizer, prompts=setting.table)
    objective = DCXFMDenseObjective(network, prompts=prompts).to(device).train()
    groups = parameter_groups(network, learning_rate=2e-5)
    optimizer = torch.optim.AdamW(groups, lr=2e-5, fused=True)
    trained = [parameter for group in groups for parameter in group["params"]]
    batches = [setting.batch(batch_size, seed) for seed in range(2)]
    began = time.perf_counter()
    prompts()
    text_seconds = time.perf_counter() - began

    def step(number: int) -> float:
        with torch.autocast(device, dtype=dtype, enabled=dtype != torch.float32):
            loss = objective(batches[number % 2])["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, MAX_NORM)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()  # waits for the device

    for number in range(warm_up):
        step(number)
    seconds = _times(lambda: step(0), steps)
    peak = peak_gib(device)
    with FlopCounterMode(display=False) as counter:
        step(0)
    gflop, median, rate = counter.get_total_flops() / 1e9, statistics.median(seconds), matmul_rate(dtype, device)
    figures: dict[str, Any] = {
        "batch": batch_size,
        "classes": len(setting.classes),
        "dtype": str(dtype).removeprefix("torch."),
        "seconds_per_step": round(median, 3),
        "fastest_seconds": round(min(seconds), 3),
        "text_seconds": round(text_seconds, 3),
        "times_faster_than_with_text_in_the_step": round((median + 2 * text_seconds) / median, 2),
        "million_parameters": round(sum(parameter.numel() for parameter in trained) / 1e6, 2),
        "gflop_per_step": round(gflop, 1),
        "matmul_gflop_per_second": round(rate, 1),
        "share_of_matmul_rate": round(gflop / median / rate, 3),
        "peak_gib": round(peak, 2),
    }
    if profile:
        with torch.profiler.profile() as profiler:
            step(0)
        key = "self_cuda_time_total" if device == "cuda" else "self_cpu_time_total"
        figures["profile"] = profiler.key_averages().table(sort_by=key, row_limit=20, max_name_column_width=50)
    return figures


@torch.inference_mode()
def measure_answer(setting: Setting, *, repeats: int = 10) -> dict[str, Any]:
    """Time the answer for one image in memory beside the bare network, turn by turn, once both are warm.

    Args:
        setting: what is asked.
        repeats: of each; the ratio is that of the medians.
    """
    asker = setting.asker()
    pixels = setting.batch(1, 0)["image"][0, :1].cpu()
    image = pixels.expand(3, -1, -1)[None].to(setting.device)
    prompts = ClassPrompts(
        setting.network, classes=setting.classes, tokenizer=setting.tokenizer, prompts=setting.table
    )()

    def bare() -> None:
        setting.network(image, prompts).sum().item()

    def answer() -> None:
        for found in asker.segment(pixels, setting.classes).values():
            assert found.mask.shape == pixels.shape[1:]

    bare()
    answer()
    pairs = [(_times(bare, 1)[0], _times(answer, 1)[0]) for _ in range(repeats)]
    medians = [statistics.median(times) for times in zip(*pairs, strict=True)]
    return {
        "bare_network_seconds": round(medians[0], 4),
        "answer_seconds": round(medians[1], 4),
        "answer_to_bare": round(medians[1] / medians[0], 3),
    }


def measure_many(classes: int, threads: int, **sizes: Any) -> dict[str, Any]:
    """Answer for one image about many classes, and tell the peak memory of this process."""
    torch.set_num_threads(threads)
    setting = Setting(classes=classes, **sizes)
    asker, pixels = setting.asker(), setting.batch(1, 0)["image"][0, :1]
    asker.embed_text([text for name in setting.classes for text in setting.table.prompts(name).positive])
    began = time.perf_counter()
    found = asker.segment(pixels, setting.classes)
    covered = sum(int(one.mask.sum()) for one in found.values())
    seconds = time.perf_counter() - began
    return {
        "classes": classes,
        "seconds": round(seconds, 2),
        "peak_gib": round(peak_gib("cpu"), 2),
        "covered_pixels": covered,
    }


def _times(action: Callable[[], object], repeats: int) -> list[float]:
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return seconds


def main() -> None:
    """Entry point of ``python -m``."""
    parser = argparse.ArgumentParser(description="Cost of DCXFM's stage 2 at the published sizes.")
    parser.add_argument("--batch", type=int, default=4, help="images of a step")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of the CPU")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="bfloat16 is by autocast")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--steps", type=int, default=6, help="steps that are timed")
    parser.add_argument("--recompute", type=int, default=0, help="stages of the ResNet that keep no activations")
    parser.add_argument("--many", type=int, help="also ask for this many classes at once, on the CPU")
    parser.add_argument("--profile", action="store_true", help="print the operators that take longest")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    setting = Setting(device=arguments.device, image={"recompute_stages": arguments.recompute})
    step = measure_step(
        setting,
        batch_size=arguments.batch,
        dtype=getattr(torch, arguments.dtype),
        steps=arguments.steps,
        profile=arguments.profile,
    )
    table = step.pop("profile", None)
    cuda = arguments.device == "cuda"
    figures: dict[str, Any] = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if cuda else f"cpu, {arguments.threads} threads",
        "large_pages": os.environ.get("THP_MEM_ALLOC_ENABLE") == "1",
        "step": step,
        "answer": measure_answer(setting),
    }
    if arguments.many:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            figures["many"] = pool.submit(measure_many, arguments.many, arguments.threads).result()
    print(json.dumps(figures, indent=4))
    if table:
        print(table)


if __name__ == "__main__":
    main()
