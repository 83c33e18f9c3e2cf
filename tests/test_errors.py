"""The exception tree, and the two helpers that every message uses."""

import re

import pytest

import soundfold.errors as errors

pytestmark = pytest.mark.runtime


def test_docstring_draws_the_whole_tree() -> None:
    drawn = set(re.findall(r"[A-Z]\w+Error", errors.__doc__ or ""))
    classes = {
        name for name, kind in vars(errors).items() if isinstance(kind, type) and kind.__module__ == errors.__name__
    }
    assert drawn == classes


def test_every_error_is_a_soundfold_error() -> None:
    kinds = [kind for name, kind in vars(errors).items() if name.endswith("Error") and isinstance(kind, type)]
    assert kinds
    assert all(issubclass(kind, errors.SoundfoldError) for kind in kinds)


def test_missing_package_names_its_install_command() -> None:
    with (
        pytest.raises(errors.MissingExtraError, match=r'Training needs .*nowhere_to_be.*pip install .*\[train\]"'),
        errors.needs_extra("train", "Training"),
    ):
        import nowhere_to_be  # noqa: F401


def test_own_missing_module_is_our_fault_and_stays_as_it_is() -> None:
    with pytest.raises(ModuleNotFoundError), errors.needs_extra("train", "Training"):
        import soundfold.nowhere  # noqa: F401


def test_a_missing_part_of_a_package_names_the_package() -> None:
    part = ModuleNotFoundError("No module named 'optuna.trial'", name="optuna.trial")
    with (
        pytest.raises(errors.MissingExtraError, match="needs the package 'optuna', which"),
        errors.needs_extra("a", "b"),
    ):
        raise part
