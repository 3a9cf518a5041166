"""What makes a picture hard to read: `examine` names each fault with a number and an advice."""

from kefu_preprocess.domain.quality.examine import Quality, examine

__all__ = ["Quality", "examine"]
