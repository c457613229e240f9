"""A switch policy in a package of its own."""
