"""Experiments: the paper's, sweeps over grids of cells, the statements of the theory on instances."""
