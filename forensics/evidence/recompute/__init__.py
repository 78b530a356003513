"""The script `recompute.py` that every opened case carries: standard library only, joined from the files here.

`common.py` holds claim, share, secrets and exact tests; a method adds one file of its own name with `item_scores` and
`targets`. Both are type-checked here and joined into one script when a case is opened.
"""

from importlib import resources

from forensics.errors import UsageError

LONGEST = 200
"""Most lines that a script may have, so that an outside expert can read it whole."""

_JOINT = "from forensics.evidence.recompute.common import "
_CALL = '\n\nif __name__ == "__main__":\n    sys.exit(main(item_scores, targets))\n'


def render_recompute(method: str) -> bytes:
    """Returns the script for a method.

    Raises:
        UsageError: the method has no such file.
    """
    folder = resources.files(__package__)
    part = folder / f"{method}.py"
    if not method.isidentifier() or method == "common" or not part.is_file():
        raise UsageError(f"There is no recompute script for the method '{method}'.", "Add one beside the others.")
    lines = part.read_text("utf-8").splitlines()
    body = "\n".join(line for line in lines if not line.startswith((_JOINT, "import ")))
    text = (folder / "common.py").read_text("utf-8").rstrip() + "\n\n\n" + _without_docstring(body).strip() + "\n"
    return (text + _CALL).encode("utf-8")


def _without_docstring(text: str) -> str:
    """Cuts a module's opening docstring, whose place in the script is taken by that of `common`."""
    return text.split('"""', 2)[2] if text.startswith('"""') else text
