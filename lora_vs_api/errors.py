"""The one exception whose message is meant for the user."""

# what to do where the project's files are not; a command that knows the project names it instead
RUN_THERE = "run this in the project's folder"


class UserError(Exception):
    """Something the user can put right: bad config, bad data, a missing key, model or port.

    The message is one line that says what is wrong, where (file:line or key) and what is
    expected. A stage prints it as ``error: …`` without a traceback and exits with code 1.
    """
