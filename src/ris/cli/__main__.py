"""`python -m ris.cli` is `ris`."""

from ris.cli import main

main()
