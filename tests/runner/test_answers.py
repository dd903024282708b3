"""Answers: what a model says is checked before anyone believes it, and garbage is the end of its speaker alone."""

from __future__ import annotations

import anyio
import pandas
import pytest

from crunch_game import Contract, GameError, Policy, ProcessHost, Status
from crunch_game.encoding import NO_TABLE
from crunch_game.events import ModelReady

pytestmark = pytest.mark.anyio

ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])
"""Who reads tables is a process with pandas in it, which takes a second to start, and knows no event loop."""

TABLES = Contract("arena.Base", returns={"predict": pandas.DataFrame | None})
HOSTS = pytest.mark.parametrize("host", ["process", "inline"])
FIND_CHANNEL = """
import socket, stat, struct

def channel():
    for descriptor in range(3, 1024):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                return descriptor
        except OSError:
            pass
"""


@pytest.mark.parametrize(
    "garbage",
    [
        "b'not a frame at all, but long enough to be one'",
        "struct.pack('<I', 1 << 31)",
        "struct.pack('<I', 5) + bytes(5)",
        "struct.pack('<I', 5) + b'\\x94\\x04\\x01\\xc0\\xc0'",  # an answer to a call that it was not asked
        "struct.pack('<I', 100_000)",  # and the rest never comes: then its own answer is that rest
    ],
)
async def test_garbage_on_its_channel_ends_the_model_and_touches_nobody_else(submit, running, log, garbage):
    liar = f"def predict(self, number):\n    os.write(channel(), {garbage})\n    time.sleep(0.2)\n    return number\n"
    models = [submit("honest"), submit("liar", liar, above=FIND_CHANNEL)]
    policy = Policy(timeout=1.5 if "100_000" in garbage else 10, max_consecutive_failures=0)
    async with running(models, policy=policy) as runner:
        asked = await runner.predict(1)
        assert (asked["honest"].status, asked["honest"].value) == (Status.OK, 1)
        if "100_000" in garbage:
            assert asked["liar"].status is Status.TIMEOUT
        else:
            assert asked["liar"].status is Status.DIED
            assert asked["liar"].error.kind == "protocol"
            assert asked["liar"].error.message.startswith("its process was ended during predict: ")
            await log.until(ModelReady, "liar", 2)
        asked = await runner.predict(2)
        assert asked["honest"].value == 2


async def test_a_model_that_closes_its_channel_is_ended(submit, running, log, processes):
    closes = "def predict(self, number):\n    os.close(channel())\n    time.sleep(600)\n"
    async with running([submit("closes", closes, above=FIND_CHANNEL)]) as runner:
        assert (await runner.predict(1))["closes"].status is Status.DIED
        await log.until(ModelReady, count=2)
        assert len(processes()) == 2


async def test_a_game_says_how_large_an_answer_may_be(submit, running):
    large = submit("large", "def predict(self, number):\n    return b'x' * number\n")
    for limit, sent, status in ((5000, 4000, Status.OK), (5000, 6000, Status.INVALID), (6 << 20, 5 << 20, Status.OK)):
        async with running([large], host=ProcessHost(answer_limit=limit)) as runner:
            assert (await runner.predict(sent))["large"].status is status


async def test_who_sends_more_than_an_answer_may_have_past_its_own_check_is_told_the_same(submit, running):
    unchecked = """
        from crunch_game.hosts.process import _framing as framing

        into = framing.frame_into
        framing.frame_into = lambda buffer, kind, call, value, most=None: into(buffer, kind, call, value)
    """
    large = submit("large", "def predict(self, number):\n    return b'x' * number\n", above=unchecked)
    async with running([large], host=ProcessHost(answer_limit=5000)) as runner:
        fitting, larger = (await runner.predict(4000))["large"], (await runner.predict(6000))["large"]
        assert fitting.status is Status.OK
        assert larger.status is Status.INVALID
        assert larger.error.message == (
            "the answer cannot be sent: it takes 0.00572 MiB; at most 0.00477 MiB can be sent"
        )


