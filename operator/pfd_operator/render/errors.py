"""What cannot be drawn, in the user's words."""

from __future__ import annotations


class RenderError(ValueError):
    """A stage that no manifest can express; the message names the field and what to do."""
