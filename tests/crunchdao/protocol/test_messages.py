"""The messages are those of the peers' generated code, byte by byte."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pool

from crunch_game.crunchdao.protocol import Argument, CallRequest, CallResponse, KwArgument, SetupRequest
from crunch_game.crunchdao.protocol import _messages as messages
from crunch_game.crunchdao.protocol._messages import Variant


def test_a_call_is_the_bytes_that_a_node_of_the_peers_reads():
    one = Variant(type=messages.VariantType.JSON, value=b"1")
    call = CallRequest(
        methodName="x",
        methodArguments=[Argument(position=1, data=one)],
        methodKwArguments=[KwArgument(keyword="k", data=one)],
    )

    assert (
        call.SerializeToString()
        == b"\n\x01x\x12\t\x08\x01\x12\x05\x10\x06\x1a\x011\x1a\n\n\x01k\x12\x05\x10\x06\x1a\x011"
    )


def test_a_setup_is_the_bytes_that_a_node_of_the_peers_reads():
    setup = SetupRequest(className="a.B", instanceArguments=[Argument(position=1)], instanceKwArguments=[KwArgument()])

    assert setup.SerializeToString() == b"\n\x03a.B\x12\x02\x08\x01\x1a\x00"


@pytest.mark.parametrize("name", ["SetupResponse", "CallResponse", "RestResponse"])
def test_an_answer_begins_with_its_status(name):
    answer = getattr(messages, name).FromString(b"\n\x0b\n\x07SUCCESS\x12\x00")

    assert (answer.status.code, answer.status.message) == (messages.ReplyCode.SUCCESS, "")


def test_no_answer_is_an_answer_of_none():
    answer = CallResponse.FromString(b"")

    assert not answer.HasField("methodResponse")
    assert answer.methodResponse.type == messages.VariantType.NONE


def test_later_parts_of_a_call_are_added_to_the_earlier():
    """What lets one encoded call be completed for one model: repeated fields are joined."""
    call = CallRequest(methodName="x", methodKwArguments=[KwArgument(keyword="a")]).SerializeToString()
    further = CallRequest(methodKwArguments=[KwArgument(keyword="b")]).SerializeToString()

    joined = CallRequest.FromString(call + further)

    assert joined.methodName == "x"
    assert [argument.keyword for argument in joined.methodKwArguments] == ["a", "b"]


def test_a_type_that_is_new_to_us_is_kept_as_its_number():
    assert Variant.FromString(b"\x10\x63").type == 99


def test_the_default_pool_is_left_to_the_generated_code_of_the_peers():
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindFileByName("dynamic_subclass.proto")
