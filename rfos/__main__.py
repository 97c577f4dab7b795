"""Run the commands as ``python -m rfos``."""

from rfos.commands.main import main

main()
