"""A submission is made of whatever tells where its code is; a model shows who plays."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import pytest

from crunch_game.models import Model, Submission
from crunch_game.policy import State
from crunch_game.sources import ClassSource, FileSource, FolderSource, NameSource, NodeSource


class Alice:
    pass


def test_a_class_is_named_by_its_name():
    assert Submission.of(Alice) == Submission("Alice", Alice, "1", "", {})


def test_a_file_is_named_by_its_stem_and_a_folder_by_its_name(tmp_path):
    (tmp_path / "alice.v2.py").touch()
    (tmp_path / "bob.v2").mkdir()

    file, folder = Submission.of(tmp_path / "alice.v2.py"), Submission.of(str(tmp_path / "bob.v2"))

    assert (file.id, file.source) == ("alice.v2", FileSource(tmp_path / "alice.v2.py"))
    assert (folder.id, folder.source) == ("bob.v2", FolderSource(tmp_path / "bob.v2"))


def test_this_very_folder_is_named_like_any_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert Submission.of(".").id == tmp_path.name


def test_a_reference_is_named_by_its_attribute():
    assert Submission.of("mygame.examples:Steady") == Submission("Steady", "mygame.examples:Steady")


def test_a_path_with_a_colon_is_a_path_where_it_exists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("12:30.py").touch()

    assert Submission.of("12:30.py").id == "12:30"


def test_what_is_not_there_is_a_path_without_a_colon(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert Submission.of("models").source == FileSource(Path("models"))


def test_a_node_is_named_by_its_port():
    assert Submission.of("10.0.0.3:50051") == Submission("50051", NodeSource("10.0.0.3", 50051))


def test_a_source_is_understood_however_a_submission_is_made(tmp_path):
    assert Submission("alice", Alice).source == ClassSource(Alice)
    assert Submission("alice", str(tmp_path)).source == FolderSource(tmp_path)
    moved = dataclasses.replace(Submission("alice", tmp_path), source="mygame:Alice")
    assert moved.source == NameSource("mygame:Alice")
    assert dataclasses.replace(moved, deployment_id="7").source is moved.source


@pytest.mark.parametrize("source", [Alice, Path("alice.py"), Path("/"), "mygame:Alice", "10.0.0.3:50051"])
def test_a_submission_travels(source):
    submission = Submission("alice", source, info={"team": 3})

    assert pickle.loads(pickle.dumps(submission)) == submission


def test_a_submission_is_itself():
    submission = Submission("alice", Alice, deployment_id="7")

    assert Submission.of(submission) is submission


def test_a_submission_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Submission("alice", Alice).id = "bob"


def test_a_model_shows_who_plays():
    model = Model(Submission("alice", Alice, "7", "Alice's best", {"team": 3}), now=12.0)

    assert (model.id, model.name, model.deployment_id, model.info) == ("alice", "Alice's best", "7", {"team": 3})
    assert model.state is State.JOINING
    assert model.health.since == 12.0
    assert repr(model) == "<Model alice (7): joining>"


def test_a_model_without_a_name_is_called_by_its_id():
    assert Model(Submission("alice", Alice), now=0.0).name == "alice"
