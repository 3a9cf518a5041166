"""Who calls: API keys, tokens, certificates; TLS; files that may change while the gateway runs."""
