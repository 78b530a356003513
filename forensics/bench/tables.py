"""`python -m forensics.bench.tables docs/ofsw.md`: writes the tables of a page anew from the results beside it."""

import json
import re
import sys
from importlib import import_module
from pathlib import Path

_BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def rewrite(page: str, results: Path) -> str:
    """Returns a page with every block between `<!-- table: NAME -->` and `<!-- end -->` made from NAME's results.

    Raises:
        ValueError: a row is from a quick run.
    """

    def block(match: re.Match[str]) -> str:
        module = import_module(f"forensics.bench.{match[2]}")
        cells = {path.stem: json.loads(path.read_bytes())["rows"] for path in (results / match[2]).glob("*.json")}
        rows = [row for name in module.order(cells) for row in cells[name]]
        if any(row["quick"] for row in rows):
            raise ValueError(f"{match[2]} has rows of a quick run")
        return f"{match[1]}\n{module.table(rows)}\n\n{match[3]}"

    return _BLOCK.sub(block, page)


def main() -> None:
    """Rewrites the pages named as arguments in place."""
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(rewrite(path.read_text(encoding="utf-8"), path.parent / "results"), encoding="utf-8")


if __name__ == "__main__":
    main()
