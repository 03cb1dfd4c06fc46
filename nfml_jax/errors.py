"""The exception that is shown to a person as a sentence instead of a traceback."""


class UserError(ValueError):
    """A request cannot be met, and the person who made it can correct it.

    The message names the value that was wrong, what was expected, and the remedy. The
    command `nfml` prints it without a traceback and exits with 2; in the library it is
    a plain `ValueError`.
    """
