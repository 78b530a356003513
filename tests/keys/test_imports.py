import subprocess
import sys

PROGRAM = """
import pkgutil, sys, importlib
import forensics.keys
for module in pkgutil.iter_modules(forensics.keys.__path__):
    importlib.import_module(f"forensics.keys.{module.name}")
rooms = ("suspects", "training", "evidence", "report", "attacks", "bench", "cli", "examination")
heavy = ("torch", "transformers", "weasyprint", "pyhanko", "httpx2")
print(*sorted(name for name in sys.modules if name.split(".")[0] in heavy or name.startswith(
    tuple(f"forensics.{room}" for room in rooms))))
"""


def test_keys_load_no_other_room_and_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
