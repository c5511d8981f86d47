"""What can go wrong with a language model, in words for the person who chose it.

LanguageModelError
├── ModelLoadError       the checkpoint cannot be found, read or used
├── PromptError          a question that cannot be put to the model
├── BudgetError          the hour's calls or tokens are used up
├── RemoteError          a remote model gave no answer, or not the whole of it
└── NoNoteError          no note is to be had now, which is nothing to tell of
"""


class LanguageModelError(Exception):
    """The base of this package's errors; the message is one line and says what to do."""


class ModelLoadError(LanguageModelError):
    """The checkpoint cannot be found, read or used."""


class PromptError(LanguageModelError):
    """The question cannot be put to the model: empty, or longer than its budget leaves room for."""


class BudgetError(LanguageModelError):
    """The hour's calls or tokens are used up; in `wait_seconds` there is room again (infinite: never)."""

    def __init__(self, message: str, *, wait_seconds: float) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


class RemoteError(LanguageModelError):
    """A remote model gave no answer, or not the whole of it."""


class NoNoteError(LanguageModelError):
    """No note is to be had now: questions go first, or the model cannot see."""
