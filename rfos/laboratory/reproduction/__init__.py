"""The paper's experiment, with a verdict on each of its claims."""
