"""Real servers for tests and measurements, without containers: processes of their own, in temporary folders, on loopback."""
