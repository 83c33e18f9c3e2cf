"""What a folder's work was begun with, where the folder is a part of another's."""

import json
from pathlib import Path

import pytest

from soundfold.errors import PathError
from soundfold.jobs.begun import check_is_finished, data_of


def a_search(folder: Path) -> Path:
    for part in ("untuned", "untuned/fold1", "tuned/fold_1"):
        (folder / part).mkdir(parents=True)
        (folder / part / "metrics.json").write_text("{}")
    (folder / "run.json").write_text(json.dumps({"verb": "tune", "data": "/sounds", "where": {"a": "b"}}))
    (folder / "untuned" / "run.json").write_text(json.dumps({"verb": "cv", "data": "/sounds"}))
    return folder


def test_folds_and_tuned_folds_are_of_the_data_of_what_they_are_a_part_of(tmp_path: Path) -> None:
    search = a_search(tmp_path / "tuned")
    assert data_of(search / "tuned" / "fold_1") == {"data": "/sounds", "where": {"a": "b"}}
    assert data_of(search / "untuned" / "fold1") == {"data": "/sounds", "where": {}}
    assert data_of(tmp_path) == {}


def test_a_search_names_all_runs_in_it(tmp_path: Path) -> None:
    search = a_search(tmp_path / "s")
    with pytest.raises(PathError) as told:
        check_is_finished(search, "")
    assert str(told.value).endswith(f"Name a run in it: {search / 'tuned' / 'fold_1'}, {search / 'untuned'}")
