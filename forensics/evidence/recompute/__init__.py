"""The script `recompute.py` that every opened case carries: standard library only, joined from the files here.

`common.py` holds claim, share and secrets; a method adds `measure`, in a file of its own name or in those of `PARTS`.
All are joined into one script when a case is opened.
"""

import ast
import re
from collections.abc import Collection, Mapping
from importlib import resources

from forensics.errors import UsageError

LONGEST = 200
"""Most lines that a script may have, so that an outside expert can read it whole."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "espew": ("espew", "subset"),
    "ksl": ("ksl", "softlabels"),
    "ksl_text": ("ksl_text", "softlabels"),
    "tmrw": ("clusters", "subset"),
    "wpe": ("clusters", "subset"),
}
"""Files of the methods that are made of several, or share them."""

BORROWED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "ksl": ("ofsw", ("normals", "column_of", "dot")),
    "ksl_text": ("ofsw", ("normals", "column_of", "dot")),
    "t2s": ("ofsw", ("column_of",)),
    "ofsw_text": ("ofsw", ("bits", "normals", "binomial_tail", "dot", "orthonormal", "weights")),
}
"""Functions of another method's file that a method uses as well."""

_NO_METHODS = ("common", "__init__", "clusters", "softlabels", "subset")

_ASKED_ONCE = '{"batch_size": plan["batch_size"], "probes": plan["probes"]}'
_ASKED_TWICE = '{name: plan[name] for name in ("batch_size", "groups", "keep", "probes")}'
"""What a plan's digest covers, as the script writes it. Methods of one pass keep the line that cases already hold."""

_CALL = 'if __name__ == "__main__":\n    sys.exit(main(measure))\n'


def render_recompute(method: str) -> bytes:
    """Returns the script for a method.

    Raises:
        UsageError: the method has no such file.
    """
    folder = resources.files(__package__)
    name = method.replace("-", "_")
    parts = [folder / f"{part}.py" for part in PARTS.get(name, (name,))]
    if not name.isidentifier() or name in _NO_METHODS or not all(part.is_file() for part in parts):
        raise UsageError(f"There is no recompute script for the method '{method}'.", "Add one beside the others.")
    opening, common = _split((folder / "common.py").read_text("utf-8"))
    if "clusters" in PARTS.get(name, ()):
        common = common.replace(_ASKED_ONCE, _ASKED_TWICE)
    bodies = [_split(part.read_text("utf-8"))[1] for part in parts]
    if name in BORROWED:
        source, wanted = BORROWED[name]
        bodies.append(_functions((folder / f"{source}.py").read_text("utf-8"), wanted))
    text = "\n\n".join((opening, common, *bodies, _CALL))
    # One blank line is enough between functions that have to be read as one page.
    return re.sub(r"\n{3,}", "\n\n", text).encode("utf-8")


def _functions(text: str, wanted: Collection[str]) -> str:
    """Returns those functions of a file, in its order."""
    lines = text.splitlines()
    found = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name in wanted]
    return "\n\n".join("\n".join(lines[node.lineno - 1 : node.end_lineno]) for node in found)


def _split(text: str) -> tuple[str, str]:
    """Splits a file into docstring with imports, and the rest; a method's imports are among those of `common`."""
    lines = text.splitlines()
    last = max(index for index, line in enumerate(lines) if line.startswith(("import ", "from ")))
    opening = [line for line in lines[: last + 1] if not line.startswith("# ruff:")]
    return "\n".join(opening), "\n".join(lines[last + 1 :]).strip()
