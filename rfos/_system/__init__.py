"""Arrays, checks, memory, threads, files, checkpoints, randomness: what every wing stands on."""
