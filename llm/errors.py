"""What can go wrong with a language model, in words for the person who chose it.

LanguageModelError
├── ModelLoadError       the checkpoint cannot be found, read or used
└── PromptError          a question that cannot be put to the model
"""


class LanguageModelError(Exception):
    """The base of this package's errors; the message is one line and says what to do."""


class ModelLoadError(LanguageModelError):
    """The checkpoint cannot be found, read or used."""


class PromptError(LanguageModelError):
    """The question cannot be put to the model: empty, or longer than its budget leaves room for."""
