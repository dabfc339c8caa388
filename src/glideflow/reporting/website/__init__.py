"""A library as a static site: a page per potential, metal and structure that open from disk without a network."""
