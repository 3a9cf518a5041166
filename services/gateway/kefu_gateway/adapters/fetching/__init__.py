"""Pictures by URL: off until an operator names hosts, and closed to everything else then.

| room | what it decides |
| --- | --- |
| urls.py | which URLs may be asked for at all: https, allowed host and port, no IP address in any spelling |
| addresses.py | which addresses a name may have |
| resolver.py | asks the system's resolver, once a hop |
| pinned.py | the only way to a socket: one of the addresses that were checked, TLS verified against the name |
| content.py | which types are accepted, and what the first bytes say |
| outcomes.py | how a fetch can end, what the caller is told and what is counted |
| fetcher.py | puts it together, hop by hop, within limits of time and bytes |
"""
