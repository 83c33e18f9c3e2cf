"""Some hundreds of mutated files; `python tests/fuzz.py` tries as many as one likes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fuzz
from fuzz_cases import file_of, sound_files
from mutations import mutated_bytes, mutated_message

pytestmark = [pytest.mark.runtime, pytest.mark.skipif(sys.platform != "linux", reason="the bounds are Linux's")]


@pytest.mark.parametrize(("kind", "number"), [("sounds", 400), ("models", 150)])
def test_mutated_files_are_answered_or_refused_in_one_line(kind: str, number: int) -> None:
    report = fuzz.fuzz(kind, range(number))
    assert report.bad == []
    assert sum(report.ends.values()) == number
    assert set(report.ends) == {"answer", "refused"}


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(("kind", "number"), [("sounds", 100_000), ("models", 10_000)])
def test_many_mutated_files(kind: str, number: int) -> None:
    assert fuzz.fuzz(kind, range(number), jobs=2).bad == []


@pytest.mark.parametrize(
    ("attempt", "end"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crash: status -11"),
        ("while True: pass", "hang: more than 5 s"),
        ("global kept; kept = bytearray(b'x') * (48 << 20)", "memory: 4"),
        ("return KeyError('x')", "raised: "),
        ("from soundfold.errors import AudioError; return AudioError('two\\nlines')", "message: "),
    ],
)
def test_what_goes_wrong_is_laid_to_its_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attempt: str, end: str
) -> None:
    for name in ("fuzz.py", "mutations.py"):
        (tmp_path / name).write_bytes((Path(fuzz.__file__).parent / name).read_bytes())
    lines = f"def attempt(kind, case):\n    if case == 2:\n        {attempt}\n    return None\n"
    (tmp_path / "fuzz_cases.py").write_text(lines)
    script = (tmp_path / "fuzz.py").read_text().replace("_TIME_S = 60.0", "_TIME_S = 5.0")
    (tmp_path / "fuzz.py").write_text(script.replace("_MEMORY_MB = 512", "_MEMORY_MB = 32"))
    command = [sys.executable, str(tmp_path / "fuzz.py"), "sounds", "--number", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"case 2: {end}" in done.stdout
    assert '"answer": 4' in done.stdout
    assert done.returncode == 1


def test_a_case_is_known_again_by_its_number() -> None:
    assert [file_of("sounds", case) for case in range(20)] == [file_of("sounds", case) for case in range(20)]
    assert len({file_of("sounds", case) for case in range(20)}) == 20


def test_mutations_change_a_file_and_leave_a_message_one() -> None:
    draw = np.random.default_rng(0)
    files = sound_files()
    assert all(mutated_bytes(files[0], files, draw) != files[0] for _ in range(20))
    assert mutated_message(b"\x08\x01\x12\x03abc", np.random.default_rng(3)) != b"\x08\x01\x12\x03abc"
