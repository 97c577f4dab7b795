"""Teams: Dec-POMDPs, tasks, a certified planner, and MARCO, which learns a centralised model."""
