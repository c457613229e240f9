"""How near a run comes to what its engines allow: the lower bound, the paper's schedule, and ours."""
