"""Ends an answer at the first of some texts, in a stream: no part of a stop text is ever let through."""

from collections.abc import Sequence


class StopTexts:
    """Takes an answer's pieces, gives what may be shown. `met` is True once a stop text was written."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = tuple(texts)
        self._held = ""
        self.met = False

    def feed(self, piece: str) -> str:
        """What may be shown now; the beginning of what could become a stop text is held back."""
        written = self._held + piece
        found = [position for text in self._texts if (position := written.find(text)) >= 0]
        if found:
            self.met, self._held = True, ""
            return written[: min(found)]
        cut = len(written) - self._overlap(written)
        self._held = written[cut:]
        return written[:cut]

    def flush(self) -> str:
        """What was held back, when the answer has ended without it."""
        held, self._held = self._held, ""
        return held

    def _overlap(self, written: str) -> int:
        """The longest end of `written` that a stop text begins with."""
        longest = max((len(text) for text in self._texts), default=0)
        for size in range(min(longest - 1, len(written)), 0, -1):
            if any(text.startswith(written[-size:]) for text in self._texts):
                return size
        return 0
