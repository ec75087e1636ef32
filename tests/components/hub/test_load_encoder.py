# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

from radbundles.components.data import EpochSampler
from radbundles.components.engines import Resume
from radbundles.components.hub import load_encoder
from radbundles.losses import DCXFMObjective, SelfDistillationLoss
from radbundles.networks import (
    DCXFM,
    ECAMP,
    DINOHead,
    EncoderClassifier,
    ImageTower,
    MaskedViTEncoder,
    ResNetEncoder,
    TextTower,
    build_bert,
    build_encoder,
    resize_position_table,
)
from radbundles.networks.ecamp_checkpoint import _official_name

State = dict[str, torch.Tensor]
SIZES: dict[str, Any] = {"patch_size": 16, "dim": 24, "depth": 2, "heads": 3}
VIT: dict[str, Any] = {"kind": "vit", **SIZES}
RESNET: dict[str, Any] = {"kind": "resnet", "depth": 18, "widths": [4, 6, 8, 10], "blocks": [1, 1, 1, 1]}
SMALL: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 96,
    "image_size": 64,
    "patch_size": 16,
}
IMAGE = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def fresh(encoder: dict[str, Any] = VIT, *, image_size: int = 64, seed: int = 5, **options: Any) -> Any:
    torch.manual_seed(seed)
    return build_encoder({**encoder, **options}, image_size=image_size).eval()


def randomize(module: Any) -> Any:
    """Other values than those of the start, norms and biases too."""
    torch.manual_seed(3)
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor) * 0.2)
    return module.eval()


def clones(state: State) -> State:
    return {key: tensor.clone().contiguous() for key, tensor in state.items()}


def checkpoint(folder: Path, **objects: Any) -> Path:
    """What a run of ours writes to resume from."""
    resume = Resume(directory=folder, objects=objects, sampler=EpochSampler(length=4, batch_size=2, seed=0))
    engine: Any = type("Engine", (), {})()
    engine.state = type("State", (), {"rank": 0, "iteration": 2, "epoch_length": 2})()
    resume.save(engine)
    return resume.checkpoints()[-1]


def assert_accounts_for(report: dict[str, Any], keys: Any) -> None:
    """Each key of the file is loaded or left out, once."""
    named = report["loaded"] + [entry["key"] for entry in report["left_out"]]
    assert sorted(named) == sorted(keys)
    assert all(entry["reason"] for entry in report["left_out"])
    assert {entry["key"] for entry in report["resized"]} <= set(report["loaded"])


@pytest.fixture
def ecamp() -> ECAMP:
    torch.manual_seed(0)
    network = ECAMP(
        image_size=128,
        **SIZES,
        decoder_dim=16,
        decoder_depth=1,
        decoder_heads=2,
        vocab_size=20,
        text_dim=20,
        text_layers=1,
        text_heads=5,
        text_ffn=28,
        max_length=24,
    )
    return randomize(network)


@pytest.fixture
def vit() -> MaskedViTEncoder:
    torch.manual_seed(0)
    return randomize(MaskedViTEncoder(image_size=64, **SIZES))


def features(encoder: MaskedViTEncoder, image: torch.Tensor = IMAGE) -> torch.Tensor:
    return encoder(image)[:, 1:].transpose(1, 2).unflatten(2, encoder.grid)


# Runs of ours


@pytest.mark.parametrize("place", ["run/model.pt", "run", "packed", "converted", "killed", "killed/checkpoints"])
def test_a_run_of_ecamp_pretrain_loads_from_every_place_it_leaves(tmp_path: Path, ecamp: ECAMP, place: str) -> None:
    state = ecamp.state_dict()
    for folder in ("run", "packed/models", "converted"):
        (tmp_path / folder).mkdir(parents=True)
    torch.save(state, tmp_path / "run" / "model.pt")
    torch.save(state, tmp_path / "packed" / "models" / "model.pt")
    save_file(clones(state), tmp_path / "converted" / "model.safetensors")
    checkpoint(tmp_path / "killed" / "checkpoints", network=ecamp, optimizer=torch.optim.AdamW(ecamp.parameters()))
    encoder = fresh(norm=True)
    report = load_encoder(encoder, tmp_path / place)
    torch.testing.assert_close(encoder(IMAGE), features(ecamp.encoder))
    assert report["format"] == "ecamp_pretrain" and not report["resized"] and not report["untouched"]
    beside = ["optimizer", "trainer"] if "killed" in place else []
    assert_accounts_for(report, [*state, *beside])
    assert report["loaded"] == [f"encoder.{key}" for key in encoder.state_dict()]


