"""How it becomes durable: ports, the one written commit order, recovery, the fates of errors."""
