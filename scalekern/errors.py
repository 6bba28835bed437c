"""The exceptions users see, in one place, so that the command line can tell them from bugs.

Each message says what was wrong, with which argument and value, where, and what to do. All of them
are also the built-in exception that scikit-learn's conventions ask for.
"""


class ScalekernError(Exception):
    """Base of all errors that scalekern raises on purpose."""


class InvalidInputError(ScalekernError, ValueError):
    """Data or a parameter that cannot be used as given."""


class UnsupportedError(ScalekernError, ValueError):
    """A combination of parameters that does not exist; the message lists those that do."""


class ModelFormatError(ScalekernError, ValueError):
    """A stored model that is truncated, altered, foreign, or of another version."""


class ClusterError(ScalekernError, RuntimeError):
    """A Dask cluster that cannot finish the work: its workers or its scheduler are gone."""


class RecallWarning(UserWarning):
    """An approximate index that cannot reach the recall asked for; it is kept and used."""


class MissingExtraError(ScalekernError, ImportError):
    """An optional dependency is not installed; the message has the pip command."""


def missing_extra(package: str, extra: str) -> MissingExtraError:
    """Return the error for a missing optional `package` that `extra` would bring."""
    return MissingExtraError(
        f"this needs the package '{package}', which is not installed; "
        f"run: pip install 'scalekern[{extra}]'"
    )