def test_position_tables_are_resized_and_an_unused_norm_is_left_out(tmp_path: Path, ecamp: ECAMP) -> None:
    torch.save(ecamp.state_dict(), tmp_path / "model.pt")
    encoder = fresh(image_size=96)
    report = load_encoder(encoder, tmp_path, out=tmp_path / "reports" / "encoder.json")
    torch.testing.assert_close(encoder.pos_embed.data, resize_position_table(ecamp.encoder.pos_embed, (6, 6)))
    assert report["resized"] == [{"key": "encoder.pos_embed", "from": [1, 17, 24], "to": [1, 37, 24]}]
    reasons = {entry["key"]: entry["reason"] for entry in report["left_out"]}
    assert reasons["encoder.norm.weight"] == "the encoder ends without a norm"
    assert reasons["decoder.mask_token"] == "not part of the image encoder"
    assert report["file"]["name"] == "model.pt" and len(report["file"]["sha256"]) == 64
    assert "does not tell its number of attention heads; the encoder has 3" in report["notes"][0]
    assert json.loads((tmp_path / "reports" / "encoder.json").read_text()) == report


@pytest.mark.parametrize("prefix", ["", "module."])
def test_an_official_checkpoint_of_ecamp_loads(tmp_path: Path, ecamp: ECAMP, prefix: str) -> None:
    state = {prefix + _official_name(key): tensor for key, tensor in ecamp.state_dict().items()}
    torch.save({"model": state, "optimizer": {"state": {}}, "epoch": 3}, tmp_path / "ecamp.pth")
    encoder = fresh(norm=True)
    report = load_encoder(encoder, tmp_path / "ecamp.pth")
    torch.testing.assert_close(encoder(IMAGE), features(ecamp.encoder))
    assert report["format"] == "ecamp_official"
    assert_accounts_for(report, [*state, "optimizer", "epoch"])


def test_a_fine_tuned_network_gives_its_encoder_to_another_task(tmp_path: Path, vit: MaskedViTEncoder) -> None:
    source = randomize(EncoderClassifier(fresh(), 2))
    torch.save(source.state_dict(), tmp_path / "model.pt")
    encoder = fresh()
    report = load_encoder(encoder, tmp_path)
    torch.testing.assert_close(encoder(IMAGE), source.encoder(IMAGE))
    assert report["format"] == "radbundles"
    assert_accounts_for(report, source.state_dict())


def test_heads_that_a_bundle_tells_are_compared(tmp_path: Path) -> None:
    for folder in ("models", "configs"):
        (tmp_path / folder).mkdir()
    torch.save(EncoderClassifier(fresh(), 2).state_dict(), tmp_path / "models" / "model.pt")
    (tmp_path / "configs" / "inference.json").write_text(json.dumps({"encoder": VIT}))
    for path in (tmp_path, tmp_path / "models" / "model.pt"):
        assert load_encoder(fresh(), path)["notes"] == []
        with pytest.raises(ValueError, match=r"holds a ViT of heads 3; the configuration asks for heads 4"):
            load_encoder(fresh(heads=4), path)


def dcxfm(encoder: nn.Module) -> DCXFM:
    text = TextTower(build_bert(vocab_size=12, dim=16, layers=1, heads=2, ffn=16), dim=8)
    return DCXFM(ImageTower(encoder, dim=8), text)


