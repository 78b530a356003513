"""One tree of errors: each has a cause, a next step for the user, and an exit code."""


class ForensicsError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        cause: one sentence, what is wrong.
        next_step: one sentence, what the user can do about it.
    """

    exit_code = 2

    def __init__(self, cause: str, next_step: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.cause} {self.next_step}".strip()


class UsageError(ForensicsError):
    """Wrong usage or input: bad file, wrong passphrase, key for another method."""


class KeyFolderError(ForensicsError):
    """A key folder cannot be read, opened or written."""


class ModelError(ForensicsError):
    """A model folder is not one that may be loaded."""


class CaseError(ForensicsError):
    """A case folder or kit is missing, incomplete, closed or inconsistent."""


class StorageError(ForensicsError):
    """The disk is full or a file cannot be written."""


class MissingExtraError(ForensicsError):
    """An optional part of the installation is needed for this command."""


class Unreachable(ForensicsError):  # noqa: N818 - reads as the state it reports
    """The suspect or a timestamp authority could not be reached, or answered rubbish."""

    exit_code = 3


class AuthorityError(Unreachable):
    """A timestamp authority refused, answered rubbish, or its token does not verify."""


class CheckFailed(ForensicsError):  # noqa: N818 - reads as the outcome it reports
    """A check found the case or the PDF wanting."""

    exit_code = 1
