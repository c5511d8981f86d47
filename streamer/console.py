"""Consoles for people: words from outside are printed as they are; it knows nobody who prints."""

from rich.console import Console

__all__ = ["make_console"]


def make_console(*, stderr: bool = False) -> Console:
    """No markup, emoji codes or highlights are read into a text, and a long line is left to the terminal."""
    return Console(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)
