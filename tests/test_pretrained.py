"""Published weights: where they are looked for, what is fetched and checked, and what a file may hold."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from archive_server import Site, serving
from soundfold.errors import DownloadError, ModelFileError, PathError, RecipeError
from soundfold.models import pretrained
from soundfold.models.efficientat import build_efficientat
from soundfold.models.pretrained import PUBLISHED, WEIGHTS_VARIABLE, find_weights, load_efficientat, read_weights

FILE = PUBLISHED["mn04"].file


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that fits mn04 as the published one does, with numbers from a seed."""
    path = tmp_path_factory.mktemp("weights") / FILE
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(build_efficientat("mn04").state_dict(), path)
    return path


def publish(monkeypatch: pytest.MonkeyPatch, *, sha256: str = "", url: str = "https://example.org/w.pt") -> None:
    """Let mn04 be published with this hash and at this address."""
    entry = replace(PUBLISHED["mn04"], sha256=sha256, url=url)
    monkeypatch.setattr(pretrained, "PUBLISHED", {**PUBLISHED, "mn04": entry})


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Bringer:
    """A stand-in for the downloader: copies a file and notes what it was asked for."""

    def __init__(self, original: Path) -> None:
        self.original = original
        self.asked: list[tuple[str, str | None]] = []

    def __call__(self, url: str, target: Path, digest: str | None) -> Path:
        self.asked.append((url, digest))
        shutil.copyfile(self.original, target)
        return target


def refuse(url: str, target: Path, digest: str | None) -> Path:
    raise AssertionError("nothing may be fetched")


# where


def test_source_comes_first_then_the_variable_then_the_cache(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, sha256=sha256(weights))
    places = {name: tmp_path / name / FILE for name in ("source", "variable", "cache/weights")}
    for path in places.values():
        path.parent.mkdir(parents=True)
        shutil.copyfile(weights, path)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "variable"))
    cache = tmp_path / "cache"
    assert find_weights("mn04", cache, source=tmp_path / "source", fetch=refuse) == places["source"]
    assert find_weights("mn04", cache, source=places["source"], fetch=refuse) == places["source"]
    assert find_weights("mn04", cache, fetch=refuse) == places["variable"]
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(places["variable"]))
    assert find_weights("mn04", cache, fetch=refuse) == places["variable"]
    places["variable"].unlink()
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "variable"))  # a folder that holds other networks' files
    assert find_weights("mn04", cache, fetch=refuse) == places["cache/weights"]


def test_a_folder_that_the_variable_names_without_the_file_is_told_and_nothing_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path))
    with pytest.raises(
        PathError, match=rf"holds no {FILE}, and {WEIGHTS_VARIABLE} says to look there\. Put it there; it"
    ):
        find_weights("mn04", tmp_path / "cache", fetch=refuse)


