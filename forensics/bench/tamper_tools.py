"""What other programs say of altered documents: pdfsig, openssl, sha256sum, and the case's own script."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from forensics.bench.tampering import Files, lay
from forensics.evidence.bag import MANIFEST, SIGNATURE, TAGMANIFEST
from forensics.evidence.case import CLAIM, RECOMPUTE, TOKENS

ABSENT = "not installed"
VALID, INVALID = "valid", "invalid"

_RANGE = re.compile(rb"/ByteRange \[0 (\d+) (\d+) (\d+)\]")
_SECONDS = 120


def ask_pdfsig(pdf: Path) -> str:
    """Returns what pdfsig says of the signatures in a file; its exit code says nothing."""
    if shutil.which("pdfsig") is None:
        return ABSENT
    text = _run(["pdfsig", "-nocert", str(pdf)]).stdout.decode(errors="replace")
    words = re.findall(r"Signature Validation: (.*?)\.?\n", text)
    if not words:
        return "no signature"
    found = ", ".join(VALID if word == "Signature is Valid" else word.lower() for word in words)
    return f"{found}; not the whole file" if "Not total document signed" in text else found


def ask_openssl_pdf(pdf: Path, root: Path) -> str:
    """Returns what `openssl cms -verify` says of the first signature of a file, cut out as its own numbers say."""
    if shutil.which("openssl") is None:
        return ABSENT
    raw = pdf.read_bytes()
    match = _RANGE.search(raw)
    if match is None:
        return "no signature"
    first, second, length = (int(each) for each in match.groups())
    try:
        der = bytes.fromhex(raw[first + 1 : second - 1].decode())
    except ValueError:
        return "cannot be cut out"
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        (place / "signature.der").write_bytes(der[: 4 + int.from_bytes(der[2:4], "big")])
        (place / "signed.bin").write_bytes(raw[:first] + raw[second : second + length])
        found = _cms(place / "signature.der", place / "signed.bin", root)
    return f"{found}; not the whole file" if second + length != len(raw) else found


def ask_case_tools(files: Files, root: Path) -> dict[str, str]:
    """Returns what sha256sum, openssl and the case's own script say of a case.

    Returns:
        Answers by name: `sha256sum`, `openssl cms` (the seal), `openssl ts` (the claim's token), `recompute.py`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        case = Path(scratch) / "CASE"
        lay(case, files)
        return {
            "sha256sum": _sha256sum(case),
            "openssl cms": _seal(case, root),
            "openssl ts": _token(case, root),
            "recompute.py": run_script(case),
        }


def run_script(case: Path) -> str:
    """Returns whether a case's own script, run by a bare interpreter, finds its numbers to agree."""
    if not (case / RECOMPUTE).exists():
        return "no script"
    return "agrees" if _run([sys.executable, "-I", "-S", RECOMPUTE], case).returncode == 0 else "differs"


def _sha256sum(case: Path) -> str:
    if shutil.which("sha256sum") is None:
        return ABSENT
    checks = [_run(["sha256sum", "--quiet", "--strict", "-c", name], case) for name in (MANIFEST, TAGMANIFEST)]
    return VALID if all(check.returncode == 0 for check in checks) else INVALID


def _seal(case: Path, root: Path) -> str:
    if shutil.which("openssl") is None:
        return ABSENT
    return _cms(case / SIGNATURE, case / TAGMANIFEST, root) if (case / SIGNATURE).exists() else "no signature"


def _cms(signature: Path, content: Path, root: Path) -> str:
    command = ["openssl", "cms", "-verify", "-binary", "-cades", "-inform", "DER", "-in", str(signature), "-content"]
    command += [str(content), "-CAfile", str(root), "-purpose", "any", "-out", "/dev/null"]
    return VALID if _run(command).returncode == 0 else INVALID


def _token(case: Path, root: Path) -> str:
    if shutil.which("openssl") is None:
        return ABSENT
    if not (case / TOKENS[0]).exists():
        return "no token"
    command = ["openssl", "ts", "-verify", "-token_in", "-in", TOKENS[0], "-data", CLAIM, "-CAfile", str(root)]
    return VALID if _run(command, case).returncode == 0 else INVALID


def _run(command: Sequence[str], folder: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=_SECONDS)
