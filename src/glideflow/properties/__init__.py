"""Properties of crystals: physics once, for any engine."""
