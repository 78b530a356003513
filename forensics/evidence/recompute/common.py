"""Recomputes the deciding number of this case from its records, with Python's standard library alone.

Run in the folder that holds bagit.txt:  python3 -I data/recompute.py
Every value is printed beside the recorded one; the exit code is 1 if any of them disagree.
"""

import hashlib
import hmac
import json
import math
import pathlib
import sys
from fractions import Fraction

CURVES = {  # object identifier in DER -> (bytes in a coordinate, order of the group), NIST P-256 and P-384
    "06082a8648ce3d030107": (32, 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551),
    "06052b81040022": (48, 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973),
}
wrong = []


def compare(name, ours, recorded):
    """Prints a recomputed value beside the recorded one; reals may differ by 1e-9 of their size."""
    near = isinstance(ours, float) and math.isclose(ours, float(recorded), rel_tol=1e-9, abs_tol=1e-9)
    same = near or ours == recorded
    print(f"{'agrees  ' if same else 'DIFFERS '} {name}: {ours} (recorded: {recorded})")
    if not same:
        wrong.append(name)
