"""The benchmarks measure what they say: the tutorial's pipeline, turns, spreads, floors, and the page they write."""

import dataclasses
import json
import random
import subprocess
import sys
import time
import typing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import floor, peer, timing
from benchmarks.__main__ import main
from benchmarks.machine import Busy, machine, versions
from benchmarks.page import write_page
from benchmarks.processes import ROOT, run
from benchmarks.results import Found, Measure, Memory, Result, load_results, save_result
from benchmarks.rows import ROWS
from benchmarks.rows.growth import growth_sizes
from benchmarks.workspace import growth_tables

from soundfold.features import log_mel
from soundfold.recipe import Recipe


@pytest.fixture(autouse=True)
def _own_random_numbers() -> None:
    """The tutorial draws from the global generators."""
    random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int]]:
    """Two classes that differ, in files that differ: mono and stereo, two rates, shorter and longer than the window."""
    folder = tmp_path_factory.mktemp("sounds")
    written = []
    for number, (rate, channels, seconds) in enumerate([(44_100, 1, 1.0), (22_050, 2, 4.5)] * 4):
        time_s = np.arange(round(rate * seconds)) / rate
        label = number % 2
        tone = np.sin(2 * np.pi * (300 + 2_000 * label) * time_s) * (0.3 + 0.05 * number)
        path = folder / f"{number}.wav"
        soundfile.write(path, np.repeat(tone[:, None], channels, axis=1), rate)
        written.append((str(path), label))
    return written


# ---------------------------------------------------------------------------------------------------- the tutorial


def test_an_item_has_the_tutorials_shape_and_range(rows: list[tuple[str, int]]) -> None:
    for path, _ in rows[:2]:
        item = peer.item(path)
        assert item.shape == (2, 64, 344)
        assert item.dtype == torch.float32
        assert 20 < item.amax() - item.amin() <= 80.0001


def test_the_tutorials_spectrogram_is_the_one_soundfold_makes() -> None:
    waveform = torch.randn(2, peer.LENGTH) * torch.linspace(0, 0.5, peer.LENGTH)
    recipe = Recipe()
    ours = log_mel(waveform[None], recipe.sound, recipe.features)[0]
    torch.testing.assert_close(peer._decibels(peer._mel_spectrogram(waveform)), ours, atol=2e-3, rtol=0)


def test_items_are_drawn_anew_and_masked_in_strips(rows: list[tuple[str, int]]) -> None:
    first, second = peer.item(rows[1][0]), peer.item(rows[1][0])
    assert not torch.equal(first, second)
    noise = torch.randn(2, 64, 344)
    masked = peer._masked(noise)
    changed = (masked != noise).any(dim=0)
    bands, frames = changed.all(dim=1), changed.all(dim=0)
    assert torch.equal(changed, bands[:, None] | frames[None, :])
    assert bands.sum() <= 2 * 6
    assert 0 < frames.sum() <= 2 * 34


def test_steps_lower_the_loss(rows: list[tuple[str, int]]) -> None:
    network = peer.Network(2).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=50, anneal_strategy="linear")
    inputs = torch.stack([peer.item(path) for path, _ in rows])
    labels = torch.tensor([label for _, label in rows])
    losses = [peer.step(network, optimizer, scheduler, inputs, labels)[0] for _ in range(15)]
    assert losses[-1] < 0.5 * losses[0]


def test_the_tutorials_network_is_as_large_as_ours() -> None:
    from soundfold.models import TutorialNet

    sizes = [
        sum(weight.numel() for weight in network.parameters()) for network in (peer.Network(10), TutorialNet(2, 10))
    ]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("workers", [0, 1])
def test_the_tutorials_rate_counts_clips_over_the_time_that_passed(rows: list[tuple[str, int]], workers: int) -> None:
    threads = torch.get_num_threads()
    try:
        for measure in (peer.train, peer.evaluate):
            started = time.perf_counter()
            rate = measure(rows, peer.Settings(workers, 1), seconds=0.2)
            assert rate.clips >= peer.BATCH_SIZE
            assert rate.clips_per_second == pytest.approx(rate.clips / rate.seconds)
            assert 0 < rate.seconds < time.perf_counter() - started - peer._WARM_UP_S  # the warm-up is not in it
            assert np.isfinite(rate.loss)
    finally:
        torch.set_num_threads(threads)


def test_a_script_of_the_tutorial_answers_for_one_clip(rows: list[tuple[str, int]], tmp_path: Path) -> None:
    torch.save(peer.Network(2).state_dict(), tmp_path / "weights.pt")
    done = run([sys.executable, "-m", "benchmarks.peer", str(tmp_path / "weights.pt"), rows[0][0]])
    assert done.answer["class"] in (0, 1)


# ------------------------------------------------------------------------------------------------------------- time


