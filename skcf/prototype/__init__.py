"""Counterfactuals that are guided by prototypes of the classes."""

__all__: list[str] = []
