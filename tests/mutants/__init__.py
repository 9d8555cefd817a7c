"""Mutants: for each rule of durability a change that breaks it, and the test that catches it."""
