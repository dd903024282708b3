"""The protobuf messages of a model node.

They are built at run time, because generated code works with one major version of protobuf only, and we admit 5 to 7.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, empty_pb2, message_factory

SERVICE: Final = "dynamic_subclass.DynamicSubclassService"
SETUP: Final = f"/{SERVICE}/Setup"
"""SetupRequest → SetupResponse"""
CALL: Final = f"/{SERVICE}/Call"
"""CallRequest → CallResponse"""
REST: Final = f"/{SERVICE}/Rest"
"""Empty → RestResponse"""

MAX_MESSAGE: Final = 64 * 1024 * 1024
"""Bytes of one message, in either direction."""

CREATED: Final = "Instance created successfully"
"""The message of a Setup that made an instance."""
EXISTS: Final = "Instance already exists"
"""The message of a Setup that found an instance: the only sign that this one still has its history."""

UNSENT: Final = "the answer cannot be sent: "
"""How the message of one of our nodes begins when the model's answer cannot be encoded."""


class VariantType(IntEnum):
    """The encoding of a Variant's bytes."""

    NONE = 0
    DOUBLE = 1
    INT = 2
    STRING = 3
    PARQUET = 4
    ARROW = 5
    JSON = 6


class ReplyCode(StrEnum):
    """The codes of a Status."""

    SUCCESS = "SUCCESS"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    BAD_IMPLEMENTATION = "BAD_IMPLEMENTATION"
    SETUP_FAILED = "SETUP_FAILED"
    MODEL_FAILED = "MODEL_FAILED"
    UNKNOWN = "UNKNOWN"


_Field = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "bytes": _Field.TYPE_BYTES,
    "string": _Field.TYPE_STRING,
    "uint32": _Field.TYPE_UINT32,
    "commons.VariantType": _Field.TYPE_ENUM,
}

_MESSAGES = {
    "commons": {
        "Variant": "commons.VariantType type = 2; bytes value = 3",
        "Argument": "uint32 position = 1; commons.Variant data = 2",
        "KwArgument": "string keyword = 1; commons.Variant data = 2",
        "Status": "string code = 1; string message = 2",
    },
    "dynamic_subclass": {
        "SetupRequest": "string className = 1; commons.Argument* instanceArguments = 2;"
        "commons.KwArgument* instanceKwArguments = 3",
        "SetupResponse": "commons.Status status = 1",
        "CallRequest": "string methodName = 1; commons.Argument* methodArguments = 2;"
        "commons.KwArgument* methodKwArguments = 3",
        "CallResponse": "commons.Status status = 1; commons.Variant methodResponse = 2",
        "RestResponse": "commons.Status status = 1",
    },
}
"""By package and message, the fields as in a .proto file: type, name and number. A star means `repeated`."""


def _file(package: str) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    if package == "commons":
        kinds = file.enum_type.add(name="VariantType")
        for variant in VariantType:
            kinds.value.add(name=variant.name, number=variant.value)
    else:
        file.dependency.append("commons.proto")
    for message, fields in _MESSAGES[package].items():
        message_type = file.message_type.add(name=message)
        for field in fields.split(";"):
            kind, name, _, number = field.split()
            label = _Field.LABEL_REPEATED if kind.endswith("*") else _Field.LABEL_OPTIONAL
            kind = kind.rstrip("*")
            type_ = _TYPES.get(kind, _Field.TYPE_MESSAGE)
            added = message_type.field.add(name=name, number=int(number), label=label, type=type_)
            if "." in kind:
                added.type_name = f".{kind}"
    return file


# Not the default pool: CrunchDAO's generated code, if imported beside this, registers the same names there.
_pool = descriptor_pool.DescriptorPool()
for _package in _MESSAGES:
    _pool.AddSerializedFile(_file(_package).SerializeToString())


def _class(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(name))


Variant: Any = _class("commons.Variant")
Argument: Any = _class("commons.Argument")
KwArgument: Any = _class("commons.KwArgument")
Status: Any = _class("commons.Status")
SetupRequest: Any = _class("dynamic_subclass.SetupRequest")
SetupResponse: Any = _class("dynamic_subclass.SetupResponse")
CallRequest: Any = _class("dynamic_subclass.CallRequest")
CallResponse: Any = _class("dynamic_subclass.CallResponse")
RestResponse: Any = _class("dynamic_subclass.RestResponse")
Empty: Any = empty_pb2.Empty
