"""What shaping is worth in a game: a study in four steps, build, solve, play and compare."""