@pytest.mark.parametrize("kind", [RESNET, VIT])
def test_a_checkpoint_of_dcxfm_gives_the_student_or_the_teacher(tmp_path: Path, kind: dict[str, Any]) -> None:
    objective = DCXFMObjective(
        dcxfm(fresh(kind)),
        head=DINOHead(in_dim=8, hidden_dim=16, bottleneck_dim=8, out_dim=12),
        distillation=SelfDistillationLoss(dim=12),
        distillation_weight=1.0,
    )
    assert objective.teacher is not None
    randomize(objective.teacher)
    checkpoint(tmp_path / "checkpoints", objective=objective)
    network: Any = objective.network
    moving: Any = objective.teacher
    torch.save(network.state_dict(), tmp_path / "model.pt")
    student, teacher = fresh(kind, seed=6), fresh(kind, seed=6)
    of_student = load_encoder(student, tmp_path)
    of_teacher = load_encoder(teacher, tmp_path, image="teacher")
    for encoder, source in ((student, network.image.encoder), (teacher, moving.image.encoder)):
        assert all(torch.equal(value, source.state_dict()[key]) for key, value in encoder.state_dict().items())
    assert of_student["format"] == of_teacher["format"] == "dcxfm_pretrain"
    assert_accounts_for(of_student, network.state_dict())
    assert_accounts_for(of_teacher, [*objective.state_dict(), "trainer"])
    with pytest.raises(ValueError, match=r"model.pt holds the student alone: teachers are in the checkpoints"):
        load_encoder(teacher, tmp_path / "model.pt", image="teacher")


def test_stage_two_of_dcxfm_has_its_encoder_one_level_deeper(tmp_path: Path) -> None:
    source = randomize(fresh(RESNET))
    torch.save({f"dcxfm.{key}": value for key, value in dcxfm(source).state_dict().items()}, tmp_path / "model.pt")
    encoder = fresh(RESNET)
    assert load_encoder(encoder, tmp_path)["format"] == "dcxfm_dense"
    torch.testing.assert_close(encoder(IMAGE), source.eval()(IMAGE))


def test_an_official_checkpoint_of_dcxfm_gives_the_student_or_the_teacher(tmp_path: Path) -> None:
    towers = {"student": randomize(fresh(RESNET, seed=1)), "teacher": fresh(RESNET, seed=2)}
    state = {
        f"img_encoder_{one}.{key}": value for one, net in towers.items() for key, value in net.state_dict().items()
    }
    state |= {"img_encoder_student.fc.bias": torch.zeros(3), "img_projection_student.weight": torch.zeros(2, 10)}
    torch.save({"state_dict": state, "epoch": 4}, tmp_path / "dcxfm.ckpt")
    for image, source in towers.items():
        encoder = fresh(RESNET)
        report = load_encoder(encoder, tmp_path / "dcxfm.ckpt", image=image)  # type: ignore[arg-type]
        torch.testing.assert_close(encoder(IMAGE), source(IMAGE))
        assert report["format"] == "dcxfm_official"
        assert_accounts_for(report, [*state, "epoch"])


# Published vision transformers


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_file_of_mae_loads_without_its_decoder(tmp_path: Path, vit: MaskedViTEncoder, wrapped: bool) -> None:
    decoder = ("decoder_embed.weight", "decoder_blocks.0.attn.qkv.weight", "decoder_pos_embed", "mask_token")
    state = {**vit.state_dict(), **{key: torch.zeros(2, 2) for key in decoder}}
    torch.save({"model": state} if wrapped else state, tmp_path / "mae.pth")
    encoder = fresh(norm=True)
    report = load_encoder(encoder, tmp_path / "mae.pth")
    torch.testing.assert_close(encoder(IMAGE), features(vit))
    assert report["format"] == "mae"
    assert_accounts_for(report, state)
    assert {entry["key"]: entry["reason"] for entry in report["left_out"]} == dict.fromkeys(
        decoder, "part of masked training"
    )


def test_a_file_of_timm_loads_without_its_head(tmp_path: Path, vit: MaskedViTEncoder) -> None:
    vit = vit.half().float()  # what half precision holds
    state = {**clones(vit.state_dict()), "head.weight": torch.zeros(5, 24), "head.bias": torch.zeros(5)}
    save_file({key: tensor.half() for key, tensor in state.items()}, tmp_path / "vit.safetensors")
    encoder = fresh(norm=True)
    report = load_encoder(encoder, tmp_path / "vit.safetensors")
    torch.testing.assert_close(encoder(IMAGE), features(vit))
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    assert report["format"] == "timm"
    assert_accounts_for(report, state)


