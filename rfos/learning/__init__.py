"""Agents that learn in a meta-game, the theorems that cover them, and the ledger of their mistakes."""