def test_sides_take_turns_in_rounds() -> None:
    order: list[str] = []
    heard: list[tuple[str, int, int]] = []
    sides = {name: (lambda name=name: order.append(name) or len(order)) for name in ("peer", "ours", "floor")}
    found = timing.take_turns(sides, 3, lambda *turn: heard.append(turn))
    assert order == ["peer", "ours", "floor"] * 3
    assert found == {"peer": [1, 4, 7], "ours": [2, 5, 8], "floor": [3, 6, 9]}
    assert heard[:2] == [("peer", 1, 1), ("ours", 1, 2)]


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_the_spread_is_median_and_quartiles(count: int) -> None:
    values = np.random.default_rng(count).random(count).tolist()
    found = timing.spread(values)
    np.testing.assert_allclose([found.low, found.median, found.high], np.quantile(values, [0.25, 0.5, 0.75]))
    assert found.n == count


def test_ratios_are_taken_within_a_round_and_above_one_where_ours_wins() -> None:
    rates = Measure("training", "clips/s", "more", {"tutorial": [100, 50, 100], "soundfold": [1000, 500, 900]})
    times = Measure("start", "s", "less", {"tutorial": [4, 8, 4], "soundfold": [1, 2, 1]})
    assert rates.gain("tutorial") == timing.Spread(3, 10, 9.5, 10)
    assert times.gain("tutorial") == timing.Spread(3, 4, 4, 4)
    assert rates.gain("soundfold") is None


@pytest.mark.parametrize(("exponent", "word"), [(0.5, "less than linear"), (1, "linear"), (2, "more than linear")])
def test_the_exponent_of_a_power_law_is_found(exponent: float, word: str) -> None:
    sizes = [1_000, 100_000, 10_000]
    fit = timing.grows(sizes, [3e-5 * size**exponent for size in sizes])
    assert fit.exponent == pytest.approx(exponent)
    assert fit.last == pytest.approx(exponent)
    assert fit.error == pytest.approx(0, abs=1e-6)
    assert fit.word == word


def test_a_fixed_cost_hides_no_quadratic_one() -> None:
    sizes = [1_000, 2_000, 4_000, 8_000]
    fit = timing.grows(sizes, [5 + 1e-7 * size**2 for size in sizes])
    assert fit.exponent < 0.5 < fit.last
    fit = timing.grows([1_000, 10_000, 100_000], [5 + 1e-7 * size**2 for size in (1_000, 10_000, 100_000)])
    assert fit.word == "more than linear"


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="this system does not tell")
def test_own_work_is_not_taken_for_that_of_others() -> None:
    before = Busy.now()
    subprocess.run([sys.executable, "-c", "sum(range(30_000_000))"], check=True)
    after = Busy.now()
    assert after.own_s - before.own_s > 0.1
    others = after.others_since(before)
    assert others is not None
    assert 0 <= others < 1.2
    assert dataclasses.replace(after, all_s=before.all_s + after.own_s - before.own_s).others_since(before) < 0.05
    assert dataclasses.replace(after, all_s=before.all_s + 1e6).others_since(before) > 1


# ------------------------------------------------------------------------------------------------------------ floor


def test_operations_are_those_counted_by_hand() -> None:
    network = peer.Network(10)
    work = floor.training_work(network, (2, 64, 345), 1_000)
    sizes = [(32, 173), (16, 87), (8, 44), (4, 22)]
    widths = [(2, 8, 25), (8, 16, 9), (16, 32, 9), (32, 64, 9)]
    layers = [2 * h * w * a * b * k for (h, w), (a, b, k) in zip(sizes, widths, strict=True)]
    forward = sum(layers) + 2 * 64 * 10
    assert work.forward == forward
    assert work.operations == 3 * forward - layers[0]  # the first layer hands no gradient on
    assert work.activations == 4 * (sum(h * w * b for (h, w), (_, b, _) in zip(sizes, widths, strict=True)) + 10)
    assert work.seconds(bytes_per_s=1, operations_per_s=1e30) == 1_000
    assert work.seconds(bytes_per_s=1e30, operations_per_s=1) == work.operations


def test_layers_in_groups_and_layers_that_do_not_learn_cost_what_they_cost() -> None:
    network = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 1))
    apart, wide, last = 2 * 60 * 4 * 9, 2 * 60 * 8 * 4, 2 * 60 * 8 * 8
    assert floor.training_work(network, (4, 6, 10), 0).operations == 3 * (apart + wide + last) - apart
    network[0].requires_grad_(requires_grad=False)
    # nothing before the second layer wants a gradient
    assert floor.training_work(network, (4, 6, 10), 0).operations == apart + 2 * wide + 3 * last


