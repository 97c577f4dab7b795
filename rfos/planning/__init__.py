"""Tabular MDPs and their solvers, whose values come with certified brackets."""
