"""The protobuf messages of a model node, built at run time: protobuf 5, 6 and 7 all read one description."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, empty_pb2, message_factory

__all__ = [
    "CALL",
    "CREATED",
    "EXISTS",
    "MAX_MESSAGE",
    "REST",
    "SERVICE",
    "SETUP",
    "UNSENT",
    "Argument",
    "CallRequest",
    "CallResponse",
    "Code",
    "Empty",
    "KwArgument",
    "RestResponse",
    "SetupRequest",
    "SetupResponse",
    "Status",
    "Variant",
    "VariantType",
]

SERVICE: Final = "dynamic_subclass.DynamicSubclassService"
SETUP: Final = f"/{SERVICE}/Setup"
"""SetupRequest → SetupResponse"""
CALL: Final = f"/{SERVICE}/Call"
"""CallRequest → CallResponse"""
REST: Final = f"/{SERVICE}/Rest"
"""Empty → RestResponse"""

MAX_MESSAGE: Final = 64 * 1024 * 1024
"""Bytes that one message may have, either way."""

CREATED: Final = "Instance created successfully"
"""What a Setup says that made a fresh instance."""
EXISTS: Final = "Instance already exists"
"""What a Setup says that found one: the only sign that its history is still in it."""

UNSENT: Final = "the answer cannot be sent: "
"""How a node of ours begins when a model answered what has no form on the wire."""


class VariantType(IntEnum):
    """How a Variant's bytes are to be read."""

    NONE = 0
    DOUBLE = 1
    INT = 2
    STRING = 3
    PARQUET = 4
    ARROW = 5
    JSON = 6


class Code(StrEnum):
    """The codes of a Status."""

    SUCCESS = "SUCCESS"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    BAD_IMPLEMENTATION = "BAD_IMPLEMENTATION"
    SETUP_FAILED = "SETUP_FAILED"
    MODEL_FAILED = "MODEL_FAILED"
    UNKNOWN = "UNKNOWN"


_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bytes": _Field.TYPE_BYTES,
    "string": _Field.TYPE_STRING,
    "uint32": _Field.TYPE_UINT32,
}

_MESSAGES = {
    "commons": {
        "Variant": "VariantType type = 2; bytes value = 3",
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
"""The fields by package and message: type, name and number as in a .proto file; a star is `repeated`."""


def _described(package: str) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    if package == "commons":
        kinds = file.enum_type.add(name="VariantType")
        for variant in VariantType:
            kinds.value.add(name=variant.name, number=variant.value)
    else:
        file.dependency.append("commons.proto")
    for message, fields in _MESSAGES[package].items():
        described = file.message_type.add(name=message)
        for field in fields.split(";"):
            kind, name, _, number = field.split()
            label = _Field.LABEL_REPEATED if kind.endswith("*") else _Field.LABEL_OPTIONAL
            added = described.field.add(name=name, number=int(number), label=label)
            kind = kind.rstrip("*")
            if kind in _SCALARS:
                added.type = _SCALARS[kind]
            else:
                added.type = _Field.TYPE_ENUM if kind == "VariantType" else _Field.TYPE_MESSAGE
                added.type_name = ".commons.VariantType" if kind == "VariantType" else f".{kind}"
    return file


# A pool of their own: the generated code of the peers, imported beside this, fills the default one.
_pool = descriptor_pool.DescriptorPool()
for _package in _MESSAGES:
    _pool.AddSerializedFile(_described(_package).SerializeToString())


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
