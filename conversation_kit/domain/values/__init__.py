"""Values: checks, names, ids, instants, and what models are made with."""
