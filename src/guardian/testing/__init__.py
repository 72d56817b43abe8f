"""What tests share: laws, port contracts, strategies, stories on virtual time."""
