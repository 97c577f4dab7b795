"""The statements of the theory on random instances: what `rfos verify`, the tests and the notebooks share."""
