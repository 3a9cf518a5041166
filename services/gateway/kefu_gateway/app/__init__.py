"""Puts the gateway together. Nothing else constructs anything: read `gateway.py` after `domain/road.py`.

| room | what it builds |
| --- | --- |
| gateway.py | the whole, in the order in which it opens and closes |
| road.py | the stages and the conversations |
| stores.py | sessions, pictures, uploads |
| checks.py | what health asks of each dependency |
| server.py | the gRPC server and its services |
| identity.py | who may call: TLS, keys, tokens, certificates, tenants |
| upstream.py | the channel to Triton |
"""

from kefu_gateway.app.gateway import Gateway
from kefu_gateway.app.stores import Stores

__all__ = ["Gateway", "Stores"]
