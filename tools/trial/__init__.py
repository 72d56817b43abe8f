"""A fleet on trial: real workers on a real broker and database, faults, and the outcome beside an undisturbed engine's."""
