"""rich, for words of strangers: no markup in them, and no control characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console as RichConsole
from rich.segment import Segment

from compress.core.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from rich.console import ConsoleOptions, RenderableType
    from rich.text import Text


class VisibleConsole(RichConsole):
    """A rich console whose output holds no control characters but its own.

    Strings are one line each and never markup; line ends stay where a renderable has made them.
    """

    def __init__(self, stream: TextIO) -> None:
        # Where there is no terminal (a CI log, a pipe) rich assumes 80 columns: give tables more room.
        width = None if stream.isatty() else 120
        super().__init__(file=stream, width=width, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Make a string a text, its control characters shown."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render, with control characters shown in whatever is not rich's own control of the terminal."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text, keep="\n"), segment.style)
