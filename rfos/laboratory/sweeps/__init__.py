"""Sweeps: a grid of cells, measured once each on any executor, kept in a store, and fitted.

`spec` reads what is asked for, `cells` says what a cell is, `measures` measures it, `executors` where that happens,
`store` keeps what came of it, `driver` does only what is missing; `tables` and `fits` read a store, `page` shows it.
"""
