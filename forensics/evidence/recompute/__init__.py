"""The script `recompute.py` that every opened case carries: standard library only, joined from the files here.

`common.py` holds claim, share, secrets and exact tests; a method adds one file of its own name with
`measure`. Both are joined into one script when a case is opened.
"""

import re
from importlib import resources

from forensics.errors import UsageError

LONGEST = 200
"""Most lines that a script may have, so that an outside expert can read it whole."""

_CALL = 'if __name__ == "__main__":\n    sys.exit(main(measure))\n'


def render_recompute(method: str) -> bytes:
    """Returns the script for a method.

    Raises:
        UsageError: the method has no such file.
    """
    folder = resources.files(__package__)
    name = method.replace("-", "_")
    part = folder / f"{name}.py"
    if not name.isidentifier() or name in ("common", "__init__") or not part.is_file():
        raise UsageError(f"There is no recompute script for the method '{method}'.", "Add one beside the others.")
    opening, common = _split((folder / "common.py").read_text("utf-8"))
    _, own = _split(part.read_text("utf-8"))
    text = "\n\n".join((opening, common, own, _CALL))
    # One blank line is enough between functions that have to be read as one page.
    return re.sub(r"\n{3,}", "\n\n", text).encode("utf-8")


def _split(text: str) -> tuple[str, str]:
    """Splits a file into docstring with imports, and the rest; a method's imports are among those of `common`."""
    lines = text.splitlines()
    last = max(index for index, line in enumerate(lines) if line.startswith(("import ", "from ")))
    opening = [line for line in lines[: last + 1] if not line.startswith("# ruff:")]
    return "\n".join(opening), "\n".join(lines[last + 1 :]).strip()
