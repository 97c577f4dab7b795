"""Run the commands as ``python -m rfos``."""

from rfos.cli import main

main()
