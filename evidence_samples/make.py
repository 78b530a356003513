"""Makes the samples from a finished demonstration: python evidence_samples/make.py demo-out."""

import json
import shutil
import sys
from pathlib import Path

from forensics.canonical import canonical_json
from forensics.evidence.bag import render_bag
from forensics.evidence.case import CaseFolder
from forensics.evidence.schema import Evidence

HERE = Path(__file__).parent


def main(demo: Path) -> None:
    """Copies one case with its report, key and root, and makes the tampered twin."""
    for name in ("case", "key", "tampered"):
        shutil.rmtree(HERE / name, ignore_errors=True)
    shutil.copytree(demo / "cases" / "fine-tuned", HERE / "case")
    shutil.copytree(demo / "key", HERE / "key")
    (HERE / "key" / "paths.json").unlink(missing_ok=True)
    shutil.copy(demo / "reports" / "fine-tuned.pdf", HERE / "report.pdf")
    shutil.copy(demo / "authority" / "root.pem", HERE / "root.pem")
    _tamper(HERE / "case", HERE / "tampered")


def _tamper(case: Path, twin: Path) -> None:
    """Changes one recorded answer and writes all checksums anew, as a forger would; the signature stays as it was."""
    files = dict(CaseFolder.load(case).content)
    body = json.loads(files["data/evidence.json"])
    body["answers"]["values"][0][0] = "9.75"
    files["data/evidence.json"] = canonical_json(body)
    payload = {name: content for name, content in files.items() if name.startswith("data/")}
    files.update(render_bag(payload, Evidence.parse(files["data/evidence.json"])))
    for name, content in files.items():
        (twin / name).parent.mkdir(parents=True, exist_ok=True)
        (twin / name).write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