def test_position_tables_lose_a_distillation_token_and_gain_a_class_token(
    tmp_path: Path, vit: MaskedViTEncoder
) -> None:
    table = vit.pos_embed
    tables = {
        "distilled": torch.cat([table[:, :1], torch.full((1, 1, 24), 9.0), table[:, 1:]], dim=1),
        "cells alone": table[:, 1:],
    }
    expected = {"distilled": table, "cells alone": torch.cat([torch.zeros(1, 1, 24), table[:, 1:]], dim=1)}
    for name, given in tables.items():
        extra = {"dist_token": torch.zeros(1, 1, 24)} if name == "distilled" else {}
        torch.save({**vit.state_dict(), "pos_embed": given, **extra}, tmp_path / "vit.pth")
        encoder = fresh()
        report = load_encoder(encoder, tmp_path / "vit.pth")
        torch.testing.assert_close(encoder.pos_embed, expected[name])
        assert any("distillation token" in note for note in report["notes"]) == (name == "distilled")
        assert report["resized"][0]["from"] == list(given.shape)


def test_a_checkpoint_of_self_distillation_has_two_backbones(tmp_path: Path, vit: MaskedViTEncoder) -> None:
    student = {f"module.backbone.{key}": value for key, value in fresh(norm=True).state_dict().items()}
    teacher = {f"backbone.{key}": value for key, value in vit.state_dict().items()}
    torch.save({"student": student, "teacher": teacher, "epoch": 1}, tmp_path / "dino.pth")
    encoder = fresh(norm=True, seed=8)
    report = load_encoder(encoder, tmp_path / "dino.pth", image="teacher")
    torch.testing.assert_close(encoder(IMAGE), features(vit))
    assert_accounts_for(report, [*teacher, "student", "epoch"])


PUBLISHED: dict[str, tuple[Any, Callable[[], Any]]] = {
    "ViTMAE": (
        transformers.ViTMAEForPreTraining,
        lambda: transformers.ViTMAEConfig(**SMALL, mask_ratio=0.0, decoder_num_hidden_layers=1),
    ),
    "ViT": (transformers.ViTForImageClassification, lambda: transformers.ViTConfig(**SMALL)),
    "DINOv2": (
        transformers.Dinov2Model,
        lambda: transformers.Dinov2Config(**{**SMALL, "mlp_ratio": 4}, layerscale_value=0.5),
    ),
}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_folders_of_transformers_give_the_features_of_their_models(tmp_path: Path, kind: str) -> None:
    build, config = PUBLISHED[kind]
    model = randomize(build(config()))
    model.save_pretrained(tmp_path)
    encoder = fresh(norm=True, eps=model.config.layer_norm_eps)
    report = load_encoder(encoder, tmp_path)
    body = getattr(model, "vit", model)
    if kind == "ViTMAE":  # which shuffles its cells unless told in which order to take them
        noise = torch.arange(16.0).expand(2, -1)
        expected = body(pixel_values=IMAGE, noise=noise).last_hidden_state
    else:
        expected = body(pixel_values=IMAGE).last_hidden_state
    torch.testing.assert_close(encoder(IMAGE), expected[:, 1:].transpose(1, 2).unflatten(2, (4, 4)))
    assert report["format"] == "transformers"
    assert_accounts_for(report, load_file(tmp_path / "model.safetensors"))
    assert any("4 layer scales" in note for note in report["notes"]) == (kind == "DINOv2")


def test_old_and_new_names_of_transformers_are_the_same_model(tmp_path: Path) -> None:
    model = randomize(transformers.ViTModel(transformers.ViTConfig(**SMALL), add_pooling_layer=False))
    model.save_pretrained(tmp_path / "saved")
    old = load_file(tmp_path / "saved" / "model.safetensors")
    now = model.state_dict()
    assert old.keys() != now.keys()  # otherwise this test is about nothing
    torch.save(now, tmp_path / "now.pt")
    first, second = fresh(norm=True), fresh(norm=True)
    load_encoder(first, tmp_path / "saved")
    load_encoder(second, tmp_path / "now.pt")
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)


