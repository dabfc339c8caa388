"""Configuration of a run: one immutable model per section, loading, and the checks before the first job."""