def test_what_was_named_and_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        PathError, match=rf"gone: the weights' source must be a file of weights or a folder with {FILE}"
    ):
        find_weights("mn04", tmp_path, source=tmp_path / "gone", fetch=refuse)
    with pytest.raises(PathError, match=rf"holds no {FILE}\. Put it there; it comes from https://github"):
        find_weights("mn04", tmp_path, source=tmp_path, fetch=refuse)
    monkeypatch.setenv(WEIGHTS_VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(PathError, match=rf"gone: {WEIGHTS_VARIABLE} must be a file of weights"):
        find_weights("mn04", tmp_path, fetch=refuse)


def test_nothing_found_and_nothing_fetched_says_where_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(PathError, match=rf"no weights of mn10 here\. Bring mn10_as_mAP_471\.pt .* {WEIGHTS_VARIABLE}"):
        find_weights("mn10", tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RecipeError, match=r"weights must be of mn04, mn05, mn10, mn20, got 'mn40'\. Did you mean"):
        find_weights("mn40", tmp_path)


def test_every_network_has_a_published_file_and_hashes_are_whole() -> None:
    assert set(PUBLISHED) == {"mn04", "mn05", "mn10", "mn20"}
    for published in PUBLISHED.values():
        assert published.url.endswith(f"/v0.0.1/{published.file}")
        assert len(published.sha256) in (0, 64)


# fetching


def test_a_fetched_file_is_kept_and_fetched_once(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, sha256=sha256(weights))
    bring = Bringer(weights)
    first = find_weights("mn04", tmp_path, fetch=bring)
    assert first == find_weights("mn04", tmp_path, fetch=refuse) == tmp_path / "weights" / FILE
    assert bring.asked == [("https://example.org/w.pt", f"sha256:{sha256(weights)}")]
    first.write_bytes(b"damaged")
    assert read_weights(find_weights("mn04", tmp_path, fetch=bring))
    assert len(bring.asked) == 2


def test_another_file_than_the_published_one_is_refused_and_removed(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, sha256="0" * 64)
    with pytest.raises(ModelFileError, match=rf"the sha256 of what arrived must be {'0' * 64}, got {sha256(weights)}"):
        find_weights("mn04", tmp_path, fetch=Bringer(weights))
    assert not (tmp_path / "weights" / FILE).exists()


def test_without_a_published_hash_the_first_copy_must_fit_and_the_later_ones_be_it(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch)
    foreign = tmp_path / "foreign.pt"
    torch.save({"a": torch.zeros(1)}, foreign)
    with pytest.raises(ModelFileError, match="does not fit this network"):
        find_weights("mn04", tmp_path, fetch=Bringer(foreign))
    assert not (tmp_path / "weights" / FILE).exists()
    bring = Bringer(weights)
    kept = find_weights("mn04", tmp_path, fetch=bring)
    assert find_weights("mn04", tmp_path, fetch=refuse) == kept
    assert bring.asked == [("https://example.org/w.pt", None)]
    kept.write_bytes(kept.read_bytes()[:-1])
    find_weights("mn04", tmp_path, fetch=bring)
    assert len(bring.asked) == 2


def test_a_broken_network_says_how_else(tmp_path: Path) -> None:
    def broken(url: str, target: Path, digest: str | None) -> Path:
        raise DownloadError(f"{url}: could not be fetched in 5 tries (no route). Run the same command again later.")

    with pytest.raises(
        DownloadError, match=rf"again later\. Or bring {FILE} from another computer .*{WEIGHTS_VARIABLE}"
    ):
        find_weights("mn04", tmp_path, fetch=broken)


def test_the_packages_own_downloader_fits(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from soundfold.data.fetch.download import download

    with serving(Site(weights.read_bytes())) as site:
        publish(monkeypatch, sha256=sha256(weights), url=site.url)
        path = find_weights("mn04", tmp_path, fetch=lambda url, target, digest: download(url, target, digest=digest))
    assert path.read_bytes() == weights.read_bytes()


# reading


def test_reads_what_was_saved_in_both_formats(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "w.safetensors")
    for path in (weights, tmp_path / "w.safetensors"):
        read = read_weights(path)
        assert read.keys() == state.keys()
        assert all(torch.equal(read[name], state[name]) for name in state)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("executed",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": Evil()}, "is no file of weights, or is damaged"),
        ([torch.zeros(1)], "must hold named tensors, got something of type list"),
        ({}, "must hold named tensors, got something empty of type dict"),
        (
            {"a": torch.zeros(1), "epoch": 3},
            "must hold named tensors and nothing else, got something of type int at epoch",
        ),
        ({"a": torch.tensor([float("nan")])}, "must hold finite numbers, got others in a"),
    ],
)
def test_anything_but_tensors_is_refused_and_never_executed(
    content: object, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ModelFileError, match=rf"w\.pt: {message}.*\. [A-Z]"):
        read_weights(tmp_path / "w.pt")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
@pytest.mark.parametrize("length", [0, 3, 5_000])
def test_damaged_files_are_named(name: str, length: int, weights: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(weights.read_bytes()[:length])
    with pytest.raises(ModelFileError, match=rf"{name}: is no file of weights, or is damaged\. Name the file"):
        read_weights(path)
    path.write_text("<html>404</html>" * (length // 10), encoding="utf-8")
    with pytest.raises(ModelFileError, match=rf"{name}: is no file of weights, or is damaged"):
        read_weights(path)


def test_a_missing_file_is_a_path_error(tmp_path: Path) -> None:
    for name in ("w.pt", "w.safetensors"):
        with pytest.raises(PathError, match=rf"{name}: cannot be read: No such file"):
            read_weights(tmp_path / name)


def test_a_network_is_loaded_ready_for_use(weights: Path) -> None:
    network = load_efficientat("mn04", weights)
    assert not network.training
    assert network.classifier[5].out_features == 527
    other = load_efficientat("mn04", weights, n_labels=3)
    assert other.classifier[5].out_features == 3
    assert torch.equal(other.features[0][0].weight, network.features[0][0].weight)
    with pytest.raises(ModelFileError, match=rf"{FILE}: does not fit this network: .*published for it"):
        load_efficientat("mn05", weights)
