"""The one exception whose message is meant for the user."""


class UserError(Exception):
    """Something the user can put right: bad config, bad data, a missing key, model or port.

    The message is one line that says what is wrong, where (file:line or key) and what is
    expected. A stage prints it as ``error: …`` without a traceback and exits with code 1.
    """
