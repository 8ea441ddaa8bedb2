"""The page on which several models reply to the same prompt."""

from app.widgets.side_by_side.page import SideBySidePage

__all__ = ["SideBySidePage"]
