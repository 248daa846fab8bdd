"""What the tests share: real processes, fake neighbours, names for what they check."""
