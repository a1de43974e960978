"""What the pages call states: a word and a glyph for each."""

from collections.abc import Mapping

WORDS: Mapping[str, str] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "timed_out": "timed out",
    "lost": "lost",
    "cancelled": "cancelled",
    "skipped": "skipped",
    "missed": "missed",
    "running": "running",
    "queued": "queued",
    "coming": "coming",
    "excluded": "excluded",
}
GLYPHS: Mapping[str, str] = {
    "succeeded": "✓", "failed": "✗", "timed_out": "⏱", "lost": "?", "cancelled": "⊘", "skipped": "↷", "missed": "○",
    "running": "▶", "queued": "…", "coming": "◇", "broken": "!", "paused": "⏸", "disabled": "-", "done": "■",
    "ready": "·", "excluded": "∅",
}  # fmt: skip
