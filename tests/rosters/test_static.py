"""A static roster has the models it was given, once."""

from __future__ import annotations

import pytest

from crunch_game.errors import GameError
from crunch_game.models import Submission
from crunch_game.rosters import StaticRoster
from crunch_game.sources import ClassSource, FileSource, NameSource

pytestmark = pytest.mark.anyio


class Alice:
    pass


class Bob:
    pass


async def test_it_tells_once_who_is_in_the_game(tmp_path):
    (tmp_path / "carol.py").touch()
    dave = Submission("dave", Alice, deployment_id="7")

    told = [roster async for roster in StaticRoster([Bob, tmp_path / "carol.py", "mygame.examples:Zoe", dave]).follow()]

    assert [[(model_id, submission.source) for model_id, submission in roster.items()] for roster in told] == [
        [
            ("Bob", ClassSource(Bob)),
            ("carol", FileSource(tmp_path / "carol.py")),
            ("Zoe", NameSource("mygame.examples:Zoe")),
            ("dave", ClassSource(Alice)),
        ]
    ]
    assert told[0]["dave"] is dave


async def test_a_mapping_gives_the_ids(tmp_path):
    (tmp_path / "carol.py").touch()
    dave = Submission("dave", Alice, deployment_id="7", name="Dave")
    given = {"one": Alice, "two": Alice, "three": tmp_path / "carol.py", "four": dave}

    [roster] = [roster async for roster in StaticRoster(given).follow()]

    assert [(model_id, each.id, each.source) for model_id, each in roster.items()] == [
        ("one", "one", ClassSource(Alice)),
        ("two", "two", ClassSource(Alice)),
        ("three", "three", FileSource(tmp_path / "carol.py")),
        ("four", "four", ClassSource(Alice)),
    ]
    assert (roster["four"].deployment_id, roster["four"].name) == ("7", "Dave")
    assert roster["one"].deployment_id == roster["two"].deployment_id == await deployment(Alice)


@pytest.mark.parametrize(("model_id", "shown"), [(Alice, "the class Alice"), ("", "''"), (1, "1")])
def test_an_id_is_text(model_id, shown):
    with pytest.raises(GameError) as caught:
        StaticRoster({model_id: Bob})
    assert str(caught.value) == f"the id of a model is text, not {shown}: models={{'ada': Ada}}"


async def deployment(source) -> str:
    async for roster in StaticRoster([source]).follow():
        [submission] = roster.values()
    return submission.deployment_id


async def test_new_code_is_a_new_deployment(tmp_path):
    file, folder = tmp_path / "alice.py", tmp_path / "bob"
    folder.mkdir()
    for path in (file, folder / "main.py", folder / "utils.py"):
        path.write_text("x = 1")
    before = [await deployment(file), await deployment(str(file)), await deployment(folder)]
    assert before == [await deployment(file), await deployment(str(file)), await deployment(folder)]
    assert before[0] == before[1] != before[2]
    file.write_text("x = 2")
    (folder / "utils.py").write_text("x = 2")
    assert await deployment(file) != before[0]
    assert await deployment(folder) != before[2]


async def test_a_class_is_as_new_as_its_source():
    assert await deployment(Alice) == await deployment(Alice) != await deployment(Bob)


async def test_where_the_contents_cannot_be_had_the_deployment_is_the_first():
    made = type("Made", (), {"__module__": "nowhere"})
    assert [await deployment(each) for each in (made, "nothing.at:all", "sys:path")] == ["1", "1", "1"]


async def test_nobody_is_a_roster_too():
    assert [roster async for roster in StaticRoster([]).follow()] == [{}]


async def test_two_models_with_one_id_are_refused(anyio_backend):
    with pytest.raises(GameError) as caught:
        StaticRoster([Alice, Submission("Alice", Bob)])
    assert str(caught.value) == ("two models have the id 'Alice'; tell them apart with Submission(id=..., source=...)")


async def test_any_host_will_do():
    assert StaticRoster([Alice]).host() is None
