"""The commands, one a file: each parses, calls one function of the laboratory and prints its result."""
