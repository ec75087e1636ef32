# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from radbundles.components.data import EpochSampler
from radbundles.components.engines import Resume
from radbundles.components.hub import load_stage1
from radbundles.losses import DCXFMObjective, SelfDistillationLoss
from radbundles.networks import DCXFM, DINOHead, ImageTower, ResNetEncoder, TextTower, build_bert

State = dict[str, torch.Tensor]


def towers(seed: int, dim: int = 8) -> DCXFM:
    torch.manual_seed(seed)
    return DCXFM(
        ImageTower(ResNetEncoder(18, widths=(4, 6, 8, 10), blocks=(1, 1, 1, 1)), dim=dim),
        TextTower(build_bert(vocab_size=12, dim=16, layers=1, heads=2, ffn=16), dim=dim),
    )


def copy(state: State) -> State:
    return {key: tensor.clone() for key, tensor in state.items()}


@pytest.fixture
def trained() -> DCXFM:
    return towers(1)


def checkpoint(folder: Path, network: DCXFM, *, distills: bool = True) -> tuple[Path, DCXFMObjective]:
    """What a stage-1 run writes to resume from, with a teacher of its own mind."""
    head = DINOHead(in_dim=8, hidden_dim=16, bottleneck_dim=8, out_dim=12) if distills else None
    objective = DCXFMObjective(
        network, head=head, distillation=SelfDistillationLoss(dim=12), distillation_weight=float(distills)
    )
    if objective.teacher is not None:
        with torch.no_grad():
            for tensor in objective.teacher.state_dict().values():
                tensor.add_(1)
    optimizer = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad])
    sampler = EpochSampler(length=4, batch_size=2, seed=0)
    resume = Resume(directory=folder, objects={"objective": objective, "optimizer": optimizer}, sampler=sampler)
    engine: Any = type("Engine", (), {})()
    engine.state = type("State", (), {"rank": 0, "iteration": 2, "epoch_length": 2})()
    resume.save(engine)
    return resume.checkpoints()[-1], objective


def assert_same(network: DCXFM, expected: State) -> None:
    state = network.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in expected)


def test_weights_of_a_run_load_from_the_file_and_from_every_folder_that_holds_them(
    tmp_path: Path, trained: DCXFM
) -> None:
    for folder in ("run", "packed/models", "converted"):
        (tmp_path / folder).mkdir(parents=True)
    torch.save(trained.state_dict(), tmp_path / "run" / "model.pt")
    torch.save(trained.state_dict(), tmp_path / "packed" / "models" / "model.pt")
    save_file(
        {key: tensor.contiguous() for key, tensor in trained.state_dict().items()},
        tmp_path / "converted" / "model.safetensors",
    )
    for path in ("run/model.pt", "run", "packed", "converted", "converted/model.safetensors"):
        network = towers(2)
        load_stage1(network, tmp_path / path)
        assert_same(network, trained.state_dict())


def test_a_checkpoint_gives_the_student_or_the_teacher(tmp_path: Path, trained: DCXFM) -> None:
    path, objective = checkpoint(tmp_path, trained)
    assert objective.teacher is not None
    student = towers(2)
    load_stage1(student, path)
    assert_same(student, trained.state_dict())
    teacher = towers(2)
    load_stage1(teacher, path, image="teacher")
    image = {f"image.{key}": tensor for key, tensor in objective.teacher["image"].state_dict().items()}
    assert_same(teacher, trained.state_dict() | image)
    assert not torch.equal(teacher.image.projection.weight, student.image.projection.weight)


def test_a_teacher_that_is_not_there_is_told_where_to_find(tmp_path: Path, trained: DCXFM) -> None:
    torch.save(trained.state_dict(), tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"student alone.*checkpoints/checkpoint_\*\.pt"):
        load_stage1(towers(2), tmp_path / "model.pt", image="teacher")
    path, _ = checkpoint(tmp_path / "alone", trained, distills=False)
    load_stage1(towers(2), path)
    with pytest.raises(ValueError, match="without self-distillation"):
        load_stage1(towers(2), path, image="teacher")


def test_what_does_not_fit_is_told_and_nothing_is_loaded(tmp_path: Path, trained: DCXFM) -> None:
    torch.save(trained.state_dict(), tmp_path / "model.pt")
    path, _ = checkpoint(tmp_path, trained)
    for file in (tmp_path / "model.pt", path):
        network = towers(2, dim=6)
        before = copy(network.state_dict())
        with pytest.raises(ValueError, match=rf"{file.name} does not fit.*another shape: image.projection.weight"):
            load_stage1(network, file)
        assert_same(network, before)


def test_files_of_other_kinds_are_refused(tmp_path: Path, trained: DCXFM) -> None:
    torch.save({"state_dict": {"img_encoder_student.conv1.weight": torch.zeros(1)}}, tmp_path / "official.ckpt")
    with pytest.raises(ValueError, match="radbundles convert"):
        load_stage1(towers(2), tmp_path / "official.ckpt")
    torch.save({"objective": {"encoder.weight": torch.zeros(1)}, "optimizer": {}}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="other.pt is no checkpoint of stage 1"):
        load_stage1(towers(2), tmp_path / "other.pt")
    torch.save(trained, tmp_path / "code.pt")
    with pytest.raises(ValueError, match="cannot be read as a checkpoint of tensors"):
        load_stage1(towers(2), tmp_path / "code.pt")
    with pytest.raises(FileNotFoundError, match="no weights of stage 1 at"):
        load_stage1(towers(2), tmp_path / "none.pt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="it has none of models/model.pt"):
        load_stage1(towers(2), tmp_path / "empty")
    with pytest.raises(ValueError, match="'both'"):
        load_stage1(towers(2), tmp_path / "code.pt", image="both")  # type: ignore[arg-type]
