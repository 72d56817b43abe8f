"""What was counted: sparse integer panes, the join ledger, the clock, and windows as unions of panes."""
