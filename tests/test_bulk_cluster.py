"""Bulk answers from a Ray cluster, of which a node dies in the middle of the work."""

import shutil
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from model_files import TINY_MODEL
from soundfold.cli import main

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("default")]  # what Ray warns of itself is not ours
parquet = pytest.importorskip("pyarrow.parquet")
TONE = Path(__file__).parent / "fixtures" / "tone.wav"
SOUNDS = 6_000


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    root = tmp_path / "sounds"
    root.mkdir()
    for number in range(SOUNDS):
        shutil.copy(TONE, root / f"{number}.wav")
    (root / "bad.wav").write_text("no sound")
    return root


@pytest.mark.timeout(600)
def test_a_cluster_that_loses_a_node_hears_every_sound_once(
    sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "240")  # a busy machine is no fault of the code
    monkeypatch.setenv("RAY_worker_niceness", "0")  # Ray would have its workers wait for all others
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    out = tmp_path / "out"
    killed = threading.Event()

    def kill() -> None:
        until = time.monotonic() + 300
        while not list(out.glob("part-*")) and time.monotonic() < until:
            time.sleep(0.05)
        cluster.remove_node(second, allow_graceful=False)
        killed.set()

    try:
        ray.init(address=cluster.address, log_to_driver=False)
        assert ray.cluster_resources()["CPU"] == 2
        thread = threading.Thread(target=kill)
        thread.start()
        assert main(["bulk", str(TINY_MODEL), str(sounds), "--out", str(out), "--ray", "auto", "--part", "1"]) == 2
        at_end = len(list(out.glob("part-*")))
        thread.join()
        assert killed.is_set()
        until = time.monotonic() + 60
        while ray.cluster_resources()["CPU"] != 1:  # Ray may take longer to notice than the rest of the work did
            assert time.monotonic() < until
            time.sleep(0.2)
    finally:
        ray.shutdown()
        cluster.shutdown()
    heard = Counter(path for part in out.glob("part-*") for path in set(parquet.read_table(part)["path"].to_pylist()))
    assert heard == Counter(str(path) for path in sounds.iterdir())
    assert at_end > 2, "the work was over before the node died"


def test_no_cluster_and_no_ray_are_told(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["bulk", str(TINY_MODEL), str(sounds), "--out", str(tmp_path / "out"), "--ray"]
    assert main([*words, "auto"]) == 2
    assert "ray: no cluster answers at 'auto'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main([*words, "auto"]) == 2
    assert '[cluster]"' in capsys.readouterr().err
