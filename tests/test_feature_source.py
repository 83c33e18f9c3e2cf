"""Every source of features gives the same batches in the same order."""

from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import SMALL, write_folders
from soundfold.data import open_store, read_clips
from soundfold.recipe import load_recipe
from soundfold.training import FeatureCache, build_feature_cache, open_feature_cache
from soundfold.training.feature_source import Mapped, Resident, Streamed, source_of

CPU = torch.device("cpu")
ROWS = [np.array([3, 1, 2]), np.array([0, 5, 4, 3, 3]), np.array([7])]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> FeatureCache:
    folder = tmp_path_factory.mktemp("sources")
    recipe = load_recipe("tutorial", SMALL)
    store = open_store(read_clips(write_folders(folder / "sounds")), recipe.sound, cache=folder / "cache")
    return open_feature_cache(build_feature_cache(store, recipe))


@pytest.mark.parametrize("make", [lambda cache: Resident(cache, CPU), lambda cache: Streamed(cache, CPU)])
@pytest.mark.parametrize("batches", [ROWS, ROWS[:1], [], [np.array([], dtype=np.int64), ROWS[0]]])
def test_gives_what_the_mapped_file_gives(cache: FeatureCache, make: object, batches: list[np.ndarray]) -> None:
    expected = list(Mapped(cache).stream(batches))
    told = list(make(cache).stream(batches))  # type: ignore[operator]
    assert len(told) == len(expected) == len(batches)
    for ours, theirs in zip(told, expected, strict=True):
        assert torch.equal(ours, theirs)


def test_the_cpu_reads_the_mapped_file(cache: FeatureCache) -> None:
    assert isinstance(source_of(cache, CPU), Mapped)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("free", "kind"), [(1, Streamed), (2**40, Resident)])
def test_a_gpu_holds_what_fits(cache: FeatureCache, monkeypatch: pytest.MonkeyPatch, free: int, kind: type) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, free))
    source = source_of(cache, torch.device("cuda"))
    assert isinstance(source, kind)
    for ours, theirs in zip(source.stream(ROWS), Mapped(cache).stream(ROWS), strict=True):
        torch.testing.assert_close(ours.cpu(), theirs)


def test_a_stream_that_is_left_early_ends_its_reader(cache: FeatureCache, tmp_path: Path) -> None:
    stream = Streamed(cache, CPU).stream(ROWS)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
