"""Tiny checkpoints of the hosted architectures: real layout, real special tokens, random weights; made in seconds."""