def test_a_deit_is_loaded_without_its_distillation_token(tmp_path: Path) -> None:
    model = randomize(transformers.DeiTModel(transformers.DeiTConfig(**SMALL)))
    model.save_pretrained(tmp_path)
    encoder = fresh()
    report = load_encoder(encoder, tmp_path)
    table = model.embeddings.position_embeddings
    torch.testing.assert_close(encoder.pos_embed, torch.cat([table[:, :1], table[:, 2:]], dim=1))
    assert_accounts_for(report, load_file(tmp_path / "model.safetensors"))
    assert any("distillation token" in note for note in report["notes"])
    assert any("epsilon of 1e-12, the encoder has 1e-06" in note for note in report["notes"])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (transformers.ViTConfig(**{**SMALL, "num_attention_heads": 4}), "heads 4; the configuration asks for heads 3"),
        (transformers.ViTConfig(**SMALL, hidden_act="relu"), "activation 'relu'"),
        (transformers.ViTConfig(**{**SMALL, "num_hidden_layers": 1}), "depth 1.*asks for depth 2"),
        (transformers.BeitConfig(**SMALL), 'a beit, not one of vit.*use an encoder of kind "transformers"'),
    ],
    ids=["heads", "activation", "depth", "beit"],
)
def test_models_of_transformers_that_are_another_network_are_refused(tmp_path: Path, config: Any, message: str) -> None:
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=message):
        load_encoder(fresh(), tmp_path)


# ResNets


@pytest.mark.parametrize("old", [True, False])
def test_a_file_of_torchvision_loads_without_its_classifier(tmp_path: Path, old: bool) -> None:
    source = randomize(fresh(RESNET))
    state = {**source.state_dict(), "fc.weight": torch.zeros(3, 10), "fc.bias": torch.zeros(3)}
    if old:  # before PyTorch 0.4.1
        state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "resnet.pth")
    encoder = fresh(RESNET)
    report = load_encoder(encoder, tmp_path / "resnet.pth")
    torch.testing.assert_close(encoder(IMAGE), source(IMAGE))
    assert report["format"] == "torchvision"
    assert_accounts_for(report, state)
    assert all(key.endswith("num_batches_tracked") for key in report["untouched"])
    assert bool(report["untouched"]) == old


def test_an_encoder_of_fewer_stages_takes_the_first(tmp_path: Path) -> None:
    source = randomize(fresh(RESNET))
    torch.save(source.state_dict(), tmp_path / "resnet.pth")
    encoder = fresh(RESNET, widths=[4, 6, 8], blocks=[1, 1, 1])
    report = load_encoder(encoder, tmp_path / "resnet.pth")
    torch.testing.assert_close(encoder(IMAGE), source.stages(IMAGE)[2])
    assert_accounts_for(report, source.state_dict())
    assert {entry["reason"] for entry in report["left_out"]} == {"a stage that this encoder does not have"}


def test_a_resnet_of_other_sizes_is_refused(tmp_path: Path) -> None:
    torch.save(fresh(RESNET).state_dict(), tmp_path / "resnet.pth")
    with pytest.raises(ValueError, match=r"ResNet of block basic, .*asks for block bottleneck, widths \[4, 6, 8, 12\]"):
        load_encoder(fresh(RESNET, depth=50, widths=[4, 6, 8, 12]), tmp_path / "resnet.pth")


# Models of transformers as they are


LIBRARY: dict[str, Any] = {"kind": "transformers", "config": {"model_type": "dinov2_with_registers", **SMALL}}


@pytest.mark.parametrize("image_size", [64, 96])
def test_any_model_of_transformers_loads_from_its_folder(tmp_path: Path, image_size: int) -> None:
    config = transformers.Dinov2WithRegistersConfig(**SMALL)
    model = randomize(transformers.Dinov2WithRegistersForImageClassification(config))
    model.save_pretrained(tmp_path)
    encoder = fresh({"kind": "transformers", "config": {**LIBRARY["config"], "image_size": image_size}})
    report = load_encoder(encoder, tmp_path)
    keys = load_file(tmp_path / "model.safetensors")
    assert report["format"] == "transformers"
    assert_accounts_for(report, keys)
    assert {entry["key"].split(".")[0] for entry in report["left_out"]} == {"classifier"}
    if image_size == 64:
        expected = next(iter(model.children()))(pixel_values=IMAGE).last_hidden_state
        torch.testing.assert_close(encoder(IMAGE), expected[:, 5:].transpose(1, 2).unflatten(2, (4, 4)))
        assert not report["resized"]
    else:
        (entry,) = report["resized"]
        assert entry["key"] in keys and entry["from"] == [1, 17, 24] and entry["to"] == [1, 37, 24]


def test_a_model_of_transformers_loads_from_a_run_of_ours(tmp_path: Path) -> None:
    source = randomize(EncoderClassifier(fresh(LIBRARY), 2))
    torch.save(source.state_dict(), tmp_path / "model.pt")
    encoder = fresh(LIBRARY)
    report = load_encoder(encoder, tmp_path)
    torch.testing.assert_close(encoder(IMAGE), source.encoder(IMAGE))
    assert_accounts_for(report, source.state_dict())


