"""The one exception that is shown to a person as a sentence instead of a traceback."""


class UserError(ValueError):
    """Something asked for cannot be done, and the person asking can mend it.

    The message names the value that was wrong, what was expected, and the remedy.
    `launch.py` and the package's own commands print it alone and exit with 2; as a
    library error it is a plain `ValueError`.
    """
