"""What this Python has of what the worker needs, without importing it: imports of PyTorch take seconds."""

import importlib.metadata
import os
import platform
import sys

MIN_PYTHON = (3, 10)
MIN_TRITON = (3, 4)


class MissingError(Exception):
    """Something is missing: one line that says what, and what would do."""


def interpreted():
    """True where Triton's own interpreter runs kernels on the CPU, as its variable asks."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def examine():
    """Versions by name.

    Raises MissingError where a package is missing or too old.
    """
    where = sys.executable
    if sys.version_info < MIN_PYTHON:
        raise MissingError(f"Python is {platform.python_version()} at {where}, expected 3.10 or later")
    found = {"python": platform.python_version()}
    for name in ("triton", "torch", "numpy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            raise MissingError(f"no package {name} in Python {found['python']} at {where}, expected torch, triton and numpy")
    if tuple(int(part) for part in found["triton"].split(".")[:2]) < MIN_TRITON:
        raise MissingError(f"Triton is {found['triton']} in {where}, expected 3.4 or later")
    return found