def test_limits_are_positive_and_the_network_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floor, "_REPEATS", 1)
    monkeypatch.setattr(floor, "usable_cores", lambda: 1)
    assert floor.bandwidth(megabytes=4) > 1e6
    assert floor.peak(size=64) > 1e6
    network = peer.Network(10)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert floor.layers_alone(network, (2, 64, 345), 2, dtypes=(torch.float32, torch.bfloat16)) > 1
    torch.testing.assert_close(network.state_dict(), before)


def test_decoding_alone_reads_every_file(rows: list[tuple[str, int]], tmp_path: Path) -> None:
    assert floor.decode_all([path for path, _ in rows], 44_100) > 0
    with pytest.raises(soundfile.LibsndfileError):
        floor.decode_all([*[path for path, _ in rows], str(tmp_path / "none.wav")], 44_100)
    assert floor.disk_rate(tmp_path, 1) > 0
    assert list(tmp_path.iterdir()) == []


# -------------------------------------------------------------------------------------------------------- processes


def from_a_small_process(code: str) -> dict[str, typing.Any]:
    """Start Python with this code as the benchmarks do; from here it would look as large as this process is."""
    starter = (
        "import dataclasses, json, sys\n"
        "from benchmarks.processes import run\n"
        "print(json.dumps(dataclasses.asdict(run([sys.executable, '-c', sys.argv[1]]))))\n"
    )
    command = [sys.executable, "-c", starter, code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return dict(json.loads(done.stdout))


def test_a_process_tells_its_time_its_answer_and_its_memory() -> None:
    code = "import json, time; kept = bytearray(200 << 20); time.sleep(0.2); print(json.dumps({'n': 1}))"
    done = from_a_small_process(code)
    assert done["answer"] == {"n": 1}
    assert done["seconds"] > 0.2
    assert 200 < done["largest_mb"] < 260
    assert from_a_small_process("pass")["largest_mb"] < 60


def test_the_memory_of_all_processes_counts_them_together() -> None:
    code = (
        "import subprocess, sys\n"
        "inner = 'import time; kept = bytearray(120 << 20); time.sleep(3)'\n"
        "both = [subprocess.Popen([sys.executable, '-c', inner]) for _ in range(2)]\n"
        "[one.wait() for one in both]\n"
    )
    done = from_a_small_process(code)
    if done["together_mb"] is None:
        pytest.skip("this system does not tell")
    assert done["together_mb"] > 240
    assert 120 < done["largest_mb"] < 200


def test_a_process_that_fails_is_told_with_its_last_words() -> None:
    with pytest.raises(RuntimeError, match="(?s)ended with status 3.*no such luck"):
        run([sys.executable, "-c", "import sys; print('no such luck', file=sys.stderr); sys.exit(3)"])


def test_whoever_starts_the_processes_stays_small() -> None:
    code = "import benchmarks.__main__, sys; print([m for m in ('torch', 'pandas', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


# ------------------------------------------------------------------------------------------------- results and page


def result(row: str, ours: list[float], **changes: object) -> Result:
    measure = Measure(
        "training", "clips/s", "more", {"tutorial": [100.0, 110.0], "soundfold": ours, "floor": [1e4, 1e4]}
    )
    found = Found([measure], {"soundfold": Memory(812.4, 1024.0)}, {"epochs": 10}, ["A note for the reader."])
    made = Result(
        row=row, title=ROWS[row].title, recipe="tutorial", data="synthetic, 8,732 clips", device="cpu",
        command=f"python -m benchmarks --only {row}", made="2026-01-02", seconds=61.2, others=0.02,
        machine={**machine(), "gpu": None}, versions=versions(), found=found,
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    kept = result("train", [1000.0, 1200.0])
    save_result(kept, tmp_path)
    assert load_results(tmp_path, ROWS) == [kept]


def test_the_page_says_what_the_results_say_and_nothing_else(tmp_path: Path) -> None:
    kept, page = tmp_path / "kept", tmp_path / "docs" / "benchmarks.md"
    save_result(result("train", [1000.0, 1200.0]), kept / "cpu-synthetic")
    save_result(result("store", [500.0, 500.0]), kept / "cpu-synthetic")
    write_page(kept, page)
    first = page.read_text("utf-8")
    assert "| training, clips/s | **soundfold** | 1,100 | 1,050 – 1,150 | 2 |  |" in first
    assert "| training, clips/s | tutorial | 105 | 102 – 108 | 2 | 10.5 × (10.2 × – 10.7 ×) |" in first
    assert "| training, clips/s | floor | 10,000 | 10,000 – 10,000 | 2 | 11 % (10.5 % – 11.5 %) |" in first
    assert "| soundfold | 812 MB | 1,024 MB |" in first
    assert "A note for the reader." in first
    assert "other work took 2 % of the processor" in first
    assert f"{machine()['cores']} cores" in first
    assert first.index("Building the store") < first.index("### Training")

    write_page(kept, page)
    assert page.read_text("utf-8") == first

    save_result(result("train", [2000.0, 2400.0]), kept / "cpu-synthetic")
    write_page(kept, page)
    second = page.read_text("utf-8")
    assert "2,200" in second
    assert "1,100" not in second
    assert second.count("### Training") == 1


def test_another_recipe_stands_beside_the_tutorials(tmp_path: Path) -> None:
    save_result(result("train", [1000.0, 1200.0]), tmp_path / "cpu")
    save_result(result("train", [300.0, 310.0], recipe="other"), tmp_path / "cpu")
    write_page(tmp_path, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text("utf-8")
    assert text.index("### Training\n") < text.index("### Training, recipe `other`")


def test_growth_is_on_the_page_with_its_exponent(tmp_path: Path) -> None:
    sizes = [1_000, 10_000]
    grown = {"clips": {"sizes": sizes, "costs": {"store": [1.0, 10.0]}, "memory": {"store": [100.0, 109.0]}}}
    save_result(result("growth", [1.0, 1.0], found=Found([], growth=grown)), tmp_path / "cpu")
    write_page(tmp_path, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text("utf-8")
    assert "| store | 1 | 10 | 1.00 | 1.00 | linear |" in text
    assert "| store | 100 | 109 | 99 | 1.02 |" in text


def test_the_page_in_the_docs_is_what_the_kept_results_say(tmp_path: Path) -> None:
    assert main(["--page-only", "--page", str(tmp_path / "page.md")]) == 0
    assert (ROOT / "docs" / "benchmarks.md").read_text("utf-8") == (tmp_path / "page.md").read_text("utf-8")


# ---------------------------------------------------------------------------------------------------------- growing


def test_sizes_grow_evenly_to_the_one_asked_for() -> None:
    sizes = growth_sizes(100_000)
    assert (sizes[0], sizes[-1]) == (1_000, 100_000)
    ratios = [later / earlier for earlier, later in pairwise(sizes)]
    assert max(ratios) / min(ratios) < 1.2


def test_growing_tables_hold_files_of_their_own_content(tmp_path: Path) -> None:
    from soundfold.data import read_clips

    small, large = growth_tables(tmp_path, [100, 300], 0.1)
    clips = read_clips(large)
    paths = clips.table["path"]
    assert (len(read_clips(small)), len(clips), paths.nunique()) == (100, 300, 300)
    assert len({Path(path).read_bytes() for path in paths}) == 300  # what is the same would be decoded once
    assert len(clips.folds) == 10
    assert clips.table.groupby("group")["fold"].nunique().max() <= 2  # the set has two recordings that straddle folds
    stamps = [Path(path).stat().st_ctime_ns for path in paths]
    assert growth_tables(tmp_path, [100, 300], 0.1) == [small, large]
    assert [Path(path).stat().st_ctime_ns for path in paths] == stamps


# --------------------------------------------------------------------------------------------------- the whole thing


def test_a_row_can_be_run_alone_and_leaves_the_docs_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = ROOT / "docs" / "benchmarks.md"
    before = page.read_text("utf-8")
    data = ["--data", str(tiny_table(tmp_path))]
    assert main(["--quick", "--rounds", "2", "--only", "help", "--work", str(tmp_path / "work"), *data]) == 0
    [path] = (tmp_path / "work" / "quick").rglob("*.json")
    kept = json.loads(path.read_text("utf-8"))
    assert len(kept["found"]["measures"][0]["sides"]["soundfold"]) == 2
    assert str(tmp_path) not in path.read_text("utf-8")
    assert "help, whole process" in (tmp_path / "work" / "quick.md").read_text("utf-8")
    assert "help, whole process" in capsys.readouterr().out
    assert page.read_text("utf-8") == before


def test_a_row_that_fails_is_named_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(plan: object) -> Found:
        raise RuntimeError("the floor gave way")

    def sound(plan: object) -> Found:
        return Found([])

    for name, measure in (("start", broken), ("help", sound)):
        monkeypatch.setitem(ROWS, name, dataclasses.replace(ROWS[name], measure=measure))
    data = ["--data", str(tiny_table(tmp_path))]
    assert main(["--quick", "--only", "start", "help", "--work", str(tmp_path / "work"), *data]) == 1
    assert "rows that failed: start" in capsys.readouterr().err
    assert [path.stem for path in (tmp_path / "work" / "quick").rglob("*.json")] == ["help"]


def tiny_table(folder: Path) -> Path:
    """Write two short sounds and their table."""
    for name in ("a", "b"):
        soundfile.write(folder / f"{name}.wav", np.zeros(800), 8_000)
    (folder / "clips.csv").write_text("path,label\na.wav,low\nb.wav,high\n", encoding="utf-8")
    return folder / "clips.csv"