async def test_why_an_answer_cannot_be_read_is_told_in_a_length_that_can_be_shown(submit, running):
    forges = """
        def predict(self, number):
            import json
            import msgspec
            import pyarrow
            index = json.dumps({"index_columns": ["x" * number], "columns": [], "column_indexes": []})
            schema = pyarrow.schema([("a", pyarrow.int64())], {"pandas": index})
            sink = pyarrow.BufferOutputStream()
            with pyarrow.ipc.new_stream(sink, schema) as writer:
                writer.write_table(schema.empty_table())
            return msgspec.msgpack.Ext(2, bytes(sink.getvalue()))
    """
    async with running([submit("forges", forges)], base=TABLES) as runner:
        asked = (await runner.predict(50_000))["forges"]
    assert asked.status is Status.INVALID
    assert asked.error.message.startswith("the answer cannot be read: a table could not be read: 'xxx")
    assert len(asked.error.message) < 10_000


FRAME = "def predict(self, number):\n    return pandas.DataFrame({'x': [number]})\n"
NONE = "def predict(self, number):\n    return None\n"
LISTED = "def predict(self, number):\n    return [pandas.DataFrame({'x': [number]})]\n"


@HOSTS
@ON_ASYNCIO
async def test_tables_are_answers_where_the_contract_promises_them(submit, running, host):
    models = [submit(name, text, above="import pandas") for name, text in (("frame", FRAME), ("none", NONE))]
    async with running([*models, submit("listed", LISTED, above="import pandas")], TABLES, host) as runner:
        played = await runner.predict(7)

    assert played["frame"].value.to_dict("list") == {"x": [7]}
    assert (played["none"].status, played["none"].value) == (Status.OK, None)
    assert played["listed"].status is Status.INVALID


@HOSTS
@ON_ASYNCIO
async def test_elsewhere_a_table_is_refused_with_what_to_return_instead(submit, running, host):
    models = [submit(name, text, above="import pandas") for name, text in (("frame", FRAME), ("listed", LISTED))]
    async with running(models, host=host) as runner:
        played = await runner.predict(7)

    assert {outcome.status for outcome in played.values()} == {Status.INVALID}
    assert {outcome.error.message for outcome in played.values()} == {f"the answer cannot be read: {NO_TABLE}"}


@ON_ASYNCIO
async def test_a_table_that_is_too_large_to_read_hurts_no_other(submit, running):
    bomb = """
        def predict(self, number):
            sink = pyarrow.BufferOutputStream()
            options = pyarrow.ipc.IpcWriteOptions(compression="zstd")
            table = pyarrow.table({"x": numpy.zeros(1 << number)})
            with pyarrow.ipc.new_stream(sink, table.schema, options=options) as writer:
                writer.write_table(table)
            return msgspec.msgpack.Ext(2, bytes(sink.getvalue()))
    """
    models = [
        submit("bomb", bomb, above="import msgspec, numpy, pyarrow"),
        submit("frame", FRAME, above="import pandas"),
    ]
    async with running(models, TABLES) as runner:
        played = await runner.predict(26)

    assert played["frame"].value.to_dict("list") == {"x": [26]}
    assert played["bomb"].error.message.startswith("the answer cannot be read: a table could not be read: it ")
    assert played["bomb"].error.message.endswith(" takes more than 256 MiB of memory")


@ON_ASYNCIO
async def test_who_answered_with_a_table_that_nobody_waits_for_is_free_again(submit, running, processes):
    async with running([submit("frame", FRAME, above="import pandas")], TABLES) as runner:
        with anyio.move_on_after(0.2):  # the process that reads tables takes longer to start
            await runner.predict(1)
        assert (await runner.predict(2))["frame"].value.to_dict("list") == {"x": [2]}
    assert not processes()


@ON_ASYNCIO
async def test_a_runner_that_is_left_while_a_table_is_read_leaves_nothing(submit, running, processes):
    async with running([submit("frame", FRAME, above="import pandas")], TABLES) as runner:
        with anyio.move_on_after(0.2):
            await runner.predict(1)
    assert not processes()


