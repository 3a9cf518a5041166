"""The picture pipeline, measured: `__main__` is the command, each part a module with a `run`, and the rest draws
screens, lookalikes and faults whose truth is known; the tests draw with other seeds."""
