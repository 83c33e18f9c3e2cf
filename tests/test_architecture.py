"""What holds for the house as a whole: what imports cost, what works without torch, and names that are told."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import soundfold

pytestmark = pytest.mark.runtime

HEAVY = ("torch", "pandas", "pyarrow", "sklearn", "matplotlib", "requests", "fastapi", "lightning_fabric")
BLOCK = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name.split(".")[0])
sys.meta_path.insert(0, Block())
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", "-c", code, *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("room", ["errors", "atomic", "recipe", "audio", "runtime", "cli"])
def test_room_works_where_torch_and_tables_are_not_installed(room: str) -> None:
    done = run(f"{BLOCK}\nimport soundfold.{room}")
    assert done.returncode == 0, done.stderr


def test_help_and_predict_work_without_them() -> None:
    fixtures = Path(__file__).parent / "fixtures"
    code = f"{BLOCK}\nfrom soundfold.cli import main\nsys.exit(main(sys.argv[1:]))"
    for verb in ("--help", "train --help", "cv --help", "predict --help", "data --help", "evaluate --help"):
        assert run(code, *verb.split()).returncode == 0
    done = run(code, "predict", str(fixtures / "tiny.onnx"), str(fixtures / "tone.wav"))
    assert done.returncode == 0, done.stderr
    assert "\thigh\t" in done.stdout or "\tlow\t" in done.stdout


@pytest.mark.parametrize(
    ("verb", "extra"),
    [("train x", "train"), ("cv x", "train"), ("evaluate x y", "train"), ("demo", "train"), ("data check x", "train")],
)
def test_a_missing_extra_names_its_command(verb: str, extra: str, tmp_path: Path) -> None:
    code = f"{BLOCK}\nfrom soundfold.cli import main\nsys.exit(main(sys.argv[1:]))"
    done = run(code, *verb.split())
    assert done.returncode == 2
    assert f'pip install "soundfold[{extra}]"' in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_importing_reads_and_writes_nothing_and_prints_nothing() -> None:
    code = """
import sys, builtins
import soundfold
before = set(sys.modules)
assert not any(name.split(".")[0] in ("torch", "numpy", "pandas", "onnxruntime", "typer") for name in before), before
def refuse(event, details):
    if event == "open" and isinstance(details[1], str) and set(details[1]) & set("wax+"):
        raise AssertionError(f"{event} {details}")
    if event in ("os.mkdir", "os.rename", "os.remove", "socket.connect", "subprocess.Popen"):
        raise AssertionError(f"{event} {details}")
sys.dont_write_bytecode = True
sys.addaudithook(refuse)
import soundfold.recipe, soundfold.audio, soundfold.runtime, soundfold.cli
"""
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""


def test_evaluate_needs_no_torch() -> None:
    pytest.importorskip("pandas")
    code = "import sys, soundfold; soundfold.evaluate; assert 'torch' not in sys.modules"
    assert run(code).returncode == 0


def modules() -> list[str]:
    found = pkgutil.walk_packages(soundfold.__path__, "soundfold.")
    return [module.name for module in found if not module.name.endswith("__main__")]


@pytest.mark.parametrize("name", modules())
def test_every_module_says_what_is_in_it_and_what_is_public(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except (ModuleNotFoundError, soundfold.SoundfoldError) as error:
        if "soundfold" in str(getattr(error, "name", "")):
            raise
        pytest.skip(f"needs an extra: {error}")
    assert module.__doc__
    assert len(module.__doc__.splitlines()[0]) > 20
    public = getattr(module, "__all__", None)
    if name.rpartition(".")[2].startswith("_") or public is None:
        own = {key for key, value in vars(module).items() if getattr(value, "__module__", None) == name}
        assert all(key.startswith("_") for key in own), own
        return
    assert sorted(set(public)) == sorted(public), "a name is listed twice"
    for entry in public:
        assert hasattr(module, entry), entry


def test_no_module_is_too_long_to_read() -> None:
    root = Path(soundfold.__file__).parent
    lengths = {str(path.relative_to(root)): len(path.read_text().splitlines()) for path in root.rglob("*.py")}
    assert {path: length for path, length in lengths.items() if length > 320} == {}
