"""The cast as a world of simulations: what happens to it, and what must hold."""
