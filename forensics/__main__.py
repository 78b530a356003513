"""Runs the command line with `python -m forensics`."""

from forensics.cli import main

main()
