"""A site looked over before the first run: what is there, what the configuration needs, what to do about the rest."""
