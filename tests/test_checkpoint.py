"""Checkpoints: what goes in comes out, bit for bit, and a damaged file is told."""

from pathlib import Path

import pytest
import torch

from soundfold.errors import RunError
from soundfold.models import build_classifier
from soundfold.recipe import Recipe
from soundfold.training import Checkpoint, load_checkpoint, save_checkpoint


def some_checkpoint() -> Checkpoint:
    classifier = build_classifier(Recipe(), 3, 0)
    optimizer = torch.optim.Adam(classifier.network.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=10, anneal_strategy="linear")
    for _ in range(3):
        classifier.network(torch.randn(4, 2, 64, 50)).sum().backward()
        optimizer.step()
        scheduler.step()
    return Checkpoint(
        3, classifier.state_dict(), optimizer.state_dict(), scheduler.state_dict(), [{"epoch": 1, "train_loss": 0.1}]
    )


def test_round_trip_is_exact(tmp_path: Path) -> None:
    written = some_checkpoint()
    save_checkpoint(written, tmp_path / "c.safetensors")
    read = load_checkpoint(tmp_path / "c.safetensors")
    assert read.epoch == 3
    assert read.history == written.history
    assert read.scheduler["last_epoch"] == written.scheduler["last_epoch"]
    assert read.model.keys() == written.model.keys()
    for name, tensor in written.model.items():
        assert torch.equal(read.model[name], tensor)
        assert read.model[name].dtype == tensor.dtype
    for number, state in written.optimizer["state"].items():
        for name, value in state.items():
            assert torch.equal(read.optimizer["state"][number][name], value)


def test_loaded_state_takes_the_same_next_step(tmp_path: Path) -> None:
    written = some_checkpoint()
    save_checkpoint(written, tmp_path / "c.safetensors")

    def step(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
        classifier = build_classifier(Recipe(), 3, seed=7)
        classifier.load_state_dict(checkpoint.model)
        optimizer = torch.optim.Adam(classifier.network.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=10, anneal_strategy="linear")
        optimizer.load_state_dict(checkpoint.optimizer)
        scheduler.load_state_dict(checkpoint.scheduler)
        batch = torch.randn(4, 2, 64, 50, generator=torch.Generator().manual_seed(1))
        classifier.network(batch).square().sum().backward()
        optimizer.step()
        scheduler.step()
        return classifier.state_dict() | {"lr": torch.tensor(scheduler.get_last_lr())}

    expected, told = step(written), step(load_checkpoint(tmp_path / "c.safetensors"))
    assert all(torch.equal(told[name], expected[name]) for name in expected)


def test_nothing_but_the_file_is_left(tmp_path: Path) -> None:
    for _ in range(2):
        save_checkpoint(some_checkpoint(), tmp_path / "c.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["c.safetensors"]


@pytest.mark.parametrize("content", [b"", b"not tensors", b'\x08\x00\x00\x00\x00\x00\x00\x00{"a": 1}'])
def test_damage_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.safetensors").write_bytes(content)
    with pytest.raises(RunError, match="is not a whole checkpoint"):
        load_checkpoint(tmp_path / "c.safetensors")
