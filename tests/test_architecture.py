"""What holds for the house as a whole: what imports cost, what works without torch, and names that are told."""

import ast
import importlib.metadata
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import soundfold
from soundfold.errors import MissingExtraError, needs_extra

pytestmark = pytest.mark.runtime

FIXTURES = Path(__file__).parent / "fixtures"
HEAVY = ("torch", "pandas", "pyarrow", "sklearn", "matplotlib", "requests", "fastapi", "lightning_fabric")


def blocked(*packages: str) -> str:
    """Code after which these packages cannot be imported."""
    return f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name.split(".")[0])
sys.meta_path.insert(0, Block())
"""


BLOCK = blocked(*HEAVY)


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "error", "-c", code, *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("room", ["errors", "atomic", "wording", "recipe", "audio", "runtime", "formats", "cli"])
def test_room_works_where_torch_and_tables_are_not_installed(room: str) -> None:
    done = run(f"{BLOCK}\nimport soundfold.{room}")
    assert done.returncode == 0, done.stderr


def test_the_table_of_rooms_names_all_that_each_imports() -> None:
    source = Path(soundfold.__file__).parent
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", page, re.MULTILINE)
    assert len(rows) > 15
    for room, told in rows:
        files = [*(source / room).rglob("*.py")] or [source / f"{room}.py"]
        code = "\n".join(file.read_text(encoding="utf-8") for file in files)
        found = set(re.findall(r"^\s*from soundfold\.(\w+)", code, re.MULTILINE))
        assert told.startswith("all") or found - {room} <= set(re.findall(r"\w+", told)), room


def test_no_test_module_imports_from_another() -> None:
    """What several share stands in a plain module beside them, so that each can be run, moved and removed alone."""
    for file in Path(__file__).parent.glob("*.py"):
        assert not re.findall(r"^\s*(?:from|import) test_\w+", file.read_text(encoding="utf-8"), re.MULTILINE), file


def test_help_and_predict_work_without_them() -> None:
    code = f"{BLOCK}\nfrom soundfold.cli import main\nsys.exit(main(sys.argv[1:]))"
    for verb in ("--help", "train --help", "cv --help", "predict --help", "data --help", "evaluate --help"):
        assert run(code, *verb.split()).returncode == 0
    done = run(code, "predict", str(FIXTURES / "tiny.onnx"), str(FIXTURES / "tone.wav"))
    assert done.returncode == 0, done.stderr
    assert "\thigh\t" in done.stdout or "\tlow\t" in done.stdout


@pytest.mark.parametrize(
    ("verb", "extra"),
    [
        *[
            (verb, "train")
            for verb in ("train x", "cv x", "evaluate x y", "demo", "report x", "data check x", "data show x")
        ],
        *[(verb, "train") for verb in ("data synth x", "data get esc50 x")],
        (f"serve {FIXTURES / 'tiny.onnx'}", "serve"),
    ],
)
def test_a_missing_extra_names_its_command(verb: str, extra: str, tmp_path: Path) -> None:
    code = f"{BLOCK}\nfrom soundfold.cli import main\nsys.exit(main(sys.argv[1:]))"
    done = run(code, *verb.split())
    assert done.returncode == 2
    assert re.search(rf'Install it with: pip install .*"\S*\[{extra}\]"', done.stderr)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        (None, 'pip install "soundfold[tune]"'),
        ({"url": "https://x.org/s.git", "vcs_info": {"vcs": "git"}}, '"soundfold[tune] @ git+https://x.org/s.git"'),
        ({"url": "file:///is/gone", "dir_info": {}}, 'pip install "soundfold[tune]"'),
        ("here", '[tune]"'),
    ],
)
def test_an_extra_comes_from_where_the_rest_came_from(
    origin: object, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Installed:
        def read_text(self, _: str) -> str | None:
            here = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}
            return None if origin is None else json.dumps(here if origin == "here" else origin)

    monkeypatch.setattr(importlib.metadata, "distribution", lambda _: Installed())
    with pytest.raises(MissingExtraError) as caught, needs_extra("tune", "This"):
        raise ModuleNotFoundError(name="optuna")
    assert str(caught.value).endswith(f'pip install --editable "{tmp_path}[tune]"' if origin == "here" else told)


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


def test_evaluate_needs_no_torch(request: pytest.FixtureRequest) -> None:
    pytest.importorskip("torch", reason="the run that is evaluated must be trained first")
    model, data = request.getfixturevalue("small_run"), request.getfixturevalue("small_data")
    code = f"""{blocked("torch", "lightning_fabric")}
import soundfold
print(soundfold.evaluate(sys.argv[1], sys.argv[2], fold=3).n)
"""
    done = run(code, str(model), str(data))
    assert (done.returncode, done.stdout) == (0, "12\n"), done.stderr


ROOT = Path(soundfold.__file__).parent


def modules() -> list[str]:
    """Every module by its file, so that nothing is imported to find it; all else is done within a test."""
    paths = sorted(path.relative_to(ROOT.parent).with_suffix("") for path in ROOT.rglob("*.py"))
    names = [".".join(path.parts).removesuffix(".__init__") for path in paths]
    return [name for name in names if name != "soundfold" and not name.endswith("__main__")]


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
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in ROOT.rglob("*.py")}
    assert {path: length for path, length in lengths.items() if length > 320} == {}


def test_public_names_are_listed_alike_everywhere() -> None:
    source = ast.parse(Path(soundfold.__file__).read_text("utf-8"))
    blocks = [node for node in source.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    homes = {
        alias.name: node.module
        for block in blocks
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert homes == soundfold._HOMES
    assert set(soundfold.__all__) == {*homes, "__version__"}
    assert dir(soundfold) == sorted(soundfold.__all__)
    assert set(homes) >= soundfold._NEED_TRAIN
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        soundfold.trian  # noqa: B018


@pytest.mark.parametrize("name", soundfold.__all__)
def test_public_name_is_there_or_names_its_extra(name: str) -> None:
    if name in soundfold._NEED_TRAIN and importlib.util.find_spec("torch") is None:
        with pytest.raises(soundfold.SoundfoldError, match=r'pip install .*\[train\]"'):
            getattr(soundfold, name)
    else:
        assert getattr(soundfold, name) is not None
