# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ignite.metrics import Average
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import ValidationHandler
from monai.transforms import RandomizableTransform
from torch import Tensor, nn
from torch.utils.data import DataLoader

from radbundles.components.data.mixed_sampler import MixedSampler
from radbundles.components.data.seeded import EpochSampler, SeededDataset
from radbundles.components.engines import (
    BestModel,
    EarlyStop,
    Resume,
    SeedIterations,
    WarmupCosine,
    loss_of,
    move_batch,
    weight_decay_groups,
)


class KilledError(Exception):
    """Stands for a kill."""


class AddNoise(RandomizableTransform):
    """A random transform, as augmentation is."""

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        noise = self.R.normal(size=3).astype(np.float32)
        return {"x": torch.as_tensor(data["x"]) + torch.from_numpy(noise), "y": torch.tensor(data["y"])}


class Objective(nn.Module):
    """A network with dropout whose forward returns named losses."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.Dropout(0.3), nn.Linear(8, 1))

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        error = self.layers(batch["x"]).squeeze(1) - batch["y"]
        return {"loss": error.square().mean()}


def build(
    folder: Path,
    *,
    items: int = 22,
    every: int = 0,
    accumulation: int = 1,
    stop_at: int | None = None,
    epochs: int = 4,
    enabled: bool = True,
    mixed: bool = False,
) -> SupervisedTrainer:
    torch.manual_seed(0)
    objective = Objective()
    data = [{"x": np.full(3, i, np.float32) / items, "y": np.float32(i % 3)} for i in range(items)]
    dataset = SeededDataset(data, AddNoise(), seed=5)
    sampler: EpochSampler | MixedSampler = EpochSampler(length=items, batch_size=4, seed=5)
    if mixed:
        sampler = MixedSampler([items - 3, 3], weights=[0.7, 0.3], batch_size=4, seed=5)
    optimizer = torch.optim.AdamW(weight_decay_groups(objective, 0.1), lr=0.05)
    early_stop = EarlyStop(metric="score", patience=3)
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(dataset, batch_size=4),
        network=objective,
        prepare_batch=move_batch,
        key_val_metric={"score": Average(output_transform=lambda out: -out["pred"]["loss"])},
        val_handlers=[BestModel(objective, folder / "model.pt"), early_stop],
        decollate=False,
    )
    resume = Resume(
        directory=folder,
        objects={"network": objective, "optimizer": optimizer, "early_stop": early_stop},
        sampler=sampler,
        evaluator=evaluator,
        every=every,
        enabled=enabled,
    )
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=DataLoader(dataset, batch_size=4, sampler=sampler),
        network=objective,
        optimizer=optimizer,
        loss_function=loss_of,
        prepare_batch=move_batch,
        accumulation_steps=accumulation,
        train_handlers=[
            SeedIterations(5),
            WarmupCosine(optimizer, warmup_epochs=1, total_epochs=5),
            ValidationHandler(interval=1, validator=evaluator),
            resume,
        ],
        decollate=False,
    )
    early_stop.set_trainer(trainer)
    if stop_at is not None:

        def interrupt(engine: SupervisedTrainer) -> None:
            if engine.state.iteration == stop_at:
                raise KilledError

        trainer.add_event_handler("ITERATION_STARTED", interrupt)
    return trainer


def weights(trainer: SupervisedTrainer) -> list[Tensor]:
    return [p.detach().clone() for p in trainer.network.parameters()]


@pytest.mark.parametrize(("every", "accumulation"), [(0, 1), (1, 1), (2, 2)])
@pytest.mark.parametrize("stop_at", [3, 6, 9, 13])
def test_interrupted_run_ends_with_the_same_weights(
    tmp_path: Path, every: int, accumulation: int, stop_at: int
) -> None:
    whole = build(tmp_path / "whole", every=every, accumulation=accumulation)
    whole.run()
    with pytest.raises(KilledError):
        build(tmp_path / "cut", every=every, accumulation=accumulation, stop_at=stop_at).run()
    resumed = build(tmp_path / "cut", every=every, accumulation=accumulation)
    resumed.run()
    assert resumed.state.iteration == whole.state.iteration
    for a, b in zip(weights(whole), weights(resumed), strict=True):
        assert torch.equal(a, b)
    best = [torch.load(tmp_path / run / "model.pt", weights_only=True) for run in ("whole", "cut")]
    for name in best[0]:
        assert torch.equal(best[0][name], best[1][name])


def test_interrupted_run_on_mixed_sources_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = build(tmp_path / "whole", every=1, mixed=True)
    whole.run()
    with pytest.raises(KilledError):
        build(tmp_path / "cut", every=1, mixed=True, stop_at=9).run()
    resumed = build(tmp_path / "cut", every=1, mixed=True)
    resumed.run()
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True))


def test_checkpoint_within_an_epoch_is_used(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        build(tmp_path, every=2, stop_at=4).run()
    assert [p.name for p in sorted(tmp_path.glob("checkpoint_*"))] == ["checkpoint_000000002.pt"]
    trainer = build(tmp_path, every=2)
    seen: list[int] = []
    trainer.add_event_handler("ITERATION_COMPLETED", lambda engine: seen.append(engine.state.iteration))
    trainer.run()
    assert seen[0] == 3
    assert seen == list(range(3, 21))


def test_half_written_checkpoint_is_never_seen(tmp_path: Path) -> None:
    trainer = build(tmp_path)
    trainer.run()
    (tmp_path / "checkpoint_000000099.pt.partial").write_bytes(b"half")
    again = build(tmp_path, epochs=5)
    again.run()
    assert again.state.epoch == 5


def test_only_the_newest_checkpoints_stay(tmp_path: Path) -> None:
    build(tmp_path).run()
    assert len(list(tmp_path.glob("checkpoint_*.pt"))) == 2


def test_starting_anew_forgets_the_checkpoints_of_the_earlier_run(tmp_path: Path) -> None:
    build(tmp_path).run()
    anew = build(tmp_path, epochs=2, enabled=False)
    anew.run()
    assert anew.state.iteration == 10
    assert [p.name for p in sorted(tmp_path.glob("checkpoint_*"))] == [
        "checkpoint_000000005.pt",
        "checkpoint_000000010.pt",
    ]


def test_other_data_is_refused_with_the_mend(tmp_path: Path) -> None:
    build(tmp_path).run()
    with pytest.raises(RuntimeError, match="output_dir"):
        build(tmp_path, items=40, epochs=8).run()


def test_another_network_is_refused_with_the_mend(tmp_path: Path) -> None:
    build(tmp_path).run()
    trainer = build(tmp_path, epochs=8)
    trainer.network.layers[0] = nn.Linear(3, 16)  # type: ignore[operator, assignment]
    with pytest.raises(RuntimeError, match=r"'network' in checkpoint_\d+\.pt does not fit.*--resume false"):
        trainer.run()


def test_every_must_be_a_multiple_of_accumulation(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every=3"):
        build(tmp_path, every=3, accumulation=2).run()


def test_best_model_needs_a_key_metric(tmp_path: Path) -> None:
    network = Objective()
    evaluator = SupervisedEvaluator(device=torch.device("cpu"), val_data_loader=[], network=network)
    with pytest.raises(ValueError, match="key_val_metric"):
        BestModel(network, tmp_path / "m.pt").attach(evaluator)


def test_early_stop_counts_on_after_a_resume(tmp_path: Path) -> None:
    def stopping(epochs: int, start: dict[str, Any] | None) -> tuple[SupervisedTrainer, EarlyStop]:
        trainer = build(tmp_path / "unused", epochs=epochs)
        early = EarlyStop(metric="score", patience=3)
        early.set_trainer(trainer)
        if start is not None:
            early.load_state_dict(start)
        trainer.add_event_handler("EPOCH_STARTED", lambda engine: engine.state.metrics.update(score=1.0))
        early.attach(trainer)
        trainer.run()
        return trainer, early

    _, early = stopping(2, None)
    trainer, _ = stopping(9, early.state_dict())
    assert trainer.state.epoch == 2 + 2, "one evaluation without improvement before, two after"


def test_warmup_cosine_is_linear_then_cosine_and_clamped() -> None:
    schedule = WarmupCosine(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0), warmup_epochs=40, total_epochs=200)
    assert schedule.rate(1.0, 0) == 0.0
    assert schedule.rate(1.0, 20) == 0.5
    assert schedule.rate(1.0, 40) == 1.0
    assert schedule.rate(1.5e-4, 120) == pytest.approx(7.5e-5)
    assert schedule.rate(1.0, 500) == pytest.approx(0.0)


def test_weight_decay_leaves_out_biases_and_scales() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    network[0].weight.requires_grad_(True)
    decayed, plain = weight_decay_groups(network, 0.05)
    assert [p.shape for p in decayed["params"]] == [(4, 3)]
    assert len(plain["params"]) == 3
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.05, 0.0)


def test_the_last_weights_can_be_kept_in_place_of_the_best(tmp_path: Path) -> None:
    network = torch.nn.Linear(1, 1)
    paths = {keep: tmp_path / f"{keep}.pt" for keep in ("best", "last")}
    handlers = [BestModel(network, paths["best"]), BestModel(network, paths["last"], keep="last")]
    for epoch in (1, 2):
        torch.nn.init.constant_(network.weight, epoch)
        engine = SimpleNamespace(state=SimpleNamespace(rank=0, best_metric_epoch=1, epoch=epoch))
        for handler in handlers:
            handler(engine)  # type: ignore[arg-type]
    weights = {keep: torch.load(path, weights_only=True)["weight"].item() for keep, path in paths.items()}
    assert weights == {"best": 1, "last": 2}
    with pytest.raises(ValueError, match='must be "best" or "last"'):
        BestModel(network, tmp_path / "m.pt", keep="first")  # type: ignore[arg-type]
