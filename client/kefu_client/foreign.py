"""Messages of other people that we meet on the wire: google.rpc error details and grpc.health.v1.

Their Python packages (googleapis-common-protos, grpcio-health-checking) would each be one more dependency of every
caller, for a handful of fields. So the few fields that we read are described here, in a descriptor pool of their own: a
program that has those packages installed as well keeps its own classes in the default pool, and nothing collides.
Fields that are not described here are skipped by protobuf, as unknown fields always are.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, message_factory

_Field = descriptor_pb2.FieldDescriptorProto


def _message(name: str, *fields: _Field) -> descriptor_pb2.DescriptorProto:
    return descriptor_pb2.DescriptorProto(name=name, field=fields)


def _field(number: int, name: str, kind: Any, *, of: str = "", repeated: bool = False) -> _Field:
    label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    return _Field(name=name, number=number, type=kind, type_name=of or None, label=label)


def _rpc_file() -> descriptor_pb2.FileDescriptorProto:
    entry = _message(
        "MetadataEntry",
        _field(1, "key", _Field.TYPE_STRING),
        _field(2, "value", _Field.TYPE_STRING),
    )
    entry.options.map_entry = True
    info = _message(
        "ErrorInfo",
        _field(1, "reason", _Field.TYPE_STRING),
        _field(2, "domain", _Field.TYPE_STRING),
        _field(
            3,
            "metadata",
            _Field.TYPE_MESSAGE,
            of=".google.rpc.ErrorInfo.MetadataEntry",
            repeated=True,
        ),
    )
    info.nested_type.append(entry)
    bad = _message(
        "BadRequest",
        _field(
            1,
            "field_violations",
            _Field.TYPE_MESSAGE,
            of=".google.rpc.BadRequest.FieldViolation",
            repeated=True,
        ),
    )
    bad.nested_type.append(
        _message(
            "FieldViolation",
            _field(1, "field", _Field.TYPE_STRING),
            _field(2, "description", _Field.TYPE_STRING),
        )
    )
    return descriptor_pb2.FileDescriptorProto(
        name="kefu_client/google_rpc.proto",
        package="google.rpc",
        syntax="proto3",
        dependency=["google/protobuf/any.proto", "google/protobuf/duration.proto"],
        message_type=[
            _message(
                "Status",
                _field(1, "code", _Field.TYPE_INT32),
                _field(2, "message", _Field.TYPE_STRING),
                _field(3, "details", _Field.TYPE_MESSAGE, of=".google.protobuf.Any", repeated=True),
            ),
            info,
            bad,
            _message(
                "RetryInfo",
                _field(1, "retry_delay", _Field.TYPE_MESSAGE, of=".google.protobuf.Duration"),
            ),
        ],
    )


def _health_file() -> descriptor_pb2.FileDescriptorProto:
    # `status` is an enum on the wire, which is a varint like any int32: `Health` gives the numbers their names.
    return descriptor_pb2.FileDescriptorProto(
        name="kefu_client/grpc_health.proto",
        package="grpc.health.v1",
        syntax="proto3",
        message_type=[
            _message("HealthCheckRequest", _field(1, "service", _Field.TYPE_STRING)),
            _message("HealthCheckResponse", _field(1, "status", _Field.TYPE_INT32)),
        ],
    )


def _build() -> Any:
    # Any: protobuf's type stubs leave the pool's methods untyped.
    pool: Any = descriptor_pool.DescriptorPool()
    for known in (any_pb2, duration_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    for ours in (_rpc_file(), _health_file()):
        pool.AddSerializedFile(ours.SerializeToString())
    return pool


_POOL = _build()


def _class(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(name))


Status = _class("google.rpc.Status")
ErrorInfo = _class("google.rpc.ErrorInfo")
BadRequest = _class("google.rpc.BadRequest")
RetryInfo = _class("google.rpc.RetryInfo")
HealthCheckRequest = _class("grpc.health.v1.HealthCheckRequest")
HealthCheckResponse = _class("grpc.health.v1.HealthCheckResponse")
