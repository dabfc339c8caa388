"""Say clearly when the interpreter cannot carry the environment; written for any Python 3, old ones too."""

import sys

MINIMUM = (3, 11)


def problem() -> str:
    """What is wrong with this interpreter; empty if nothing is."""
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < MINIMUM:
        return (
            "found Python {} ({})\n"
            "  expected: Python {}.{} or later\n"
            "  next step: install python3.11 and python3.11-venv, then make PYTHON=python3.11 ..."
        ).format(found, sys.executable, *MINIMUM)
    try:
        import ensurepip  # noqa: F401 - Debian and Ubuntu ship it apart from the interpreter
        import venv  # noqa: F401
    except ImportError as error:
        return (
            "found Python {} without the module {}\n"
            "  expected: an interpreter that can make virtual environments\n"
            "  next step: apt-get install python{}.{}-venv"
        ).format(found, error.name, *sys.version_info[:2])
    return ""


if __name__ == "__main__":
    message = problem()
    if message:
        sys.exit(message)
