"""Checks of k8s/: what `kubectl apply -k` would send, against schemas, custom resources' types and our policy."""
