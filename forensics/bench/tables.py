"""`python -m forensics.bench.tables docs/ofsw.md`: writes the tables of a page, and its figures, from the results."""

import json
import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

_BLOCK = re.compile(r"(<!-- table: (\w+)(?: (\w+))? -->\n).*?(<!-- end -->)", re.DOTALL)


def rewrite(page: str, results: Path) -> str:
    """Returns a page with every block between `<!-- table: NAME -->` and `<!-- end -->` made from NAME's results.

    Where another word follows the name, that is the function of the bench which makes the table.

    Raises:
        ValueError: a row is from a quick run.
    """

    def block(match: re.Match[str]) -> str:
        module, rows = _results(match[2], results)
        return f"{match[1]}\n{getattr(module, match[3] or 'table')(rows)}\n\n{match[4]}"

    return _BLOCK.sub(block, page)


def figures(page: str, results: Path) -> dict[str, str]:
    """Returns the figures of the benches whose tables a page has: SVG by file name.

    Not every bench draws one, or has the rows for it; it stands on the page with the bench's first table.

    Raises:
        ValueError: a row is from a quick run.
    """
    drawn = {}
    for match in _BLOCK.finditer(page):
        if match[3]:
            continue
        module, rows = _results(match[2], results)
        if rows and hasattr(module, "figure") and (figure := module.figure(rows)):
            drawn[f"{match[2]}.svg"] = figure
    return drawn


def _results(name: str, results: Path) -> tuple[ModuleType, list[dict[str, Any]]]:
    """Returns a bench's module and its committed rows in the order of the tables."""
    module = import_module(f"forensics.bench.{name}")
    cells = {path.stem: json.loads(path.read_bytes())["rows"] for path in (results / name).glob("*.json")}
    rows = [row for cell in module.order(cells) for row in cells[cell]]
    if any(row["quick"] for row in rows):
        raise ValueError(f"{name} has rows of a quick run")
    return module, rows


def main() -> None:
    """Rewrites the pages named as arguments in place."""
    for name in sys.argv[1:]:
        path = Path(name)
        page, results = path.read_text(encoding="utf-8"), path.parent / "results"
        path.write_text(rewrite(page, results), encoding="utf-8")
        for file, drawn in figures(page, results).items():
            (path.parent / "figures").mkdir(exist_ok=True)
            (path.parent / "figures" / file).write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
