"""Stacks compose and grant; what they are made of stands in the constructs beside them."""
