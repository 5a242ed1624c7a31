"""The one error that a user is meant to see."""


class RisError(Exception):
    """Bad input or a bad environment, told in one sentence.

    The message names the file or the parameter, says what is wrong and what to do. Stages print it
    without a traceback and exit with code 1.
    """


class BadQueryError(RisError):
    """An argument is not of those that are allowed."""
