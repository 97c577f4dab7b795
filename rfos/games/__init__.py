"""Inner games: played once or for ever, by name or of one's own, their strategies and equilibria."""
