"""Between protobuf and the domain: translation only, used by servicers and adapters alike."""
