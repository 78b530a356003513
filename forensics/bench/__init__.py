"""Commands that make the tables and figures of the documentation."""

BENCHES = {
    "digits": "OFSW on handwritten digits: accuracy, survival, null over fresh keys",
    "settings": "how OFSW's recipe was chosen, on development keys",
    "speed": "start of the command line, examination against a bare forward pass",
}
"""Name and summary of every bench; `bench/<name>.py` offers `run`."""