@pytest.mark.parametrize("limit", [0, -1, (64 << 20) + 1])
def test_a_limit_that_no_answer_or_any_fits_is_refused(limit):
    with pytest.raises(GameError, match="must be bytes, more than 0 and at most 67108864"):
        ProcessHost(answer_limit=limit)


async def test_who_holds_every_descriptor_is_told_why_large_arguments_cannot_reach_it(submit, running):
    hoards = """
        def tick(self, data=None):
            self.files = [] if data is None else self.files
            try:
                while data is None:
                    self.files.append(open("/dev/null"))
            except OSError:
                pass

        def predict(self, number):
            return number
    """
    async with running([submit("hoards", hoards), submit("good")]) as runner:
        await runner.tick()
        large = await runner.tick([0.5] * 10_000)
        small = await runner.predict(1)
    assert large["hoards"].status is Status.RAISED
    assert large["hoards"].error.message == (
        "OSError: [Errno 24] the arguments came as a file, and there are too many open files already "
        "(the sandbox lets a model have 512 open files (Sandbox(descriptors=...)))"
    )
    assert large["good"].status is small["hoards"].status is Status.OK


async def test_an_answer_over_the_frame_cap_is_invalid(submit, running):
    huge = submit("huge", "def predict(self, number):\n    return b'x' * (65 << 20) if number else 'small'\n")
    async with running([huge], policy=Policy(timeout=30)) as runner:
        asked = (await runner.predict(1))["huge"]
        assert asked.status is Status.INVALID
        assert asked.error.message == "the answer cannot be sent: it takes 65 MiB; at most 1 MiB can be sent"
        assert (await runner.predict(0))["huge"].value == "small"


@HOSTS
@pytest.mark.parametrize("value", ["float('nan')", "[1.0, float('inf')]", "{'a': [float('-inf')]}"])
async def test_nan_and_infinity_are_refused(submit, running, host, value):
    async with running([submit("a", f"def predict(self, number):\n    return {value}\n")], host=host) as runner:
        asked = (await runner.predict(1))["a"]
        assert asked.status is Status.INVALID
        assert asked.value is None
        assert asked.error.message.endswith("; NaN and infinity are not allowed")
        assert runner.models["a"].health.strikes["predict"].failures == 1


@HOSTS
async def test_an_answer_of_another_type_is_invalid_and_an_int_is_a_float(submit, running, host):
    methods = "def measure(self, number=0):\n    return 'much' if number else 7\ndef predict(self, number): pass\n"
    async with running([submit("a", methods)], host=host) as runner:
        asked = (await runner.call("measure", 1))["a"]
        assert asked.status is Status.INVALID
        assert asked.error.message.startswith("the answer does not fit measure's contract: ")
        value = (await runner.call("measure", 0))["a"].value
        assert (value, type(value)) == (7.0, float)


@HOSTS
@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("object()", "a object cannot be sent; use numbers, str, list or dict instead"),
        ("open", "a builtin_function_or_method cannot be sent; use numbers, str, list or dict instead"),
        ("1 << 70", "it holds an integer of more than 64 bits; use a float or a str instead"),
        ("self", "a Tracker cannot be sent; use numbers, str, list or dict instead"),
    ],
)
async def test_what_cannot_be_sent_is_invalid_and_says_what_to_return_instead(submit, running, host, value, sentence):
    async with running([submit("a", f"def predict(self, number):\n    return {value}\n")], host=host) as runner:
        asked = (await runner.predict(1))["a"]
        assert asked.status is Status.INVALID
        assert asked.error.message.removeprefix("the answer cannot be sent: ") == sentence


@HOSTS
async def test_a_message_that_no_wire_carries_is_told_all_the_same(submit, running, host):
    raises = "def predict(self, number):\n    raise ValueError('a name \\udc80 of a file')\n"
    async with running([submit("a", raises)], host=host) as runner:
        asked = (await runner.predict(1))["a"]
        assert asked.status is Status.RAISED
        assert asked.error.message == "ValueError: a name \\udc80 of a file"
