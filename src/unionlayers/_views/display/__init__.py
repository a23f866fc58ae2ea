"""What objects show of themselves in a notebook: HTML that needs nothing else and runs nothing."""