def test_a_model_of_another_configuration_is_refused(tmp_path: Path) -> None:
    transformers.ViTModel(transformers.ViTConfig(**SMALL)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"model_type vit, .*asks for model_type dinov2_with_registers"):
        load_encoder(fresh(LIBRARY), tmp_path)


# What does not fit


def test_scratch_leaves_the_encoder_as_it_is(tmp_path: Path) -> None:
    encoder = fresh()
    before = clones(encoder.state_dict())
    report = load_encoder(encoder, None, out=tmp_path / "report.json")
    torch.testing.assert_close(encoder.state_dict(), before, rtol=0, atol=0)
    assert report["format"] == "scratch" and report["untouched"] == list(before) and report["file"] is None
    assert json.loads((tmp_path / "report.json").read_text()) == report


def drop(*names: str) -> Callable[[State], State]:
    return lambda state: {key: value for key, value in state.items() if not key.startswith(names)}


FAULTS: dict[str, tuple[Callable[[State], Any], str]] = {
    "depth": (drop("blocks.1."), r"a ViT of dim 24, patch_size 16, channels 3, depth 1, .*asks for depth 2: set it"),
    "norm": (drop("norm."), "lacks 2 tensors of the encoder: norm.weight, norm.bias; set norm to false"),
    "bias": (drop("blocks.1.attn.qkv.bias"), "lacks 1 tensors of the encoder: blocks.1.attn.qkv.bias$"),
    "registers": (lambda s: {**s, "reg_token": torch.zeros(1, 4, 24)}, "has 'reg_token': part of its features"),
    "part of a block": (
        lambda s: {**s, "blocks.0.attn.q_norm.weight": torch.ones(8), "norm_pre.weight": torch.ones(24)},
        "has 'blocks.0.attn.q_norm.weight' and 1 more: part of its features",
    ),
    "table": (lambda s: {**s, "pos_embed": torch.zeros(1, 14, 24)}, r"vit.pth: a position table .* got \(1, 14, 24\)"),
    "shape": (
        lambda s: {**s, "blocks.1.norm1.bias": torch.zeros(23)},
        r"1 tensors have another shape, first blocks.1.norm1.bias \(23,\), wanted \(24,\)",
    ),
    "two encoders": (
        lambda s: {f"{one}.{key}": value for one in ("left", "right") for key, value in s.items()},
        "holds several image encoders: .left., .right.",
    ),
    "teacher alone": (
        lambda s: {"teacher": {f"backbone.{key}": value for key, value in s.items()}},
        "a teacher .* alone: ask for it by image='teacher'",
    ),
    "something else": (lambda s: {"a.weight": torch.zeros(1)}, "no image encoder of this kind; .* begin with a.weight"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_files_that_do_not_fit_are_refused_and_change_nothing(
    tmp_path: Path, vit: MaskedViTEncoder, fault: str
) -> None:
    spoil, message = FAULTS[fault]
    torch.save(spoil(clones(vit.state_dict())), tmp_path / "vit.pth")
    encoder = fresh(norm=True)
    before = clones(encoder.state_dict())
    with pytest.raises(ValueError, match=message):
        load_encoder(encoder, tmp_path / "vit.pth")
    torch.testing.assert_close(encoder.state_dict(), before, rtol=0, atol=0)


def test_another_kind_of_encoder_and_missing_files_are_named(tmp_path: Path) -> None:
    torch.save(ResNetEncoder(18, widths=(4,), blocks=(1,)).state_dict(), tmp_path / "resnet.pth")
    with pytest.raises(ValueError, match="resnet.pth holds an encoder of kind 'resnet', the configuration asks"):
        load_encoder(fresh(), tmp_path / "resnet.pth")
    with pytest.raises(FileNotFoundError, match="no weights at .*nowhere"):
        load_encoder(fresh(), tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="it has none of models/model.pt, model.pt"):
        load_encoder(fresh(), tmp_path)
    with pytest.raises(TypeError, match="got a Linear"):
        load_encoder(nn.Linear(1, 1), tmp_path)
    with pytest.raises(ValueError, match="got 'both'"):
        load_encoder(fresh(), None, image="both")  # type: ignore[arg-type]
