"""What must hold: policy files, loaded strictly and checked before they count."""
