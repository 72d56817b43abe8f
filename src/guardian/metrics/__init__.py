"""What is measured: a registry of names, and one metric a file that turns counts into a number or a reason."""
