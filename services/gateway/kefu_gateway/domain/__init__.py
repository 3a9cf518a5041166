"""What the gateway does, without the wire: no grpc, no protobuf, no Triton, no Prometheus in here."""
