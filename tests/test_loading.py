"""Verbs load without collecting garbage, and leave the collector as they found it."""

import gc

import pytest

from soundfold.cli.loading import loading, thawing
from soundfold.errors import MissingExtraError


@pytest.mark.parametrize("collects", [True, False])
@pytest.mark.parametrize("module", ["json", "no_such_module"])
def test_nothing_is_collected_while_a_verb_loads(collects: bool, module: str) -> None:
    (gc.enable if collects else gc.disable)()
    frozen = gc.get_freeze_count()
    try:
        with thawing(), loading("train", "soundfold x"):
            assert not gc.isenabled()
            __import__(module)
    except MissingExtraError:
        assert module == "no_such_module"
    finally:
        found = gc.isenabled()
        gc.enable()
    assert found == collects
    assert gc.get_freeze_count() == frozen, "what a caller of ours leaves behind can still be collected"


def test_what_was_loaded_is_out_of_the_collectors_sight_while_the_verb_works() -> None:
    with thawing():
        with loading("train", "soundfold x"):
            import json  # noqa: F401
        assert gc.get_freeze_count() > 1_000


def test_what_a_caller_has_frozen_stays_frozen() -> None:
    gc.freeze()
    try:
        with thawing(), loading("train", "soundfold x"):
            pass
        assert gc.get_freeze_count() > 1_000
    finally:
        gc.unfreeze()
